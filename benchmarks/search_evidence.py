"""Are the samplers better than random search? Each is compared with it at equal trials, where the optimum is known.

    python -m benchmarks.search_evidence                                                 # on a formula
    python -m benchmarks.search_evidence --table results/table_quick_cpu/table.parquet   # and on a space trained whole

Every search runs the code of real ones, with training replaced by a formula or a look-up. Regret is how far the best so
far is below the optimum. Search r of every method is paired with search r of random search, over all given tables, and
intervals are 95 % t intervals of the paired differences. With two objectives the hypervolume takes the place of regret,
and is computed in three ways: by the project, by Optuna's algorithm (While et al. 2012, WFG) and from random points.

A table is searched in two ways. If a search sees a network's mean validation accuracy over all seeds, the optimum is
known exactly, and a search of the whole table has no regret. If it sees one seed, as real searches do, the truth is the
mean test accuracy over the seeds that it does not see, and even a search of the whole table has a regret. That is the
floor, printed with every method. A network counts as a trial once; a pruner's rungs count their share. Pruners are
shown with the trainings that they spend when they search the whole table.

Last comes the share of candidates that samplers draw at random under limits, in searches of the whole family.

The exit status is 1 if a promise is broken: where the optimum is known, the interval of the paired difference in regret
after the last trial includes 0 or favours random search; hypervolumes disagree; or a sampler draws more than a tenth of
its candidates at random after its start. The mean over the trials is shown too; it includes the first ten, which TPE
and GP draw at random themselves.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from benchmarks.promises import finish
from benchmarks.random_shares import LIMITS, SAMPLERS, random_share
from benchmarks.search_regrets import (
    Array,
    analytic_regret,
    floor,
    front_regret,
    hypervolumes,
    one_seed_regret,
    read_table,
    table_front_regret,
    table_regret,
    whole_table,
)
from search.benchmark.replay import mean_interval
from search.design.definition import RUNG_PRUNERS
from xception.base.command_line import parse, refuse

REPEATS, SHORT = 30, 5
# A Gaussian process takes a fifth of a second per suggestion, TPE and NSGA-II take milliseconds; NSGA-II needs several
# generations (of ten). On the table, searches try half of its 72 networks.
TRIALS = {"analytic": {"tpe": 60, "gp": 30, "nsga2": 150}, "table": {"tpe": 36, "gp": 36, "nsga2": 36}}
FRONT_TRIALS = {"analytic": {"tpe": 60, "nsga2": 150}, "table": {"tpe": 36, "nsga2": 36}}
ONE_SEED_METHODS = ("tpe", "nsga2", "evolution", "local", "predictor", *RUNG_PRUNERS)
CANDIDATES = 24  # in a search under limits
MOST_DRAWN = 0.1
THROWN = 1_000_000
ONE_SEED = "table, seen through one seed"  # shown, not promised


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure whether the samplers beat random search at equal trials."""

    table: Annotated[tuple[Path, ...], "Parquet file that exhaust wrote; may be repeated"] = ()
    repeats: Annotated[int, "searches with each method"] = REPEATS
    short: Annotated[bool, f"{SHORT} searches with each method"] = False
    seed: Annotated[int, "seed of the first search; the others follow"] = 0
    workers: Annotated[int | None, "processes at a time; one per core without it"] = None
    json: Annotated[bool, "print one JSON document and nothing else on standard output"] = False


def versus_random(method: Array, random: Array) -> dict[str, Any]:
    """Return the regrets of a method and of random search, and by how much the method's is lower, for searches
    (repeats, trials) of equal length.
    """
    out: dict[str, Any] = {"repeats": len(method), "trials": method.shape[1]}
    for word, ours, theirs in (
        ("mean", method.mean(axis=1), random.mean(axis=1)),
        ("final", method[:, -1], random[:, -1]),
    ):
        keys = (f"{word}_lower_by", f"{word}_ci_low", f"{word}_ci_high")
        out |= {f"{word}_regret": float(ours.mean()), f"{word}_regret_random": float(theirs.mean())}
        out |= dict(zip(keys, mean_interval(theirs - ours), strict=True))
    return out


