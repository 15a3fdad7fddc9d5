"""Do the samplers search? Each against random search at equal trials, where the answer is known.

    python -m benchmarks.search_evidence                                                 # on a formula
    python -m benchmarks.search_evidence --table results/table_quick_cpu/table.parquet   # and on a space trained whole

Every search goes through the code of real ones, with training replaced by a formula or by looking up. Regret is how far
the best so far lies below the optimum. Search r of every method is paired with search r of random search, over all
tables that are given, and intervals are 95 % t intervals of the paired differences. With two objectives the hypervolume
takes the place of regret, and is computed three times: by the project, by Optuna's algorithm (While et al. 2012, WFG)
and by throwing points.

A table is searched in two ways. Where a search sees a network's validation accuracy as the mean over all its seeds, the
answer is known exactly, and a search of the whole table has no regret. Where it sees one seed, as real searches do, the
truth is the mean test accuracy over the seeds that it does not see; a search of the whole table has a regret there too.
That is the floor, printed beside every method. A network counts as a trial once; a pruner's rungs count their share.
Pruners are shown with the trainings that they spend on every network of the table.

Last comes the share of candidates that samplers draw at random under limits, in searches of the whole family.

The exit status is 1 where a promise is broken: a method whose regret after its last trial is not below random search's
after as many with its whole interval where the answer is known, hypervolumes that disagree, or a sampler that draws
more than a tenth of its candidates at random after its start. The mean over the trials is shown beside it: there the
first ten count too, which TPE and GP draw at random themselves.
"""

from __future__ import annotations

import functools
import math
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from ablations.design.options import Options as RunOptions
from ablations.design.study import Design
from ablations.statistics.pareto import hypervolume
from benchmarks.promises import finish
from search.benchmark.replay import exhaustive_regret, mean_interval, regret_at, replay
from search.benchmark.tabular import Table
from search.design.definition import POPULATED, RUNG_PRUNERS, SEMANTICS, Definition
from search.design.space import Choice, Integer, Real, Space, Values, When
from search.engine.index import Index
from search.engine.ledger import Row
from search.engine.search_plan import BASELINE, plan_base
from search.results.random_shares import LIMITS, SAMPLERS, random_share
from xception.base.command_line import parse, refuse

REPEATS, SHORT = 30, 5
# A Gaussian process takes a fifth of a second per suggestion, TPE and NSGA-II take milliseconds; NSGA-II needs
# generations (of ten). On the table half of its 72 networks.
TRIALS = {"analytic": {"tpe": 60, "gp": 30, "nsga2": 150}, "table": {"tpe": 36, "gp": 36, "nsga2": 36}}
FRONT_TRIALS = {"analytic": {"tpe": 60, "nsga2": 150}, "table": {"tpe": 36, "nsga2": 36}}
ONE_SEED_METHODS = ("tpe", "nsga2", "evolution", "local", "predictor", *RUNG_PRUNERS)
CANDIDATES = 24  # of a search under limits
MOST_DRAWN = 0.1
REFERENCE = np.array([1.5, 1.0])  # of the hypervolume: loss and cost
THROWN = 1_000_000
ONE_SEED = "table, seen through one seed"  # shown, not promised
Array = NDArray[np.float64]

