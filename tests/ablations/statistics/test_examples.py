"""Test examples, learning curves, factorial contrasts and distances from a curve, by hand and by brute force."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from ablations.statistics import (
    area_under_curve,
    contrasts,
    crossed_interval,
    disagreement,
    epochs_to_reach,
    moments,
    pack_correct,
    per_seed,
    seed_disagreement,
    t_interval,
    unpack_correct,
    vertical_distance,
)


@pytest.mark.parametrize("num_examples", [1, 7, 8, 9, 100])
def test_packed_correctness_comes_back(num_examples: int) -> None:
    correct = np.random.default_rng(num_examples).random(num_examples) < 0.5
    packed = pack_correct(correct)
    assert len(packed) == math.ceil(num_examples / 8)
    np.testing.assert_array_equal(unpack_correct(packed, num_examples), correct)


def test_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="correct: 2 bytes are not allowed; 3 for 17 examples"):
        unpack_correct(b"ab", 17)


def test_crossed_interval_by_sums_of_squares() -> None:
    """The analysis of variance in fractions, from its definition."""
    x = [[1, 0, 1, 1, 0], [1, -1, 1, 0, 0], [1, 0, 1, 1, -1]]
    seeds, examples = 3, 5
    mean = Fraction(sum(map(sum, x)), 15)
    rows = [Fraction(sum(row), examples) for row in x]
    columns = [Fraction(sum(row[e] for row in x), seeds) for e in range(examples)]
    square_seeds = examples * sum((r - mean) ** 2 for r in rows) / 2
    square_examples = seeds * sum((c - mean) ** 2 for c in columns) / 4
    square_rest = sum((x[s][e] - rows[s] - columns[e] + mean) ** 2 for s in range(seeds) for e in range(examples)) / 8
    t2, t4 = 4.302652729749464, 2.7764451051977934  # 97.5 % quantiles of t, printed tables with more digits
    assert square_examples > square_rest
    half = math.sqrt((t2**2 * square_seeds + t4**2 * (square_examples - square_rest)) / 15)
    interval = crossed_interval(x)
    assert (float(interval.low), float(interval.high)) == pytest.approx((float(mean) - half, float(mean) + half))


def test_crossed_interval_is_never_narrower_than_that_of_seeds() -> None:
    generator = np.random.default_rng(0)
    for spread in (0.0, 0.3, 1.0):
        x = generator.normal(0, 1, (4, 50)) + spread * generator.normal(0, 1, (1, 50))
        crossed, seeds = crossed_interval(x), t_interval(moments(x.mean(axis=1)))
        assert crossed.low <= seeds.low + 1e-12
        assert crossed.high >= seeds.high - 1e-12


@pytest.mark.parametrize("shape", [(1, 50), (5, 1)])
def test_crossed_interval_needs_two_of_either(shape: Any) -> None:
    assert math.isnan(float(crossed_interval(np.random.default_rng(0).random(shape)).low))
    assert math.isnan(float(crossed_interval(np.ones((5, 50))).low))


def test_crossed_interval_covers_new_seeds_and_new_examples() -> None:
    generator = np.random.default_rng(1)
    hits = []
    for _ in range(1000):
        x = generator.normal(0, 0.1, (4, 1)) + generator.normal(0, 0.5, (1, 100)) + generator.normal(0, 1, (4, 100))
        interval = crossed_interval(x)
        hits.append(interval.low <= 0 <= interval.high)
    assert 0.93 <= np.mean(hits) <= 0.98


def test_disagreement_is_mcnemar() -> None:
    # Agresti, *Categorical Data Analysis*, table 10.1: approval of a prime minister in two surveys, 794, 150, 86 and
    # 570 people
    first = np.repeat([True, True, False, False], [794, 150, 86, 570])[np.newaxis]
    second = np.repeat([True, False, True, False], [794, 150, 86, 570])[np.newaxis]
    found = disagreement(first, second)
    assert found.only_variant == pytest.approx(150 / 1600)
    assert found.only_baseline == pytest.approx(86 / 1600)
    assert found.rate == pytest.approx(236 / 1600)
    exact = 2 * sum(mpmath.binomial(236, k) for k in range(87)) / mpmath.mpf(2) ** 236
    assert found.p[0] == pytest.approx(float(exact), rel=1e-9)
    same = disagreement(first, first)
    assert (same.rate, same.p[0]) == (0.0, 1.0)


def test_seed_disagreement() -> None:
    correct = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)
    assert seed_disagreement(correct) == pytest.approx((1 / 4 + 2 / 4 + 3 / 4) / 3)
    assert math.isnan(seed_disagreement(correct[:1]))


def test_curves() -> None:
    curves = np.array([[0.0, 0.5, 1.0], [0.2, 0.5, 0.8], [0.1, 0.2, math.nan]])
    np.testing.assert_allclose(area_under_curve([1, 2, 4], curves), [(0.25 + 1.5) / 3, (0.35 + 1.3) / 3, math.nan])
    np.testing.assert_allclose(area_under_curve([3], curves[:, :1]), curves[:, 0])
    np.testing.assert_array_equal(epochs_to_reach([1, 2, 4], curves, 0.5), [2, 2, math.nan])


CELLS = [{"a": a, "b": b, "c": c} for a, b, c in itertools.product((0, 1), ("x", "y"), (False, True))]


def test_factorial_effects_come_back() -> None:
    """Accuracies with known effects, one set per seed; treatment coding averaged over the other factors."""
    generator = np.random.default_rng(0)
    base, a, b, ab = generator.normal(0, 1, (4, 6))
    values = np.stack(
        [
            base + a * (cell["a"] == 1) + b * (cell["b"] == "y") + ab * (cell["a"] == 1 and cell["b"] == "y")
            for cell in CELLS
        ]
    )
    found = {c.name: per_seed(c, values) for c in contrasts(CELLS, CELLS[0], order=3)}
    assert list(found) == ["a=1", "b=y", "c=True", "a=1 × b=y", "a=1 × c=True", "b=y × c=True", "a=1 × b=y × c=True"]
    np.testing.assert_allclose(found["a=1"], a + ab / 2)
    np.testing.assert_allclose(found["b=y"], b + ab / 2)
    np.testing.assert_allclose(found["a=1 × b=y"], ab)
    for name in ("c=True", "a=1 × c=True", "b=y × c=True", "a=1 × b=y × c=True"):
        np.testing.assert_allclose(found[name], 0, atol=1e-12)


def test_factors_of_three_levels_and_a_missing_cell() -> None:
    cells = [{"a": a, "b": b} for a in (0, 1, 2) for b in (0, 1)]
    values = np.arange(12.0).reshape(6, 2) ** 2
    values[5, 1] = math.nan
    found = {c.name: per_seed(c, values) for c in contrasts(cells, {"a": 1, "b": 0})}
    assert list(found) == ["a=0", "a=2", "b=1", "a=0 × b=1", "a=2 × b=1"]
    assert found["a=2"][0] == pytest.approx(((64 - 16) + (100 - 36)) / 2)
    assert found["a=2 × b=1"][0] == pytest.approx((100 - 64) - (36 - 16))
    assert np.isnan([found[name][1] for name in ("a=2", "b=1", "a=2 × b=1")]).all()
    assert not math.isnan(found["a=0"][1])  # does not use the cell


@pytest.mark.parametrize(
    ("cells", "reference", "message"),
    [
        (CELLS[:-1], CELLS[0], "0 cells with a=1, b=y, c=True"),
        ([*CELLS, CELLS[0]], CELLS[0], "2 cells"),
        (CELLS, {"a": 0, "b": "x"}, "factors a, b, c are not allowed; a, b"),
        (CELLS, {"a": 7, "b": "x", "c": False}, "one of the cells"),
        (CELLS, {}, "at least one"),
    ],
)
def test_what_is_no_factorial_is_refused(cells: Any, reference: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        contrasts(cells, reference)


def test_vertical_distance_from_a_straight_line_over_log_macs() -> None:
    sizes = np.array([4e6, 1e6, 2e6])
    seeds = np.array([0.0, 0.01, -0.02])
    curve = 0.1 * np.log2(sizes / 1e6)[:, np.newaxis] + seeds
    gains = np.array([0.03, 0.05, 0.04])
    found = vertical_distance(2e6 * math.sqrt(2), 0.15 + seeds + gains, sizes, curve)
    np.testing.assert_allclose(found.per_seed, gains)
    assert found.n == 3
    assert found.mean == pytest.approx(0.04)
    assert found.high - found.mean == pytest.approx(4.302652729749464 * 0.01 / math.sqrt(3))
    on_a_width = vertical_distance(2e6, 0.1 + seeds, sizes, np.where(np.arange(3)[:, np.newaxis] == 0, math.nan, curve))
    np.testing.assert_allclose(on_a_width.per_seed, 0, atol=1e-12)  # needs no missing neighbour


def test_vertical_distance_does_not_guess() -> None:
    with pytest.raises(ValueError, match="5e\\+06 is not allowed; 1e\\+06 to 4e\\+06"):
        vertical_distance(5e6, [0.1, 0.2], [1e6, 4e6], [[0.1, 0.1], [0.2, 0.2]])
    with pytest.raises(ValueError, match="1 widths are not allowed"):
        vertical_distance(1e6, [0.1, 0.2], [1e6], [[0.1, 0.1]])