def run(repeats: int, *, seed: int = 0, tables: Sequence[Path] = (), workers: int | None = None) -> dict[str, Any]:
    """Return all comparisons, and which promises are broken."""
    places: list[tuple[str, dict[str, int], list[Callable[..., Array]]]] = [
        ("formula", TRIALS["analytic"], [analytic_regret]),
        ("formula, two objectives", FRONT_TRIALS["analytic"], [front_regret]),
    ]
    if tables:
        one_seed = dict.fromkeys(ONE_SEED_METHODS, max(TRIALS["table"].values()))
        places += [
            ("table", TRIALS["table"], [functools.partial(table_regret, path) for path in tables]),
            (
                "table, two objectives",
                FRONT_TRIALS["table"],
                [functools.partial(table_front_regret, p) for p in tables],
            ),
            (ONE_SEED, one_seed, [functools.partial(one_seed_regret, path) for path in tables]),
        ]
    seeds = range(seed, seed + repeats)
    rows, pruners = [], []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers or len(os.sched_getaffinity(0)), mp_context=context, initializer=_one_thread
    ) as pool:
        floors = np.array([floor(path, one) for path in tables for one in seeds])
        for place, trials, regrets in places:
            lengths = {**trials, "random": max(trials.values())}
            asked = {
                method: [pool.submit(regret, method, n, one) for regret in regrets for one in seeds]
                for method, n in lengths.items()
            }
            found = {method: np.array([one.result() for one in searches]) for method, searches in asked.items()}
            known = {"floor": float(floors.mean()) if place == ONE_SEED else 0.0} if "table" in place else {}
            for method, n in trials.items():
                compared = versus_random(found[method], found["random"][:, :n])
                rows.append({"on": place, "method": method, **compared, **known})
        for pruner in RUNG_PRUNERS if tables else ():
            ended = list(pool.map(functools.partial(_whole_table, pruner), [(p, s) for p in tables for s in seeds]))
            spent, regret = np.array(ended).T
            row = {"pruner": pruner, "share_of_trainings": float(spent.mean()), "regret": float(regret.mean())}
            names = ("above_floor", "above_floor_ci_low", "above_floor_ci_high")
            pruners.append(row | dict(zip(names, mean_interval(regret - floors), strict=True)))
        under = [(space, limits, sampler) for space, limits in LIMITS for sampler in SAMPLERS]
        shares = [vars(one) for one in pool.map(functools.partial(_random_share, seed, CANDIDATES), under)]
    volumes = hypervolumes(THROWN)
    broken = [
        f"{row['method']} on {row['on']}" for row in rows if row["on"] != ONE_SEED and not row["final_ci_low"] > 0
    ]
    if volumes["largest_difference"] > 1e-9 or volumes["largest_difference_thrown_sigmas"] > 5:
        broken.append("hypervolumes disagree")
    broken += [f"{one['sampler']} in {one['space']} draws at random" for one in shares if one["drawn"] > MOST_DRAWN]
    broken += [f"{one['sampler']} in {one['space']} exceeds a limit" for one in shares if one["beyond"]]
    return {
        "repeats": repeats,
        "seed": seed,
        "comparisons": rows,
        "pruners": pruners,
        "random_shares": shares,
        "hypervolume": volumes,
        "tables": [read_table(path).about for path in tables],
        "broken": broken,
    }


def _whole_table(pruner: str, asked: tuple[Path, int]) -> tuple[float, float]:
    return whole_table(asked[0], pruner, asked[1])


def _random_share(seed: int, candidates: int, asked: tuple[str, tuple[str, ...], str]) -> Any:
    return random_share(*asked, candidates=candidates, seed=seed)


