"""Holm, planning and verdicts against brute force, mpmath and published numbers."""

from __future__ import annotations

import itertools
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablations.statistics import (
    VERDICTS,
    decide,
    difference_power,
    equivalence_power,
    holm,
    more_seeds,
    sd_upper_limit,
    seeds_needed,
    sentence,
    verdict_words,
)


def closed_holm(p):
    """Adjusted p by closed testing: of every set of hypotheses that contains one, the smallest p times the size of the
    set.
    """
    k = len(p)
    subsets = [s for size in range(1, k + 1) for s in itertools.combinations(range(k), size)]
    return [max(min(1.0, len(s) * min(p[i] for i in s)) for s in subsets if j in s) for j in range(k)]


@given(st.lists(st.floats(0, 1) | st.sampled_from([0.01, 0.02]), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_holm_is_the_closed_test(p):
    np.testing.assert_allclose(holm(p), closed_holm(p), rtol=1e-12)


def test_holm_worked_example_and_nan():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.01, math.nan, 0.03]), [0.03, math.nan, 0.06])  # K stays 3
    np.testing.assert_allclose(holm([[0.5, 0.01], [0.02, 0.03]]), [[0.5, 0.02], [0.04, 0.04]])
    assert holm([]).shape == (0,)


def noncentral_power(effect, n, alpha):
    """Power of the two-sided t test by quadrature over the estimated standard deviation, with true standard deviation
    1.
    """
    with mpmath.workdps(20):
        df, shift = n - 1, mpmath.mpf(effect) * mpmath.sqrt(n)
        half = mpmath.mpf(df) / 2

        def tail(t):
            return mpmath.betainc(half, 0.5, 0, df / (df + t * t), regularized=True)

        def density(s):
            return 2 * half**half / mpmath.gamma(half) * s ** (df - 1) * mpmath.exp(-half * s * s)

        def beyond(s):
            return 1 - mpmath.ncdf(critical * s - shift) + mpmath.ncdf(-critical * s - shift)

        critical = mpmath.findroot(lambda t: tail(t) - alpha, (0.1, 1000), solver="bisect", tol=1e-24, maxsteps=100)
        return float(mpmath.quad(lambda s: density(s) * beyond(s), [0, 0.5, 1, 1.5, 2, 4, 8]))


@pytest.mark.parametrize(
    ("effect", "n", "alpha"), [(0.5, 34, 0.05), (1.0, 5, 0.05), (2.0, 3, 0.05 / 3), (1.0, 10, 0.02)]
)
def test_power_against_quadrature(effect, n, alpha):
    assert difference_power(effect, 1.0, n, alpha) == pytest.approx(noncentral_power(effect, n, alpha), abs=1e-7)


def test_power_of_a_published_example():
    # G*Power 3 (Faul et al. 2007): matched pairs, d_z = 0.5, two-sided α = .05: 34 pairs for a power of 0.8078
    assert difference_power(0.5, 1.0, 34) == pytest.approx(0.8078, abs=5e-5)
    assert difference_power(0.5, 1.0, 33) < 0.8


@pytest.mark.parametrize(("margin", "n", "effect"), [(1.0, 10, 0.0), (2.0, 5, 0.0), (1.0, 10, 1.0), (1.0, 3, 0.5)])
def test_equivalence_power_against_simulation(margin, n, effect):
    values = np.random.default_rng(n).normal(effect, 1.0, (100_000, 1, n))
    simulated = (decide(values, margin).equivalence_p <= 0.05).mean()
    assert equivalence_power(margin, 1.0, n, 0.05, effect) == pytest.approx(simulated, abs=0.006)


@pytest.mark.parametrize(("n", "quantile"), [(3, 0.4463), (5, 1.6488), (10, 5.3801)])
def test_upper_limit_of_the_standard_deviation(n, quantile):
    # 20 % quantiles of χ² from printed tables, and by mpmath
    assert sd_upper_limit(2.0, n) == pytest.approx(2 * math.sqrt((n - 1) / quantile), rel=1e-4)
    ratio = (2.0 / sd_upper_limit(2.0, n)) ** 2 * (n - 1)
    assert float(mpmath.gammainc(mpmath.mpf(n - 1) / 2, 0, ratio / 2, regularized=True)) == pytest.approx(
        0.2, abs=1e-10
    )


def test_seeds_needed_is_the_smallest():
    for margin, sd, alpha in [(0.01, 0.005, 0.05), (0.01, 0.01, 0.05 / 3), (0.005, 0.02, 0.05)]:
        n = seeds_needed(margin, sd, alpha)
        enough = [
            min(difference_power(margin, sd, m, alpha), equivalence_power(margin, sd, m, alpha)) >= 0.8
            for m in (n - 1, n)
        ]
        assert enough == [False, True]
    assert seeds_needed(1e-6, 1.0) is None
    assert seeds_needed(1.0, 1e-6) == 2