ANALYTIC = Space(
    name="analytic",
    question="Where is the optimum that the formula has?",
    dimensions=(
        Real(name="a", low=0, high=1),
        Real(name="b", low=0, high=1),
        Real(name="rate", low=1e-4, high=1, log=True),
        Integer(name="depth", low=0, high=8),
        Choice(name="kind", options=("x", "y", "z")),
        Real(name="extra", low=0, high=1, when=(When("kind", ("y",)),)),
    ),
    build=lambda base, values: base,
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure whether the samplers beat random search at equal trials."""

    table: Annotated[tuple[Path, ...], "Parquet file that exhaust wrote; may be repeated"] = ()
    repeats: Annotated[int, "searches with each method"] = REPEATS
    short: Annotated[bool, f"{SHORT} searches with each method"] = False
    seed: Annotated[int, "of the first search; the others follow"] = 0
    workers: Annotated[int | None, "processes at a time; one per core without it"] = None
    json: Annotated[bool, "print one JSON document and nothing else on standard output"] = False


def loss(values: Values) -> float:
    """Return how far values are from the optimum, which is 0 at a 0.7, b 0.3, rate 10^-2.5, depth 5, kind y and extra
    0.25.
    """
    out = (float(values["a"]) - 0.7) ** 2 + (float(values["b"]) - 0.3) ** 2 + ((float(values["depth"]) - 5) / 8) ** 2
    out += (math.log10(float(values["rate"])) + 2.5) ** 2 / 16
    out += {"x": 0.15, "y": 0.0, "z": 0.3}[str(values["kind"])]
    return out + (float(values["extra"]) - 0.25) ** 2 if "extra" in values else out


def cost(values: Values) -> float:
    """Return a cost in [0, 1] that grows towards where the loss falls."""
    return (float(values["a"]) + 1 - float(values["b"]) + float(values["depth"]) / 8) / 3


@functools.cache
def design() -> Design:
    """A design that nobody trains; a search needs one."""
    with tempfile.TemporaryDirectory() as folder:
        return plan_base(
            "search_analytic", "?", RunOptions(scale="smoke", dataset="synthetic", out=Path(folder))
        ).designs[BASELINE]


def analytic_search(method: str, trials: int, seed: int, *, num_objectives: int = 1) -> Array:
    """Return losses, and costs where they are asked for, in the order of the trials, (trials, objectives)."""
    objectives = ("val_accuracy", "macs")[:num_objectives]
    population = 10 if method in POPULATED else Definition.population
    definition = Definition(
        space=ANALYTIC.name,
        design=design(),
        sampler=method,
        objectives=objectives,
        seed=seed,
        population=population,
        semantics=SEMANTICS,
    )
    index, points = Index(definition, ANALYTIC), []
    for number in range(trials):
        asked = index.ask()
        point = (loss(asked.values), cost(asked.values))
        index.tell(
            Row(
                number=number,
                state="complete",
                params=asked.values,
                model="",
                values=(1 - point[0], point[1])[:num_objectives],
            )
        )
        points.append(point[:num_objectives])
    return np.array(points)


def analytic_regret(method: str, trials: int, seed: int) -> Array:
    """Return the regret after each trial on the formula, (trials,)."""
    best: Array = np.minimum.accumulate(analytic_search(method, trials, seed)[:, 0])
    return best


def front_regret(method: str, trials: int, seed: int) -> Array:
    """Return what the hypervolume lacks to the whole box after each trial, (trials,)."""
    points = analytic_search(method, trials, seed, num_objectives=2)
    volumes = [hypervolume(points[: i + 1], REFERENCE) for i in range(trials)]
    left: Array = 1 - np.array(volumes) / REFERENCE.prod()
    return left


def table_regret(path: Path, method: str, trials: int, seed: int) -> Array:
    """Return the regret in mean validation accuracy after each trial of a search that sees it, (trials,)."""
    return _to_the_end(replay(_table(path), method, trials=trials, seed=seed, all_seeds=True).val_regret, trials)


def one_seed_regret(path: Path, method: str, trials: int, seed: int) -> Array:
    """Return the regret in mean test accuracy after each trial of a search that sees one seed of a network,
    (trials,).
    """
    run = replay(_table(path), method, trials=trials, seed=seed)
    return regret_at(run, np.arange(1.0, trials + 1), over="spent")


def floor(path: Path, seed: int) -> float:
    """Return the regret of a search that sees one seed of every network of a table."""
    return exhaustive_regret(_table(path), seed)


def whole_table(path: Path, pruner: str, seed: int) -> tuple[float, float]:
    """Return the trainings that a pruner spends on every network of a table, and the regret of its pick."""
    table = _table(path)
    run = replay(table, pruner, trials=len(table.grid), seed=seed)
    return run.spent[-1] / len(table.grid), run.test_regret[-1]


def table_front_regret(path: Path, method: str, trials: int, seed: int) -> Array:
    """Return the share that the front of accuracy and MACs lacks of the whole table's hypervolume after each trial,
    (trials,).
    """
    table = _table(path)
    run = replay(table, method, trials=trials, seed=seed, all_seeds=True, objectives=("val_accuracy", "macs"))
    whole = np.array([_loss_and_macs(table, values) for values in table.grid])
    reference = whole.max(axis=0)
    points = np.array([_loss_and_macs(table, values) for values in run.evaluated])
    volumes = np.array([hypervolume(points[: i + 1], reference) for i in range(len(points))])
    return _to_the_end(1 - volumes / hypervolume(whole, reference), trials)


def _loss_and_macs(table: Table, values: Values) -> tuple[float, float]:
    found = table.at(values)
    return 1 - found.val_accuracy, float(found.macs)


def _to_the_end(regret: Sequence[float] | Array, trials: int) -> Array:
    """What a search that ended early had then, it keeps."""
    out = np.asarray(regret, dtype=float)
    return np.pad(out, (0, trials - len(out)), mode="edge")


@functools.cache
def _table(path: Path) -> Table:
    return Table.read(path)


def versus_random(method: Array, random: Array) -> dict[str, Any]:
    """Return the regrets of both, and by how much the method's is lower, for searches (repeats, trials) of equal
    length.
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


def hypervolumes(fronts: int = 20, size: int = 60) -> dict[str, Any]:
    """Return how far the project's hypervolume is from two others over fronts of random searches, the largest
    difference of each.
    """
    from optuna._hypervolume import compute_hypervolume

    thrown = np.random.default_rng(0).random((THROWN, 2)) * REFERENCE
    exact, sigmas = 0.0, 0.0
    for seed in range(fronts):
        points = analytic_search("random", size, seed, num_objectives=2)
        own = hypervolume(points, REFERENCE)
        inside = points[(points < REFERENCE).all(axis=1)]
        exact = max(exact, abs(own - float(compute_hypervolume(inside, REFERENCE))))
        below = np.zeros(THROWN, dtype=bool)
        for point in inside:
            below |= (thrown >= point).all(axis=1)
        share, box = own / REFERENCE.prod(), float(below.mean())
        sigmas = max(sigmas, abs(box - share) / math.sqrt(share * (1 - share) / THROWN))
    return {"fronts": fronts, "largest_difference": exact, "largest_difference_thrown_sigmas": sigmas}


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
    volumes = hypervolumes()
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
        "tables": [_table(path).about for path in tables],
        "broken": broken,
    }


def _whole_table(pruner: str, asked: tuple[Path, int]) -> tuple[float, float]:
    return whole_table(asked[0], pruner, asked[1])


def _random_share(seed: int, candidates: int, asked: tuple[str, tuple[str, ...], str]) -> Any:
    return random_share(*asked, candidates=candidates, seed=seed)


def _one_thread() -> None:
    """GP fits with torch, whose threads would only be in each other's way."""
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
        f"{volumes['largest_difference_thrown_sigmas']:.1f} standard errors from {THROWN:,} points thrown"
    )
    print(f"Broken promises: {'; '.join(report['broken']) or 'none'}")


def main(args: Sequence[str] | None = None) -> int:
    """Run the comparisons; 1 where a promise is broken."""
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
            _table(path)
    except ValueError as error:
        refuse(prog, error)
    report = run(
        SHORT if options.short else options.repeats, seed=options.seed, tables=options.table, workers=options.workers
    )
    return finish(report, show, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
