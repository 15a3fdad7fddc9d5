"""Single searches where the optimum is known, and their regret: on a formula, and on a space trained whole.

`benchmarks.search_evidence` compares them.
"""

from __future__ import annotations

import functools
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ablations.design.options import Options as RunOptions
from ablations.design.study import Design
from ablations.statistics.pareto import hypervolume
from search.benchmark.replay import exhaustive_regret, regret_at, replay
from search.benchmark.tabular import Table
from search.design.definition import POPULATED, SEMANTICS, Definition
from search.design.space import Choice, Integer, Real, Space, Values, When
from search.engine.index import Index
from search.engine.ledger import Row
from search.engine.search_plan import BASELINE, plan_base

REFERENCE = np.array([1.5, 1.0])  # of the hypervolume: loss and cost
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
    """Return a design, which a search needs but which is not trained."""
    with tempfile.TemporaryDirectory() as folder:
        return plan_base(
            "search_analytic", "?", RunOptions(scale="smoke", dataset="synthetic", out=Path(folder))
        ).designs[BASELINE]


def analytic_search(method: str, trials: int, seed: int, *, num_objectives: int = 1) -> Array:
    """Return losses, and with two objectives costs, in the order of the trials, (trials, objectives)."""
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
    """Return the share of the whole box that the hypervolume lacks after each trial, (trials,)."""
    points = analytic_search(method, trials, seed, num_objectives=2)
    volumes = [hypervolume(points[: i + 1], REFERENCE) for i in range(trials)]
    left: Array = 1 - np.array(volumes) / REFERENCE.prod()
    return left


def table_regret(path: Path, method: str, trials: int, seed: int) -> Array:
    """Return the regret in mean validation accuracy after each trial of a search that sees it, (trials,)."""
    return _to_the_end(replay(read_table(path), method, trials=trials, seed=seed, all_seeds=True).val_regret, trials)


def one_seed_regret(path: Path, method: str, trials: int, seed: int) -> Array:
    """Return the regret in mean test accuracy after each trial of a search that sees one seed of a network,
    (trials,).
    """
    run = replay(read_table(path), method, trials=trials, seed=seed)
    return regret_at(run, np.arange(1.0, trials + 1), over="spent")


def floor(path: Path, seed: int) -> float:
    """Return the regret of a search that sees one seed of every network of a table."""
    return exhaustive_regret(read_table(path), seed)


def whole_table(path: Path, pruner: str, seed: int) -> tuple[float, float]:
    """Return the trainings that a pruner spends on every network of a table, and the regret of its pick."""
    table = read_table(path)
    run = replay(table, pruner, trials=len(table.grid), seed=seed)
    return run.spent[-1] / len(table.grid), run.test_regret[-1]


def table_front_regret(path: Path, method: str, trials: int, seed: int) -> Array:
    """Return the share that the front of accuracy and MACs lacks of the whole table's hypervolume after each trial,
    (trials,).
    """
    table = read_table(path)
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
    """A search that ended early keeps its last regret."""
    out = np.asarray(regret, dtype=float)
    return np.pad(out, (0, trials - len(out)), mode="edge")


@functools.cache
def read_table(path: Path) -> Table:
    """Return a table, which a process reads once."""
    return Table.read(path)


def hypervolumes(num_points: int, *, fronts: int = 20, size: int = 60) -> dict[str, Any]:
    """Return the largest difference of the project's hypervolume from Optuna's and from an estimate by random points,
    over fronts of random searches.
    """
    from optuna._hypervolume import compute_hypervolume

    points_in_box = np.random.default_rng(0).random((num_points, 2)) * REFERENCE
    exact, sigmas = 0.0, 0.0
    for seed in range(fronts):
        points = analytic_search("random", size, seed, num_objectives=2)
        own = hypervolume(points, REFERENCE)
        inside = points[(points < REFERENCE).all(axis=1)]
        exact = max(exact, abs(own - float(compute_hypervolume(inside, REFERENCE))))
        below = np.zeros(num_points, dtype=bool)
        for point in inside:
            below |= (points_in_box >= point).all(axis=1)
        share, box = own / REFERENCE.prod(), float(below.mean())
        sigmas = max(sigmas, abs(box - share) / math.sqrt(share * (1 - share) / num_points))
    return {"fronts": fronts, "largest_difference": exact, "largest_difference_thrown_sigmas": sigmas}
