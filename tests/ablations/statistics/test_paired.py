"""Paired tests and intervals against mpmath, enumeration and worked examples from the literature."""

from __future__ import annotations

import itertools
import math
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import stats

from ablations.statistics import (
    bootstrap_interval,
    difference_p,
    hedges_g,
    moments,
    probability_of_improvement,
    seed_correlation,
    sign_flip_p,
    t_interval,
    wins,
)

# Student 1908, *The probable error of a mean*: additional hours of sleep, second drug less first.
SLEEP = (1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4)
# Darwin's maize in Fisher 1935, *The Design of Experiments*, §17: crossed less self-fertilised, eighths of an inch.
MAIZE = (49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48)


def t_below(t: Any, df: int) -> Any:
    """P(T ≤ t) by the incomplete beta function, 40 digits."""
    with mpmath.workdps(40):
        t, df = mpmath.mpf(t), mpmath.mpf(df)
        tail = mpmath.betainc(df / 2, mpmath.mpf(1) / 2, 0, df / (df + t * t), regularized=True) / 2
        return tail if t < 0 else 1 - tail


def t_quantile(q: float, df: int) -> Any:
    with mpmath.workdps(40):
        return mpmath.findroot(lambda t: t_below(t, df) - q, (0, 10_000), solver="bisect", tol=1e-26, maxsteps=200)


def test_student_sleep() -> None:
    of = moments(SLEEP)
    assert float(of.mean) == pytest.approx(1.58)
    assert float(of.mean / of.standard_error) == pytest.approx(4.0621, abs=5e-5)
    assert float(difference_p(of)) == pytest.approx(0.002833, abs=5e-7)
    interval = t_interval(of, 0.95)
    assert (float(interval.low), float(interval.high)) == pytest.approx((0.7001142, 2.4598858), abs=5e-8)


def test_fisher_maize() -> None:
    of = moments(MAIZE)
    assert float(of.mean * of.n) == pytest.approx(314)
    assert float(of.mean / of.standard_error) == pytest.approx(2.148, abs=5e-4)  # Fisher, §17
    assert float(difference_p(of)) == pytest.approx(0.0497, abs=5e-5)
    assert sign_flip_p(MAIZE) == 2 * 863 / 2**15  # Fisher, §21: 863 of 32,768 in each tail


@pytest.mark.parametrize("df", [1, 2, 4, 9, 29])
@pytest.mark.parametrize("level", [0.5, 0.95, 1 - 0.05 / 8, 1 - 0.005 / 8])
def test_interval_against_mpmath(df: int, level: float) -> None:
    values = np.random.default_rng(df).normal(0.01, 0.02, df + 1)
    with mpmath.workdps(40):
        exact = [mpmath.mpf(float(v)) for v in values]
        mean = mpmath.fsum(exact) / len(exact)
        error = mpmath.sqrt(mpmath.fsum((v - mean) ** 2 for v in exact) / df / len(exact))
        half = t_quantile((1 + mpmath.mpf(level)) / 2, df) * error
    interval = t_interval(moments(values), level)
    assert float(interval.low) == pytest.approx(float(mean - half), rel=1e-9)
    assert float(interval.high) == pytest.approx(float(mean + half), rel=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.004, -0.02, 0.3])
@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_p_against_mpmath(n: int, shift: float) -> None:
    values = np.random.default_rng(n).normal(0, 0.01, n) + shift
    of = moments(values)
    t = float(of.mean) / float(of.standard_error)
    assert float(difference_p(of)) == pytest.approx(float(2 * t_below(-abs(t), n - 1)), rel=1e-9)


def test_moments_leave_nan_out_row_by_row() -> None:
    values = np.array([[1.0, np.nan, 3.0, 5.0], [np.nan, np.nan, 2.0, np.nan], [np.nan] * 4, [7.0, 7.0, 7.0, 7.0]])
    of = moments(values)
    np.testing.assert_array_equal(of.n, [3, 1, 0, 4])
    np.testing.assert_allclose(of.mean, [3, 2, np.nan, 7])
    np.testing.assert_allclose(of.sd, [2, np.nan, np.nan, 0])


