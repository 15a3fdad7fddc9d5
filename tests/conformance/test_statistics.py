"""The statistics against scipy and statsmodels, which are independent implementations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW

from ablations import statistics as own

VALUES = [np.random.default_rng(n).normal(0.004, 0.01, n) for n in (3, 5, 10, 20)]


@pytest.mark.parametrize("values", VALUES)
def test_paired_t(values: Any) -> None:
    of, theirs = own.moments(values), stats.ttest_1samp(values, 0)
    assert float(own.difference_p(of)) == pytest.approx(theirs.pvalue, rel=1e-9)
    interval, expected = own.t_interval(of, 0.99), theirs.confidence_interval(0.99)
    assert (float(interval.low), float(interval.high)) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("values", VALUES)
def test_equivalence(values: Any) -> None:
    p = DescrStatsW(values).ttost_mean(-0.01, 0.01)[0]
    found = own.decide(values[np.newaxis], 0.01)
    assert (own.VERDICTS[found.verdict[0]] == "no meaningful effect") == (p < 0.05)


@pytest.mark.parametrize(("effect", "n"), [(0.5, 34), (1.0, 5), (1.5, 8)])
def test_power(effect: float, n: int) -> None:
    assert own.difference_power(effect, 1.0, n) == pytest.approx(TTestPower().power(effect, n, 0.05), rel=1e-6)


def test_sign_flips() -> None:
    values = np.random.default_rng(1).normal(0.5, 1.0, 9)
    theirs = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert own.sign_flip_p(values) == pytest.approx(theirs.pvalue)


def test_mcnemar() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.random((1, 300)) < 0.7, generator.random((1, 300)) < 0.6
    counts = [[int((x & y).sum()) for y in (b, ~b)] for x in (a, ~a)]
    assert own.disagreement(a, b).p[0] == pytest.approx(mcnemar(counts, exact=True).pvalue)