def _one_thread() -> None:
    """Restrict torch, with which GP fits, to one thread: several processes compete for the cores."""
    import torch

    torch.set_num_threads(1)


def show(report: dict[str, Any]) -> None:
    """Print the report as text."""
    seeds = f"seeds {report['seed']} to {report['seed'] + report['repeats'] - 1}"
    print(f"{report['repeats']} searches with each method ({seeds}), paired with random search; 95 % t intervals")
    for about in report["tables"]:
        print("Table: " + ", ".join(str(about[name]) for name in ("dataset", "training", "seeds") if name in about))
    for place in dict.fromkeys(row["on"] for row in report["comparisons"]):
        scale, unit = (100, " %" if "two" in place else " pp") if place.startswith("table") else (1, "")
        what = "share of the volume that the front lacks" if "two" in place else "regret"
        own = [row for row in report["comparisons"] if row["on"] == place]
        known = (
            f"; floor, of a search of the whole table: {scale * own[0]['floor']:.4f}{unit}" if "floor" in own[0] else ""
        )
        print(f"\nOn the {place}: {what}, and by how much it is lower than random search's{known}")
        for row in own:
            for word, title in (("mean", "mean over the trials"), ("final", "after the last")):
                ours, theirs, less, low, high = (
                    scale * row[f"{word}_{key}"] for key in ("regret", "regret_random", "lower_by", "ci_low", "ci_high")
                )
                print(
                    f"  {row['method']:<9} {row['trials']:>4} trials, {title:<20}: {ours:.4f}{unit} against"
                    f" {theirs:.4f}{unit}, lower by {less:.4f} [{low:.4f}, {high:.4f}]"
                )
    if report["pruners"]:
        print("\nPruners on every network of the table: trainings spent, as a share of whole ones, and regret")
    for row in report["pruners"]:
        above, low, high = (100 * row[f"above_floor{end}"] for end in ("", "_ci_low", "_ci_high"))
        print(
            f"  {row['pruner']:<9} {row['share_of_trainings']:.1%}, regret {100 * row['regret']:.2f} pp, above the"
            f" floor by {above:.2f} [{low:.2f}, {high:.2f}] pp"
        )
    print(
        f"\nDrawn at random after the sampler's start, in searches for {CANDIDATES} candidates (promised: at most 10 %)"
    )
    for space, limits in LIMITS:
        own = [row for row in report["random_shares"] if (row["space"], tuple(row["limits"])) == (space, limits)]
        limited = f", limited {' and '.join(limits)}" if limits else ""
        print(f"  {space}{limited}: {', '.join('{sampler} {drawn:.0%}'.format_map(row) for row in own)}")
    volumes = report["hypervolume"]
    print(
        f"\nHypervolume of {volumes['fronts']} fronts: at most {volumes['largest_difference']:.1e} from WFG's, at most "
        f"{volumes['largest_difference_thrown_sigmas']:.1f} standard errors from {THROWN:,} random points"
    )
    print(f"Broken promises: {'; '.join(report['broken']) or 'none'}")


def main(args: Sequence[str] | None = None) -> int:
    """Run the comparisons; return 1 if a promise is broken."""
    prog = "python -m benchmarks.search_evidence"
    options = parse(Options, args, prog=prog, description=Options.__doc__ or "")
    if options.repeats < 2:
        refuse(prog, f"--repeats: {options.repeats} is not allowed; 2 or more")
    if options.seed < 0:
        refuse(prog, f"--seed: {options.seed} is not allowed; 0 or more")
    if options.workers is not None and options.workers < 1:
        refuse(prog, f"--workers: {options.workers} is not allowed; 1 or more")
    try:
        for path in options.table:
            read_table(path)
    except ValueError as error:
        refuse(prog, error)
    report = run(
        SHORT if options.short else options.repeats, seed=options.seed, tables=options.table, workers=options.workers
    )
    return finish(report, show, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