@pytest.mark.parametrize(
    "values", [(), (0.1,), (0.02, 0.02, 0.02), (0.0, 0.0), (0.71 - 0.70, 0.72 - 0.71, 0.73 - 0.72), (math.nan, 0.1)]
)
def test_without_variance_nothing_is_claimed(values: Any) -> None:
    of = moments(np.array(values, dtype=float))
    interval = t_interval(of)
    results = [difference_p(of), interval.low, interval.high, hedges_g(of)]
    assert all(math.isnan(float(result)) for result in results)


def test_hedges_correction_against_the_published_table() -> None:
    # Hedges 1981, *Distribution theory for Glass's estimator*, table 1: c(m) by degrees of freedom
    for m, c in {2: 0.5642, 3: 0.7236, 4: 0.7979, 5: 0.8408, 10: 0.9228}.items():
        values = np.arange(m + 1.0)
        assert float(hedges_g(moments(values))) == pytest.approx(c * values.mean() / values.std(ddof=1), abs=5e-4)
    assert math.isnan(float(hedges_g(moments([0.1, 0.2]))))


def test_wins_count_no_ties() -> None:
    assert wins([0.1, 0.0, -0.1, 0.2, math.nan]) == 2


def test_probability_of_improvement_counts_all_pairs_of_runs() -> None:
    assert probability_of_improvement([0.3, 0.1], [0.2, 0.1]) == (1 + 1 + 0 + 0.5) / 4
    x, y = np.random.default_rng(0).normal(0, 1, (2, 20))
    assert probability_of_improvement(x, y) == pytest.approx(stats.mannwhitneyu(x, y).statistic / 400)
    assert math.isnan(probability_of_improvement([], [0.1]))


def test_seed_correlation() -> None:
    x, y = [1.0, 2.0, 4.0, math.nan], [2.0, 1.0, 5.0, 9.0]
    mx, my = 7 / 3, 8 / 3
    products = sum((a - mx) * (b - my) for a, b in zip(x[:3], y[:3], strict=True))
    scale = math.sqrt(sum((a - mx) ** 2 for a in x[:3]) * sum((b - my) ** 2 for b in y[:3]))
    assert seed_correlation(x, y) == pytest.approx(products / scale)
    assert math.isnan(seed_correlation(x[:2], y[:2]))
    assert math.isnan(seed_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]))


@pytest.mark.parametrize("n", [6, 7, 10])
def test_sign_flips_against_enumeration(n: int) -> None:
    # whole hundredths make ties, where rounding must not decide
    values = np.random.default_rng(n).integers(-3, 8, n) / 100
    flips = np.array(list(itertools.product([-1, 1], repeat=n))) @ np.round(100 * values).astype(int)
    expected = (np.abs(flips) >= abs(round(100 * values.sum()))).mean()
    assert sign_flip_p(values) == expected


def test_sign_flips_only_where_they_can_tell() -> None:
    assert math.isnan(sign_flip_p([1.0] * 5))
    assert sign_flip_p([1.0] * 6) == 2 / 64
    assert sign_flip_p([0.0] * 6) == 1
    assert sign_flip_p([1.0] * 40) == 2 / 2**40
    assert math.isnan(sign_flip_p([1.0] * 41))


def test_bootstrap_is_refused_where_it_would_mislead() -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match="14 pairs are not allowed; at least 15"):
        bootstrap_interval(np.arange(14.0), 0.95, generator)
    with pytest.raises(ValueError, match="same number"):
        bootstrap_interval(np.ones(20), 0.95, generator)


def test_bootstrap_against_the_formula() -> None:
    """Efron 1987: bias z₀ from the share of resampled means below the mean, acceleration a from the jackknife."""
    values = np.random.default_rng(1).exponential(1.0, 20)
    means = np.random.default_rng(2).choice(values, (200_000, 20)).mean(axis=1)

    def normal(p: float) -> float:
        return float(mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1))

    bias = normal(((means < values.mean()).mean() + (means <= values.mean()).mean()) / 2)
    left_out = (values.sum() - values) / 19
    lean = left_out.mean() - left_out
    acceleration = (lean**3).sum() / (6 * (lean**2).sum() ** 1.5)
    ends = [
        float(mpmath.ncdf(bias + (bias + z) / (1 - acceleration * (bias + z)))) for z in (normal(0.025), normal(0.975))
    ]
    interval = bootstrap_interval(values, 0.95, np.random.default_rng(3), resamples=50_000)
    assert [float(interval.low), float(interval.high)] == pytest.approx(list(np.quantile(means, ends)), abs=0.01)
