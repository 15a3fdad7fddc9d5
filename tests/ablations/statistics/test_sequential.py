"""Seeds as needed: the error that each look spends, which variants stop, and that no look reads later seeds."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import stats

from ablations.statistics import LOOKS, VERDICTS, chance_of_verdict, decide, race
from ablations.statistics.sequential import FUTILE, RUNNING, SETTLED, SPENT

MARGIN = 0.005


def noise(seed: int = 0, variants: int = 3, sd: float = 0.004) -> Any:
    return np.random.default_rng(seed).normal(0, sd, (variants, 10))


def test_the_looks_spend_five_percent_as_the_cube_of_the_seeds() -> None:
    """Chance of a first crossing at each look under t tests of no difference, against .05 · (n / 10)³."""
    assert [look.seeds for look in LOOKS] == [3, 5, 8, 10]
    values = np.random.default_rng(0).normal(0, 1, (400_000, 10))
    crossed = np.zeros(len(values), dtype=bool)
    for look in LOOKS:
        crossed |= stats.ttest_1samp(values[:, : look.seeds], 0, axis=1).pvalue < look.alpha
        assert crossed.mean() == pytest.approx(0.05 * (look.seeds / 10) ** 3, abs=0.001)


def test_a_clear_effect_settles_at_once_and_reads_three_seeds() -> None:
    data = noise() + np.array([[0.5], [0.0], [0.0]])
    data[0, 3:] = math.nan  # never trained
    found = race(data, MARGIN)
    assert found.state[0] == SETTLED
    assert found.looks[0] == 1
    first = decide(data[:, :3], MARGIN, LOOKS[0].alpha)
    assert found.decisions.n[0] == 3
    assert found.decisions.low[0] == first.low[0]
    assert found.decisions.p[0] == first.p[0]
    assert (found.decisions.p[0] < 0.05) == (first.low[0] > 0 or first.high[0] < 0)


def test_the_future_changes_nothing_that_was_decided() -> None:
    for seed in range(20):
        data = noise(seed) + np.array([[0.02], [0.004], [0.0]])
        found = race(data, MARGIN)
        for k, looks in enumerate(found.looks):
            other = data.copy()
            other[k, LOOKS[looks - 1].seeds :] = 0.9
            again = race(other, MARGIN)
            assert again.looks[k] == looks
            assert again.decisions.verdict[k] == found.decisions.verdict[k]
            assert again.decisions.mean[k] == found.decisions.mean[k]


def test_a_stopped_variant_stays_in_the_family() -> None:
    """A replay by hand, look by look, of one study after another."""
    kinds = set()
    for seed in range(60):
        data = noise(seed, sd=0.006) + np.array([[0.03], [0.006], [0.001]])
        found = race(data, MARGIN)
        read = np.full(data.shape, math.nan)
        for index, look in enumerate(LOOKS):
            for k in np.flatnonzero(found.looks > index):
                read[k, : look.seeds] = data[k, : look.seeds]
            own = decide(read, MARGIN, look.alpha)
            for k in np.flatnonzero(found.looks == index + 1):
                for name in ("low", "high", "equivalence_low", "p", "verdict", "degrees"):
                    assert getattr(found.decisions, name)[k] == getattr(own, name)[k]
        kinds |= set(found.state.tolist())
        np.testing.assert_array_equal(found.state == SETTLED, found.decisions.verdict != 0)
    assert kinds == {SETTLED, FUTILE, SPENT}


def test_hopeless_variants_are_stopped() -> None:
    data = noise(3, 1, sd=0.2)  # a standard deviation of forty margins: ten seeds cannot decide
    found = race(data - data.mean(), MARGIN)
    assert found.state[0] == FUTILE
    assert found.chance[0] < 0.10
    assert VERDICTS[found.decisions.verdict[0]] == "inconclusive"


def test_a_look_waits_for_all_that_run() -> None:
    data = noise(1) + np.array([[0.5], [0.003], [0.003]])
    ended = np.zeros(data.shape, dtype=bool)
    assert (race(data, MARGIN, ended).looks == 0).all()
    assert (race(data, MARGIN, ended).state == RUNNING).all()
    ended[:, :3] = True
    first = race(data, MARGIN, ended)
    assert first.looks.tolist() == [1, 1, 1]
    assert first.state.tolist() == [SETTLED, RUNNING, RUNNING]
    ended[1, :5] = True
    assert race(data, MARGIN, ended).looks.tolist() == [1, 1, 1]  # the third has not ended yet
    ended[2, :5] = True
    assert race(data, MARGIN, ended).looks.tolist() == [1, 2, 2]  # the first, settled, is not waited for


def test_pairs_that_are_out_leave_the_look_to_the_others() -> None:
    data = noise(1, 1) + 0.5
    data[0, 1] = math.nan
    found = race(data, MARGIN)
    assert found.decisions.n[0] in (2, 4)
    nothing = race(np.full((2, 10), math.nan), MARGIN)
    assert (nothing.state == SPENT).all()
    assert np.isnan(nothing.decisions.p).all()
    assert [VERDICTS[v] for v in nothing.decisions.verdict] == ["inconclusive"] * 2


def test_no_variants() -> None:
    found = race(np.empty((0, 10)), MARGIN)
    assert found.state.shape == (0,)


def test_studies_side_by_side_are_decided_as_alone() -> None:
    data = np.random.default_rng(5).normal(0.004, 0.006, (50, 3, 10))
    together = race(data, MARGIN)
    for index in range(50):
        alone = race(data[index], MARGIN)
        np.testing.assert_array_equal(together.state[index], alone.state)
        np.testing.assert_array_equal(together.decisions.p[index], alone.decisions.p)


def test_chance_of_a_verdict_against_quadrature() -> None:
    values = 2 * np.array([[0.003, -0.001, 0.004, 0.0, 0.0015]])
    now = decide(values, MARGIN, 0.01)
    mean, sd = float(values.mean()), float(values.std(ddof=1))

    def density(t: Any) -> Any:
        return mpmath.gamma(2.5) / (mpmath.sqrt(4 * mpmath.pi) * mpmath.gamma(2)) * (1 + t * t / 4) ** mpmath.mpf(-2.5)

    def quantile(q: float) -> Any:
        def tail(t: Any) -> Any:
            return mpmath.betainc(4.5, 0.5, 0, 9 / (9 + t * t), regularized=True) / 2

        return mpmath.findroot(lambda t: tail(t) - (1 - q), (0.01, 100), solver="bisect", tol=1e-20, maxsteps=100)

    error, spread = sd / math.sqrt(10), sd * math.sqrt(1 / 5 - 1 / 10)
    different, within = quantile(0.99) * error, MARGIN - quantile(0.98) * error
    assert 0 < within < different
    ends = [(e - mean) / spread for e in (-different, -within, within, different)]
    missed = mpmath.quad(density, ends[:2]) + mpmath.quad(density, ends[2:])
    assert float(chance_of_verdict(now, 5, MARGIN, 0.02)[0]) == pytest.approx(float(1 - missed), abs=1e-7)
    assert chance_of_verdict(now, 5, 1.0, 0.02)[0] == 1
    assert np.isnan(chance_of_verdict(decide(np.zeros((1, 5)), MARGIN), 5, MARGIN, 0.02))[0]
