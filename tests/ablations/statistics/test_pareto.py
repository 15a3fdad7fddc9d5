"""Fronts, hypervolumes and winners against independent results."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
from optuna._hypervolume import compute_hypervolume
from scipy import stats

from ablations.statistics.pareto import dominates, front, front_probability, hypervolume
from search.results.confirm import CONFIRMATION_SEED, confirmation_plan, losses, winners
from tests.search.simulated import Simulated, make_plan, run_search
from xception.base.canonical import canonical_json


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4])
def test_front_follows_the_definition(dimensions: int) -> None:
    generator = random.Random(dimensions)
    for size in (0, 1, 2, 30):
        points = [tuple(generator.randrange(5) for _ in range(dimensions)) for _ in range(size)]
        assert front(points) == [i for i, p in enumerate(points) if not any(dominates(q, p) for q in points)]


def test_equal_points_stay() -> None:
    assert front([(1, 2), (1, 2), (2, 1), (2, 2)]) == [0, 1, 2]


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4])
def test_hypervolume_is_that_of_two_others(dimensions: int) -> None:
    generator = np.random.default_rng(dimensions)
    points, reference = generator.random((9, dimensions)), np.full(dimensions, 0.9)
    inside = points[(points < reference).all(axis=1)]
    by_inclusion = sum(
        (-1) ** (size + 1) * np.prod(reference - np.max(subset, axis=0))
        for size in range(1, len(inside) + 1)
        for subset in itertools.combinations(inside, size)
    )
    assert hypervolume(points, reference) == pytest.approx(by_inclusion, rel=1e-9)
    if len(inside):
        assert hypervolume(points, reference) == pytest.approx(compute_hypervolume(inside, reference), rel=1e-9)


def test_winners_come_layer_by_layer(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "table", sampler="random", objectives=("val_accuracy", "macs"))
    search = run_search(plan, 20, Simulated())
    chosen = winners(search.rows, plan.definition, 12, canonical_json(plan.network))
    assert len(chosen) == 12
    for earlier, later in itertools.combinations(chosen, 2):
        assert not dominates(losses(later, plan.definition), losses(earlier, plan.definition))
    first = [losses(row, plan.definition) for row in chosen if row in winners(search.rows, plan.definition, 2, "")]
    assert first == sorted(first)


def test_the_network_to_compare_with_is_no_winner(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "table", sampler="random")
    search = run_search(plan, 72, Simulated())
    own = canonical_json(plan.network)
    assert any(row.model == own for row in search.rows)
    assert all(row.model != own for row in winners(search.rows, plan.definition, 72, own))


def test_winners_are_confirmed_with_seeds_that_no_search_saw(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "table", sampler="random")
    search = run_search(plan, 6, Simulated())
    chosen = winners(search.rows, plan.definition, 2, canonical_json(plan.network))
    study = confirmation_plan(plan, chosen, num_seeds=4, command="again")
    assert list(study.designs) == ["baseline", *(f"candidate {row.number}" for row in chosen)]
    trials = study.trials()
    assert {seed for _, seed in trials} == set(range(CONFIRMATION_SEED, CONFIRMATION_SEED + 4))
    assert len(trials) == 12
    searched = {key for row in search.rows for key in row.keys}
    assert not searched & {trial.key for trial in trials.values()}
    assert study.command == "again"
    assert not study.is_sequential  # at quick a study is, by default


def test_front_probability_is_that_of_a_t_test() -> None:
    cheap, dear = np.array([0.80, 0.82, 0.81, 0.83]), np.array([0.81, 0.82, 0.83, 0.83])
    found = front_probability([1, 2], [cheap, dear], np.random.default_rng(0), draws=200_000)
    differences = dear - cheap
    t = differences.mean() / (differences.std(ddof=1) / np.sqrt(4))
    assert found[0] == 1  # no other costs less
    assert found[1] == pytest.approx(stats.t.cdf(t, 3), abs=0.004)


def test_what_all_seeds_share_makes_a_front_no_less_sure() -> None:
    apart = np.array([[0.7, 0.9, 0.8], [0.71, 0.92, 0.81], [0.6, 0.8, 0.7]])
    assert front_probability([1, 2, 3], apart, np.random.default_rng(0)).tolist()[0] == 1
    assert front_probability([1, 2, 3], apart, np.random.default_rng(0))[2] < 0.01
    assert np.isnan(front_probability([1, 2], [[0.5], [0.6]], np.random.default_rng(0))).all()


def test_of_equal_costs_only_the_best_is_on_the_front() -> None:
    found = front_probability([5, 5], [[0.8, 0.7, 0.9], [0.7, 0.8, 0.9]], np.random.default_rng(1), draws=100_000)
    assert found.sum() == pytest.approx(1)
    assert found[0] == pytest.approx(0.5, abs=0.01)
