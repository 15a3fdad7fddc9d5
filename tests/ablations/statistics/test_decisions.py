"""Verdicts and planning against scipy, simulation, mpmath and published numbers."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ablations.statistics import (
    VERDICTS,
    MoreSeeds,
    decide,
    difference_power,
    equivalence_power,
    more_seeds,
    sd_limit,
    seeds_needed,
    sentence,
    verdict_words,
)


def noncentral_power(effect: float, n: int, alpha: float) -> float:
    """Power of the two-sided t test by quadrature over the estimated standard deviation, with true standard deviation
    1.
    """
    with mpmath.workdps(20):
        df, shift = n - 1, mpmath.mpf(effect) * mpmath.sqrt(n)
        half = mpmath.mpf(df) / 2

        def tail(t: Any) -> Any:
            return mpmath.betainc(half, 0.5, 0, df / (df + t * t), regularized=True)

        def density(s: Any) -> Any:
            return 2 * half**half / mpmath.gamma(half) * s ** (df - 1) * mpmath.exp(-half * s * s)

        def beyond(s: Any) -> Any:
            return 1 - mpmath.ncdf(critical * s - shift) + mpmath.ncdf(-critical * s - shift)

        critical = mpmath.findroot(lambda t: tail(t) - alpha, (0.1, 1000), solver="bisect", tol=1e-24, maxsteps=100)
        return float(mpmath.quad(lambda s: density(s) * beyond(s), [0, 0.5, 1, 1.5, 2, 4, 8]))


@pytest.mark.parametrize(
    ("effect", "n", "alpha"), [(0.5, 34, 0.05), (1.0, 5, 0.05), (2.0, 3, 0.05 / 3), (1.0, 10, 0.02)]
)
def test_power_against_quadrature(effect: float, n: int, alpha: float) -> None:
    assert difference_power(effect, 1.0, n, alpha) == pytest.approx(noncentral_power(effect, n, alpha), abs=1e-7)


def test_power_of_a_published_example() -> None:
    # G*Power 3 (Faul et al. 2007): matched pairs, d_z = 0.5, two-sided α = .05: 34 pairs for a power of 0.8078
    assert difference_power(0.5, 1.0, 34) == pytest.approx(0.8078, abs=5e-5)
    assert difference_power(0.5, 1.0, 33) < 0.8


@pytest.mark.parametrize(("margin", "n", "effect"), [(1.0, 10, 0.0), (2.0, 5, 0.0), (1.0, 10, 1.0), (1.0, 3, 0.5)])
def test_equivalence_power_against_simulation(margin: float, n: int, effect: float) -> None:
    values = np.random.default_rng(n).normal(effect, 1.0, (100_000, 1, n))
    found = decide(values, margin)
    simulated = ((found.equivalence_low > -margin) & (found.equivalence_high < margin)).mean()
    assert equivalence_power(margin, 1.0, n, 0.05, effect) == pytest.approx(simulated, abs=0.006)


@pytest.mark.parametrize(("n", "quantile"), [(3, 0.4463), (5, 1.6488), (10, 5.3801)])
def test_upper_limit_of_the_standard_deviation(n: int, quantile: float) -> None:
    # 20 % quantiles of χ² from printed tables, and by mpmath
    assert sd_limit(2.0, n - 1) == pytest.approx(2 * math.sqrt((n - 1) / quantile), rel=1e-4)
    ratio = (2.0 / sd_limit(2.0, n - 1)) ** 2 * (n - 1)
    assert float(mpmath.gammainc(mpmath.mpf(n - 1) / 2, 0, ratio / 2, regularized=True)) == pytest.approx(
        0.2, abs=1e-10
    )


def test_seeds_needed_is_the_smallest() -> None:
    for margin, sd, alpha in [(0.01, 0.005, 0.05), (0.01, 0.01, 0.05 / 3), (0.005, 0.02, 0.05)]:
        n = seeds_needed(margin, sd, alpha)
        assert n is not None
        enough = [
            min(difference_power(margin, sd, m, alpha), equivalence_power(margin, sd, m, alpha)) >= 0.8
            for m in (n - 1, n)
        ]
        assert enough == [False, True]
    assert seeds_needed(1e-6, 1.0) is None
    assert seeds_needed(1.0, 1e-6) == 3


def test_more_seeds_is_a_range_that_grows_with_the_spread() -> None:
    found = more_seeds(0.01, 0.01, 4)
    assert found == MoreSeeds(
        median=seeds_needed(0.01, sd_limit(0.01, 4, 0.5)), limit=seeds_needed(0.01, sd_limit(0.01, 4))
    )
    assert str(found) == f"about {found.median} to {found.limit} fresh seeds"
    assert str(more_seeds(0.01, 0.0001, 29)) == "about 3 fresh seeds"
    assert str(more_seeds(0.01, 0.5, 4)) == "not feasible (more than 200 fresh seeds)"
    assert [more_seeds(None, 0.01, 4), more_seeds(0.01, 0.0, 4), more_seeds(0.01, math.nan, 4)] == [None] * 3
    # n = 3 and K = 4, where scipy's noncentral t gives NaN: each larger spread needs as many seeds or more
    spreads = np.geomspace(0.0003, 0.05, 60)
    for end in ("median", "limit"):
        needed = [getattr(more_seeds(0.01, sd, 3, 0.05 / 4, 2.0), end) or math.inf for sd in spreads]
        assert needed == sorted(needed)
        assert needed[0] == 3
        assert needed[-1] == math.inf


NOISE = np.array([-1.0, 0.5, 0.0, 1.0, -0.5]) * 0.001  # mean 0


def words(differences: Any, margin: float = 0.005, alpha: float = 0.05) -> list[str]:
    return [VERDICTS[v] for v in decide(np.asarray(differences), margin, alpha).verdict]


def test_verdicts() -> None:
    rows = [NOISE + 0.02, NOISE - 0.02, NOISE, 20 * NOISE, NOISE + 0.001]
    found = decide(np.stack(rows)[[0, 1, 2, 4]], 0.005)
    assert [VERDICTS[v] for v in found.verdict] == ["helps", "hurts", *["no meaningful effect"] * 2]
    assert found.at_least_margin.tolist() == [True, True, False, False]
    assert words(rows[3:4]) == ["inconclusive"]
    found = decide(np.stack([0.1 * NOISE + 0.002] * 2), 0.005)
    assert (found.p < 0.05).all()  # different from zero, and still not meaningful: equivalence comes first
    assert words([0.1 * NOISE + 0.002]) == ["no meaningful effect"]


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(2, 8), st.sampled_from([None, 0.002]))
@settings(max_examples=200, deadline=None)
def test_a_verdict_is_what_its_two_intervals_show(seed: int, k: int, n: int, grid: float | None) -> None:
    generator = np.random.default_rng(seed)
    effects, spread = generator.normal(0, 0.008, (k, 1)), generator.uniform(0.0005, 0.01, (k, 1))
    found = decide(generator.normal(effects, spread, (k, n)), 0.01, grid=grid)
    for i, verdict in enumerate(found.verdict):
        inside = found.equivalence_low[i] > -0.01 and found.equivalence_high[i] < 0.01
        shown = "helps" if found.low[i] > 0 else "hurts" if found.high[i] < 0 else "inconclusive"
        assert VERDICTS[verdict] == ("inconclusive" if n < 3 else "no meaningful effect" if inside else shown)
        assert (found.p[i] < 0.05) == (found.low[i] > 0 or found.high[i] < 0)
        assert found.low[i] < found.equivalence_low[i] < found.equivalence_high[i] < found.high[i]


def test_two_comparisons_have_plain_t_intervals() -> None:
    rows = np.stack([NOISE + 0.02, 3 * NOISE])
    found = decide(rows, 0.005)
    for row, low, high, inner in zip(rows, found.low, found.high, found.equivalence_high, strict=True):
        expected = stats.ttest_1samp(row, 0).confidence_interval(1 - 0.05 / 2)
        assert (low, high) == pytest.approx((expected.low, expected.high))
        assert inner == pytest.approx(stats.ttest_1samp(row, 0).confidence_interval(1 - 0.1 / 2).high)
    np.testing.assert_allclose(found.p, np.minimum(1, 2 * stats.ttest_1samp(rows, 0, axis=1).pvalue))


@pytest.mark.parametrize(("n", "prior"), [(3, 1), (5, 2), (10, 2)])
def test_variances_of_three_comparisons_are_shrunk_upwards_only(n: int, prior: int) -> None:
    rows = np.random.default_rng(n).normal(0, [[0.001], [0.002], [0.01]], (3, n))
    own = rows.var(axis=1, ddof=1)
    expected = np.maximum(own, (prior * own.mean() + (n - 1) * own) / (prior + n - 1))
    found = decide(rows, None)
    np.testing.assert_allclose(found.error, np.sqrt(expected / n))
    assert (found.degrees == n - 1 + prior).all()
    half = stats.t.ppf(1 - 0.05 / 6, n - 1 + prior) * np.sqrt(expected / n)
    np.testing.assert_allclose(found.high - found.mean, half)
    assert found.error[2] == pytest.approx(math.sqrt(own[2] / n))  # the noisiest keeps its own variance


def test_ties_have_the_variance_of_the_grid() -> None:
    found = decide(np.zeros((1, 5)), 0.01, grid=1 / 128)
    assert found.error[0] == pytest.approx(1 / 256 / math.sqrt(5))
    assert found.sd[0] == 0
    assert words(np.zeros((1, 5))) == ["inconclusive"]  # without a grid there is no variance


def test_below_three_pairs_there_is_no_verdict() -> None:
    assert words([[0.5, 0.5001]]) == ["inconclusive"]
    assert words([[0.0001, 0.0]]) == ["inconclusive"]


def test_without_a_margin_there_is_no_equivalence() -> None:
    found = decide(np.stack([NOISE + 0.02, NOISE]), None)
    assert [VERDICTS[v] for v in found.verdict] == ["helps", "inconclusive"]
    assert not found.at_least_margin.any()
    assert np.isfinite(found.equivalence_low).all()


def test_helping_by_less_than_the_margin_is_not_at_least_it() -> None:
    found = decide((5 * NOISE + 0.009)[np.newaxis], 0.007)
    assert VERDICTS[found.verdict[0]] == "helps"
    assert 0 < found.low[0] < 0.007
    assert not found.at_least_margin[0]


@pytest.mark.parametrize("row", [[math.nan] * 5, [0.1, *[math.nan] * 4], [0.02] * 5, [0.0] * 5])
def test_undecidable_is_inconclusive_and_counts_in_the_family(row: Any) -> None:
    alone = decide((NOISE + 0.001)[np.newaxis], None)
    both = decide(np.stack([NOISE + 0.001, np.array(row)]), 0.005)
    assert VERDICTS[both.verdict[1]] == "inconclusive"
    assert math.isnan(both.p[1])
    assert both.p[0] == pytest.approx(2 * alone.p[0])
    assert both.low[0] < alone.low[0]


def test_sentences() -> None:
    numbers = {"mean": 0.018, "low": 0.009, "high": 0.027, "equivalence_low": 0.011, "equivalence_high": 0.025}
    assert sentence(n=5, **numbers, p=0.01, sd=0.007) == (
        "+1.8 pp, 95 % [0.9, 2.7], 90 % [1.1, 2.5], n = 5 paired seeds, p = 0.01"
    )
    numbers = {"mean": -0.0004, "low": -0.001, "high": 0.0002, "equivalence_low": -0.0008, "equivalence_high": 0.0}
    assert sentence(n=5, **numbers, p=0.0004, sd=0.01) == (
        "−0.04 pp, 95 % [−0.10, 0.02], 90 % [−0.08, 0.00], n = 5 paired seeds, p < 0.001"
    )
    nothing = dict.fromkeys(numbers, math.nan) | {"p": math.nan}
    assert "nothing to compare" in sentence(n=0, **nothing, sd=math.nan)
    assert "one pair gives no interval" in sentence(n=1, **nothing | {"mean": 0.01}, sd=math.nan)
    assert "identical results in all 3" in sentence(n=3, **nothing | {"mean": 0.0}, sd=0.0)
    assert "no variance" in sentence(n=3, **nothing | {"mean": 0.02}, sd=0.0)
    assert sentence(n=2, **numbers, p=0.2, sd=0.01).endswith("; below 3 pairs there is no verdict")
    assert "identical results in every pair" in sentence(n=5, **numbers | {"mean": 0.0}, p=0.5, sd=0.0)


@pytest.mark.parametrize(("low", "shown"), [(0.0004, "[0.04, "), (-0.0004, "[−0.04, "), (0.00996, "[0.996, ")])
def test_rounding_moves_no_end_over_zero_or_the_margin(low: float, shown: str) -> None:
    text = sentence(
        n=5, mean=0.02, low=low, high=0.04, equivalence_low=0.015, equivalence_high=0.03, p=0.04, sd=0.01, margin=0.01
    )
    assert shown in text


def test_verdict_words() -> None:
    assert verdict_words("helps", margin=0.005, at_least_margin=True) == "helps by at least 0.5 pp"
    assert verdict_words("hurts", margin=0.005) == "hurts"
    assert verdict_words("no meaningful effect", margin=0.0025) == "no meaningful effect (within ±0.25 pp)"
    words = verdict_words("inconclusive", margin=0.005, more_seeds=MoreSeeds(median=12, limit=26))
    assert words == "inconclusive: about 12 to 26 fresh seeds"
    assert str(MoreSeeds(median=150, limit=None)) == "about 150 to more than 200 fresh seeds"
    assert verdict_words("inconclusive") == "inconclusive"