def test_more_seeds_ignores_the_effect_and_says_where_it_cannot_tell():
    assert more_seeds(0.01, 0.01, 5) == seeds_needed(0.01, sd_upper_limit(0.01, 5)) - 5
    assert more_seeds(0.01, 0.0001, 30) == 1
    assert [
        more_seeds(None, 0.01, 5),
        more_seeds(0.01, 0.0, 5),
        more_seeds(0.01, math.nan, 1),
        more_seeds(1e-7, 0.1, 3),
    ] == [None] * 4


NOISE = np.array([-1.0, 0.5, 0.0, 1.0, -0.5]) * 0.001  # mean 0


def words(differences, margin=0.005, alpha=0.05):
    return [VERDICTS[v] for v in decide(np.asarray(differences), margin, alpha).verdict]


def test_verdicts():
    rows = [NOISE + 0.02, NOISE - 0.02, NOISE, 8 * NOISE, NOISE + 0.003]
    found = decide(np.stack(rows), 0.005)
    assert [VERDICTS[v] for v in found.verdict] == [
        "helps",
        "hurts",
        "no meaningful effect",
        "inconclusive",
        "no meaningful effect",
    ]
    assert found.at_least_margin.tolist() == [True, True, False, False, False]
    assert found.p[4] <= 0.05  # different from nothing, and still of no meaning: equivalence comes first


def test_without_a_margin_there_is_no_equivalence():
    found = decide(np.stack([NOISE + 0.02, NOISE]), None)
    assert [VERDICTS[v] for v in found.verdict] == ["helps", "inconclusive"]
    assert not found.at_least_margin.any()
    assert np.isnan(found.equivalence_p).all()


def test_helping_by_less_than_the_margin_is_not_at_least_it():
    found = decide((5 * NOISE + 0.009)[np.newaxis], 0.007)
    assert VERDICTS[found.verdict[0]] == "helps"
    assert 0 < found.low[0] < 0.007
    assert not found.at_least_margin[0]


@pytest.mark.parametrize("row", [[math.nan] * 5, [0.1, *[math.nan] * 4], [0.02] * 5, [0.0] * 5])
def test_undecidable_is_inconclusive_and_counts_in_the_family(row):
    alone = decide((NOISE + 0.001)[np.newaxis], None)
    both = decide(np.stack([NOISE + 0.001, np.array(row)]), 0.005)
    assert VERDICTS[both.verdict[1]] == "inconclusive"
    assert math.isnan(both.p[1])
    assert both.p[0] == pytest.approx(2 * alone.p[0])
    assert both.low[0] < alone.low[0]


def test_sentences():
    assert (
        sentence(n=5, mean=0.018, low=0.009, high=0.027, p=0.01, sd=0.007)
        == "+1.8 pp [0.9, 2.7], n = 5 paired seeds, Holm p = 0.01"
    )
    assert sentence(n=5, mean=-0.0004, low=-0.001, high=0.0002, p=0.0004, sd=0.01) == (
        "−0.04 pp [−0.10, 0.02], n = 5 paired seeds, Holm p < 0.001"
    )
    text = sentence(
        n=5, mean=0.0, low=-0.004, high=0.004, p=1.0, sd=0.01, equivalence_p=0.02, verdict="no meaningful effect"
    )
    assert text == "0.0 pp [−0.4, 0.4], n = 5 paired seeds, Holm p of equivalence = 0.02"
    nan = math.nan
    assert "nothing to compare" in sentence(n=0, mean=nan, low=nan, high=nan, p=nan, sd=nan)
    assert "one pair gives no interval" in sentence(n=1, mean=0.01, low=nan, high=nan, p=nan, sd=nan)
    assert "identical results in all 3" in sentence(n=3, mean=0.0, low=nan, high=nan, p=nan, sd=0.0)
    assert "no variance" in sentence(n=3, mean=0.02, low=nan, high=nan, p=nan, sd=0.0)


def test_verdict_words():
    assert verdict_words("helps", margin=0.005, at_least_margin=True) == "helps by at least 0.5 pp"
    assert verdict_words("hurts", margin=0.005) == "hurts"
    assert verdict_words("no meaningful effect", margin=0.0025) == "no meaningful effect (within ±0.25 pp)"
    assert verdict_words("inconclusive", margin=0.005, more_seeds=1) == "inconclusive: about 1 more seed"
    assert verdict_words("inconclusive") == "inconclusive"
