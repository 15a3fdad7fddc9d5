"""Search methods compared on a table: the same code as a real search's, with training replaced by looking up.

Each search sees the validation accuracy of one seed of a network, drawn once, as a search on a budget does, or the mean
over its seeds, as one with so many seeds per candidate does; its regret is how far the mean
test accuracy of what it would pick lies below that of the best network. The simulated clock adds up the training times
that were measured. A network that is suggested again is, as in a real search, neither paid for nor counted: the sampler
is told what is known of it.
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

from search.benchmark.tabular import Table
from search.design.definition import COUNTED, FREE_DRAW, MOST_REJECTIONS, POPULATED, SAMPLERS, SEMANTICS, Definition
from search.design.space import Value, Values
from search.engine.index import Index
from search.engine.ledger import Row
from search.engine.samplers import check_sampler, trial_seed

__all__ = [
    "METHODS",
    "Run",
    "check_methods",
    "compare_methods",
    "mean_interval",
    "ranks",
    "regret_at",
    "replay",
    "runs_frame",
    "summary",
]

METHODS = (*SAMPLERS, "hyperband")
_ETA = 3  # Hyperband's reduction factor
Array = NDArray[np.float64]


@dataclass
class Run:
    """One simulated search: for each step what was evaluated, then trainings spent (in whole ones), seconds, and
    regrets.
    """

    method: str
    repeat: int
    spent: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    val_regret: list[float] = field(default_factory=list)
    test_regret: list[float] = field(default_factory=list)
    evaluated: list[Values] = field(default_factory=list)
    picked: list[Values] = field(default_factory=list)
    own_seconds: float = 0.0  # that the method itself took
    wall_seconds: float = 0.0


def check_methods(methods: Sequence[str], table: Table) -> None:
    """Hold the methods against what is known and what can search the table's space.

    Raises:
        ValueError: one is unknown, occurs twice or cannot.
    """
    for method in methods:
        if method not in METHODS:
            raise ValueError(f"--samplers: {method!r} is not known; allowed: {', '.join(METHODS)}")
    if not methods or len(set(methods)) != len(methods):
        raise ValueError(
            f"--samplers: {','.join(methods)!r} is not allowed; each at most once, from {', '.join(METHODS)}"
        )
    for method in methods:
        if method != "hyperband":
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

    `objectives` are val_accuracy and, beside it, macs or params; Hyperband knows the first alone.
    """
    began = time.perf_counter()
    run = _Simulation(table, method, seed, all_seeds=all_seeds)
    if method == "hyperband":
        _hyperband(table, run, trials)
    else:
        _ask_and_tell(table, run, _definition(table, method, seed, objectives), trials)
    run.run.wall_seconds = time.perf_counter() - began
    return run.run


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

    After the last result a search keeps its pick; on the clock it is over then, which is NaN.
    """
    axis, regret = np.asarray(getattr(run, over)), np.asarray(getattr(run, kind))
    found = np.searchsorted(axis, places + 1e-9, side="right") - 1
    out = np.where(found >= 0, regret[np.maximum(found, 0)], math.nan)
    return np.where(places > axis[-1] + 1e-9, math.nan, out) if over == "seconds" else out


def summary(runs: Sequence[Run], trials: int) -> pd.DataFrame:
    """Return one row per method: the regrets after all trials with 95 % t intervals over repeats, the mean rank, and
    times.
    """
    rank, low, high = ranks(runs, trials)
    rows = []
    for i, (method, own) in enumerate(_by_method(runs).items()):
        row: dict[str, object] = {"method": method, "repeats": len(own), "trials": trials}
        for kind in ("test_regret", "val_regret"):
            values = np.array([regret_at(run, np.array([float(trials)]), over="spent", kind=kind)[0] for run in own])
            row |= dict(zip((kind, f"{kind}_ci_low", f"{kind}_ci_high"), mean_interval(values), strict=True))
        row |= {"mean_rank": rank[i], "mean_rank_ci_low": low[i], "mean_rank_ci_high": high[i]}
        row["hours"] = float(np.mean([run.seconds[-1] for run in own])) / 3600
        row["own_ms_per_trial"] = 1e3 * float(np.mean([run.own_seconds / len(run.spent) for run in own]))
        row["trials_per_second"] = sum(len(run.spent) for run in own) / sum(run.wall_seconds for run in own)
        rows.append(row)
    return pd.DataFrame(rows)


def ranks(runs: Sequence[Run], trials: int) -> tuple[Array, Array, Array]:
    """Return the mean rank of each method by regret after all trials (1 is best, ties share), with 95 % t intervals
    over repeats.
    """
    place = np.array([float(trials)])
    table = np.array([[regret_at(run, place, over="spent")[0] for run in own] for own in _by_method(runs).values()])
    ranked = stats.rankdata(table, axis=0)
    triples = np.array([mean_interval(row) for row in ranked])
    return triples[:, 0], triples[:, 1], triples[:, 2]


def mean_interval(values: Array) -> tuple[float, float, float]:
    """Return the mean with its 95 % t interval; the interval is NaN for fewer than two values."""
    mean = float(values.mean())
    if len(values) < 2:
        return mean, math.nan, math.nan
    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return mean, mean - half, mean + half


class _Simulation:
    """What a method sees, what it costs, and how good its pick is."""

    def __init__(self, table: Table, method: str, seed: int, *, all_seeds: bool) -> None:
        self.table, self.run = table, Run(method, seed)
        generator = random.Random(seed)
        self._seed_of = {
            frozenset(values.items()): None if all_seeds else generator.choice(table.seeds(values))
            for values in table.grid
        }
        means = [table.at(values) for values in table.grid]
        self._best_val, self._best_test = max(m.val_accuracy for m in means), max(m.test_accuracy for m in means)
        self._paid: dict[frozenset[tuple[str, Value]], float] = {}
        self._pick: tuple[int, float, Values] | None = None

    def evaluate(self, values: Values, epoch: int | None = None) -> float:
        """Return the validation accuracy of a network, up to an epoch; pay for what was not paid for."""
        place = frozenset(values.items())
        seen = self.table.at(values, self._seed_of[place], epoch)
        paid = self._paid.get(place, 0.0)
        clock = self.run.seconds[-1] if self.run.seconds else 0.0
        self.run.seconds.append(clock + max(seen.train_seconds - paid, 0.0))
        self._paid[place] = max(paid, seen.train_seconds)
        rank = (epoch or 10**9, seen.val_accuracy)
        if self._pick is None or rank > self._pick[:2]:
            self._pick = (*rank, values)
        mean = self.table.at(self._pick[2])
        self.run.val_regret.append(self._best_val - mean.val_accuracy)
        self.run.test_regret.append(self._best_test - mean.test_accuracy)
        self.run.evaluated.append(values)
        self.run.picked.append(self._pick[2])
        return seen.val_accuracy


def _definition(table: Table, sampler: str, seed: int, objectives: tuple[str, ...] = ("val_accuracy",)) -> Definition:
    population = 10 if sampler in POPULATED else Definition.population
    return Definition(
        space=table.space.name,
        design=table.design,
        sampler=sampler,
        objectives=objectives,
        seed=seed,
        population=population,
        semantics=SEMANTICS,
    )


def _ask_and_tell(table: Table, simulation: _Simulation, definition: Definition, trials: int) -> None:
    index, run = Index(definition, table.space), simulation.run
    first: dict[frozenset[tuple[str, Value]], int] = {}  # the suggestion that a network was trained for
    number = repeats = 0
    while len(first) < min(trials, len(table.grid)) and repeats < MOST_REJECTIONS:
        given = table.space.draw(random.Random(trial_seed(definition.seed, number))) if repeats >= FREE_DRAW else None
        asked = index.ask(given)
        run.own_seconds += asked.sampler_seconds
        twin = first.setdefault(frozenset(asked.values.items()), number)
        if twin != number:
            repeats += 1
            index.tell(Row(number=number, state="duplicate", params=asked.values, model="", twin=twin))
        else:
            repeats = 0
            known = {name: float(getattr(table.at(asked.values), name)) for name in COUNTED}
            known["val_accuracy"] = simulation.evaluate(asked.values)
            run.spent.append(float(len(first)))
            values = tuple(known[name] for name in definition.objectives)
            index.tell(Row(number=number, state="complete", params=asked.values, model="", values=values))
        number += 1


def _hyperband(table: Table, simulation: _Simulation, trials: int) -> None:
    """Li et al. 2018 (arXiv:1603.06560), Algorithm 1, over and over until the budget of whole trainings is spent."""
    generator = random.Random(f"hyperband {simulation.run.repeat}")
    most = len(table.at(table.grid[0]).val_curve)
    brackets = int(math.log(most, _ETA) + 1e-9)
    spent: dict[frozenset[tuple[str, Value]], float] = {}
    total = 0.0
    while True:
        for s in range(brackets, -1, -1):
            candidates = [table.space.draw(generator) for _ in range(math.ceil((brackets + 1) / (s + 1) * _ETA**s))]
            for i in range(s + 1):
                epochs = max(1, int(most * float(_ETA) ** (i - s) + 1e-9))
                scores = []
                for values in candidates:
                    place = frozenset(values.items())
                    extra = max(epochs - spent.get(place, 0.0), 0.0) / most
                    if total + extra > trials + 1e-9:
                        return
                    if extra == 0 and len(simulation.run.spent) > 50 * trials:  # the whole table is paid for
                        return
                    total += extra
                    spent[place] = max(spent.get(place, 0.0), float(epochs))
                    scores.append(simulation.evaluate(values, None if epochs == most else epochs))
                    simulation.run.spent.append(total)
                order = sorted(range(len(candidates)), key=lambda j: -scores[j])
                candidates = [candidates[j] for j in order[: max(1, len(candidates) // _ETA)]]


def _by_method(runs: Sequence[Run]) -> dict[str, list[Run]]:
    out: dict[str, list[Run]] = {}
    for run in runs:
        out.setdefault(run.method, []).append(run)
    return out
