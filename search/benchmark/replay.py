"""Search methods compared on a table: real searches, with or without a pruner, whose trainings are looked up.

Each search sees the validation accuracy of one randomly drawn seed of a network, like a search on a budget, or the mean
over its seeds, like a search with several seeds per candidate. The truth about a network is the mean test accuracy over
the seeds that the search does not see (over all seeds if it sees their mean, or if there is only one); the regret of a
search is the difference between the best network and its pick. A search of the whole table that sees one seed has a
regret too: it is the floor, shown with every method. Methods are compared by paired differences to random search. The
simulated clock adds up the training times that were measured.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from ablations.design.trial import Trial
from search.benchmark.simulation import simulate
from search.benchmark.tabular import Measured, Table
from search.design.definition import POPULATED, RUNG_PRUNERS, SAMPLERS, SEMANTICS, Definition
from search.design.space import Value, Values
from search.engine.samplers import check_sampler
from xception.base.canonical import canonical_json

__all__ = [
    "METHODS",
    "Run",
    "check_methods",
    "compare_methods",
    "exhaustive_regret",
    "mean_interval",
    "regret_at",
    "replay",
    "runs_frame",
    "summary",
]

# Pruners are those of searches with random candidates.
METHODS = (*SAMPLERS, *RUNG_PRUNERS)
BASELINE = "random"
Array = NDArray[np.float64]


@dataclass
class Run:
    """One simulated search: for each step the network, then trainings spent (in whole ones), seconds, and
    regrets.
    """

    method: str
    repeat: int
    table: str = ""
    spent: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    val_regret: list[float] = field(default_factory=list)
    test_regret: list[float] = field(default_factory=list)
    evaluated: list[Values] = field(default_factory=list)
    picked: list[Values] = field(default_factory=list)
    own_seconds: float = 0.0  # of the method itself
    wall_seconds: float = 0.0


def check_methods(methods: Sequence[str], table: Table) -> None:
    """Check that the methods exist and can search the table's space.

    Raises:
        ValueError: one is unknown, repeated or unsuitable.
    """
    for method in methods:
        if method not in METHODS:
            raise ValueError(f"--samplers: {method!r} is not known; allowed: {', '.join(METHODS)}")
    if not methods or len(set(methods)) != len(methods):
        raise ValueError(
            f"--samplers: {','.join(methods)!r} is not allowed; each at most once, from {', '.join(METHODS)}"
        )
    for method in methods:
        check_sampler(_definition(table, method, 0), table.space)


def replay(
    table: Table,
    method: str,
    *,
    trials: int,
    seed: int,
    all_seeds: bool = False,
    objectives: tuple[str, ...] = ("val_accuracy",),
) -> Run:
    """Return one search of that many trials, simulated on the table; with `all_seeds` it sees the mean over a network's
    seeds.

    `trials` are whole trainings; rungs of a pruner cost their share. `objectives` are val_accuracy and possibly macs or
    params.
    """
    began = time.perf_counter()
    view = View(table, method, seed, all_seeds=all_seeds)
    rows = simulate(
        table, _definition(table, method, seed, objectives), view.look_up, budget=float(trials), on_result=view.take
    )
    view.run.own_seconds = sum(row.sampler_seconds or 0.0 for row in rows)
    view.run.wall_seconds = time.perf_counter() - began
    return view.run


def exhaustive_regret(table: Table, seed: int) -> float:
    """Return the regret of a search that sees every network with the seeds of one repeat: the effect of their noise."""
    view = View(table, "exhaustive", seed, all_seeds=False)
    best = max(table.grid, key=lambda values: view.seen(values).val_accuracy)
    return view.best_test - view.truth(best)[1]


def compare_methods(
    table: Table,
    methods: Sequence[str],
    *,
    trials: int,
    repeats: int,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> list[Run]:
    """Return searches with each method; repeat r of every method sees the same seed of each network."""
    out = []
    for method in methods:
        runs = [replay(table, method, trials=trials, seed=seed + repeat) for repeat in range(repeats)]
        out += runs
        say(f"{method}: {repeats} searches of {trials} trials in {sum(r.wall_seconds for r in runs):.1f} s")
    return out


def runs_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """Return one row per search and step."""
    return pd.DataFrame(
        [
            {
                "method": run.method,
                "repeat": run.repeat,
                "trial": spent,
                "hours": seconds / 3600,
                "val_regret": v,
                "test_regret": t,
            }
            for run in runs
            for spent, seconds, v, t in zip(run.spent, run.seconds, run.val_regret, run.test_regret, strict=True)
        ]
    )


def regret_at(run: Run, places: Array, *, over: str, kind: str = "test_regret") -> Array:
    """Return a search's regret at places on an axis (`spent` or `seconds`), (P,); NaN before its first result.

    After the last result a search keeps its pick; over seconds it has ended, which gives NaN.
    """
    axis, regret = np.asarray(getattr(run, over)), np.asarray(getattr(run, kind))
    found = np.searchsorted(axis, places + 1e-9, side="right") - 1
    out = np.where(found >= 0, regret[np.maximum(found, 0)], math.nan)
    return np.where(places > axis[-1] + 1e-9, math.nan, out) if over == "seconds" else out


def summary(runs: Sequence[Run], trials: int, floors: Sequence[float] = ()) -> pd.DataFrame:
    """Return one row per method: regrets after all trials with 95 % t intervals over repeats, the paired reduction of
    regret relative to random search, the regret above the floor of each repeat, and times.

    Runs on several tables are one sequence of repeats.
    """
    place = np.array([float(trials)])
    by_method = _by_method(runs)
    final = {
        method: {(run.table, run.repeat): float(regret_at(run, place, over="spent")[0]) for run in own}
        for method, own in by_method.items()
    }
    rows = []
    for method, own in by_method.items():
        row: dict[str, object] = {"method": method, "repeats": len(own), "trials": trials}
        for kind in ("test_regret", "val_regret"):
            values = np.array([regret_at(run, place, over="spent", kind=kind)[0] for run in own])
            row |= dict(zip((kind, f"{kind}_ci_low", f"{kind}_ci_high"), mean_interval(values), strict=True))
        if BASELINE in final and method != BASELINE:
            shared = [key for key in final[method] if key in final[BASELINE]]
            less = np.array([final[BASELINE][key] - final[method][key] for key in shared])
            names = ("lower_than_random", "lower_than_random_ci_low", "lower_than_random_ci_high")
            row |= dict(zip(names, mean_interval(less), strict=True))
        if len(floors):
            row["floor"] = float(np.mean(floors))
        row["hours"] = float(np.mean([run.seconds[-1] for run in own])) / 3600
        row["trainings"] = float(np.mean([run.spent[-1] for run in own]))
        row["networks"] = float(np.mean([len({frozenset(v.items()) for v in run.evaluated}) for run in own]))
        row["own_ms_per_trial"] = 1e3 * float(np.mean([run.own_seconds / len(run.spent) for run in own]))
        row["trials_per_second"] = sum(len(run.spent) for run in own) / sum(run.wall_seconds for run in own)
        rows.append(row)
    return pd.DataFrame(rows)


def mean_interval(values: Array) -> tuple[float, float, float]:
    """Return the mean with its 95 % t interval; the interval is NaN for fewer than two values."""
    mean = float(values.mean())
    if len(values) < 2:
        return mean, math.nan, math.nan
    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return mean, mean - half, mean + half


class View:
    """The results and costs that a search sees of a table, and the quality of its pick on the seeds that it does not
    see.
    """

    def __init__(self, table: Table, method: str, seed: int, *, all_seeds: bool) -> None:
        self.table, self.run = table, Run(method, seed, table=table.name)
        self._all_seeds = all_seeds
        generator = random.Random(seed)
        # In the order of the grid: repeat r of every method sees the same seed of a network.
        self._seed_of = {_place(values): generator.choice(table.seeds(values)) for values in table.grid}
        self._values_of = {table.model_of(values): values for values in table.grid}
        truths = [self.truth(values) for values in table.grid]
        self.best_val, self.best_test = max(t[0] for t in truths), max(t[1] for t in truths)
        self._pick: tuple[int, float, Values] | None = None

    def seen(self, values: Values, epochs: int | None = None) -> Measured:
        """Return the result that the search sees of a network, trained for a number of epochs or in full."""
        return self.table.trained(values, None if self._all_seeds else self._seed_of[_place(values)], epochs)

    def truth(self, values: Values) -> tuple[float, float]:
        """Return the validation and the test accuracy of a network over the seeds that are not seen."""
        hidden = [seed for seed in self.table.all_seeds(values) if seed != self._seed_of[_place(values)]]
        if self._all_seeds or not hidden:
            mean = self.table.at(values)
            return mean.val_accuracy, mean.test_accuracy
        found = [self.table.at(values, seed) for seed in hidden]
        return float(np.mean([m.val_accuracy for m in found])), float(np.mean([m.test_accuracy for m in found]))

    def look_up(self, trial: Trial) -> tuple[float, float]:
        """Return the validation accuracy of a trial, and the seconds that it takes."""
        seen = self.seen(self._values_of[canonical_json(trial.model)], trial.recipe.epochs)
        return seen.val_accuracy, seen.train_seconds

    def take(self, trial: Trial, accuracy: float, seconds: float, spent: float) -> None:
        """Add a result of the search: its cost, and the search's pick after it."""
        values = self._values_of[canonical_json(trial.model)]
        run = self.run
        share = 1.0 if trial.recipe.continues is None else 1 - trial.recipe.continues.epoch / trial.recipe.epochs
        clock = run.seconds[-1] if run.seconds else 0.0
        run.seconds.append(clock + share * seconds)
        rank = (trial.recipe.epochs, accuracy)
        if self._pick is None or rank > self._pick[:2]:
            self._pick = (*rank, values)
        val, test = self.truth(self._pick[2])
        run.val_regret.append(self.best_val - val)
        run.test_regret.append(self.best_test - test)
        run.spent.append(spent)
        run.evaluated.append(values)
        run.picked.append(self._pick[2])


def _place(values: Values) -> frozenset[tuple[str, Value]]:
    return frozenset(values.items())


def _definition(table: Table, method: str, seed: int, objectives: tuple[str, ...] = ("val_accuracy",)) -> Definition:
    sampler, pruner = (BASELINE, method) if method in RUNG_PRUNERS else (method, "none")
    return Definition(
        space=table.space.name,
        design=table.design,
        sampler=sampler,
        pruner=pruner,
        objectives=objectives,
        seed=seed,
        population=10 if sampler in POPULATED else Definition.population,
        semantics=SEMANTICS,
    )


def _by_method(runs: Sequence[Run]) -> dict[str, list[Run]]:
    out: dict[str, list[Run]] = {}
    for run in runs:
        out.setdefault(run.method, []).append(run)
    return out
