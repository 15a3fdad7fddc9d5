"""Simulated studies: how differences are drawn, and, for comparison, the previous decision rule.

Every draw is in units of the margin δ: a baseline and K variants on shared seeds, so that differences share the
baseline's noise as real ones do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ablations.statistics import ALPHA, EQUIVALENT, HELPS, HURTS, INCONCLUSIVE, LOOKS, Array, moments, t_interval

__all__ = ["DISTRIBUTIONS", "Distribution", "earlier_auto", "earlier_fixed", "earlier_intervals"]

MARGIN_PP = 1.0  # δ in percentage points, where a test set gives scores a grid
Draw = Callable[[np.random.Generator, int, Array, int, float], Array]


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """How differences are drawn: `draw(generator, studies, effects (K,), n, sd)` gives (studies, K, n).

    `grid` is the step between scores over δ; `is_held` says whether the promise of 5 % covers it.
    """

    draw: Draw
    grid: float | None = None
    is_held: bool = True


def _shared(own: Array, baseline: Array) -> Array:
    """Differences of unit variance from own noise (studies, K, n) and the baseline's (studies, 1, n), both of unit
    variance.
    """
    return np.asarray((own - baseline) / np.sqrt(2))


def _normal(g: np.random.Generator, studies: int, effects: Array, n: int, sd: float) -> Array:
    noise = _shared(g.normal(size=(studies, len(effects), n)), g.normal(size=(studies, 1, n)))
    return sd * noise + effects[:, np.newaxis]


def _t3(g: np.random.Generator, studies: int, effects: Array, n: int, sd: float) -> Array:
    own, baseline = (g.standard_t(3, (studies, k, n)) / np.sqrt(3) for k in (len(effects), 1))
    return sd * _shared(own, baseline) + effects[:, np.newaxis]


def _exponential(g: np.random.Generator, studies: int, effects: Array, n: int, sd: float) -> Array:
    """Differences that are themselves exponential, without a baseline to cancel the skew."""
    return sd * (g.exponential(size=(studies, len(effects), n)) - 1) + effects[:, np.newaxis]


def _unstable(g: np.random.Generator, studies: int, effects: Array, n: int, sd: float) -> Array:
    """Unstable variants with a long left tail against a stable baseline."""
    own = 1 - g.exponential(size=(studies, len(effects), n))
    return sd * (own + 0.1 * g.normal(size=(studies, 1, n))) + effects[:, np.newaxis]


def _unequal(log_sd: float) -> Draw:
    def draw(g: np.random.Generator, studies: int, effects: Array, n: int, sd: float) -> Array:
        spread = np.exp(g.normal(0, log_sd, (studies, len(effects), 1)))
        return spread * _normal(g, studies, np.zeros_like(effects), n, sd) + effects[:, np.newaxis]

    return draw


def _one_times(factor: float) -> Draw:
    def draw(g: np.random.Generator, studies: int, effects: Array, n: int, sd: float) -> Array:
        spread = np.where(np.arange(len(effects)) == 0, factor, 1.0)[:, np.newaxis]
        return spread * _normal(g, studies, np.zeros_like(effects), n, sd) + effects[:, np.newaxis]

    return draw


def _test_set(images: int) -> Draw:
    """Scores rounded to whole images of a test set; the grid's offset is random, so that rounding is unbiased."""
    step = 100 / images / MARGIN_PP

    def draw(g: np.random.Generator, studies: int, effects: Array, n: int, sd: float) -> Array:
        offset = g.uniform(0, step, (studies, 1, 1))
        baseline = sd * g.normal(size=(studies, 1, n)) / np.sqrt(2)
        own = sd * g.normal(size=(studies, len(effects), n)) / np.sqrt(2) + effects[:, np.newaxis]
        return np.asarray(step * (np.round((own + offset) / step) - np.round((baseline + offset) / step)))

    return draw


DISTRIBUTIONS: dict[str, Distribution] = {
    "normal": Distribution(draw=_normal),
    "t with 3 degrees of freedom": Distribution(draw=_t3),
    "10,000 test images": Distribution(draw=_test_set(10_000), grid=0.01),
    "128 test images": Distribution(draw=_test_set(128), grid=100 / 128),
    "spreads of log-sd 0.4": Distribution(draw=_unequal(0.4)),
    "spreads of log-sd 0.8": Distribution(draw=_unequal(0.8)),
    **{
        f"one variant {name} as variable": Distribution(draw=_one_times(factor))
        for name, factor in (
            ("1/8", 1 / 8),
            ("2 times", 2.0),
            ("4 times", 4.0),
            ("8 times", 8.0),
            ("16 times", 16.0),
            ("30 times", 30.0),
        )
    },
    "exponential": Distribution(draw=_exponential, is_held=False),
    "unstable variants, left-skewed": Distribution(draw=_unstable, is_held=False),
}


# The previous rule: Holm's p for effects and for equivalence, with plain Bonferroni intervals


def earlier_fixed(differences: Array, margin: float, alpha: float = ALPHA) -> NDArray[np.int8]:
    """Return the verdicts that the earlier rule gave to differences (..., K, n)."""
    difference, equivalence, mean = _earlier_p(differences, margin)
    return _earlier_verdict(_holm(difference), _holm(equivalence), mean, alpha)


def earlier_intervals(differences: Array) -> tuple[Array, Array]:
    """Return the intervals that the earlier rule showed with its verdicts."""
    interval = t_interval(moments(differences), 1 - ALPHA / differences.shape[-2])
    return interval.low, interval.high


def earlier_auto(differences: Array, margin: float) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Return verdicts and seeds used of the earlier looks, which spent .005, .010, .015 and .020; no futility."""
    shape = differences.shape[:-1]
    verdict, used = np.full(shape, INCONCLUSIVE, dtype=np.int8), np.zeros(shape, dtype=np.int64)
    for look, alpha in zip(LOOKS, (0.005, 0.010, 0.015, 0.020), strict=True):
        running = verdict == INCONCLUSIVE
        used = np.where(running, look.seeds, used)
        difference, equivalence, mean = _earlier_p(differences[..., : look.seeds], margin)
        difference, equivalence = (_holm(np.where(running, p, 1.0)) for p in (difference, equivalence))
        verdict = np.where(running, _earlier_verdict(difference, equivalence, mean, alpha), verdict)
    return verdict, used


def _earlier_p(differences: Array, margin: float) -> tuple[Array, Array, Array]:
    of = moments(differences)
    degrees, error = differences.shape[-1] - 1, of.standard_error
    difference = 2 * special.stdtr(degrees, -np.abs(of.mean) / error)
    equivalence = special.stdtr(degrees, (np.abs(of.mean) - margin) / error)
    return np.asarray(difference), np.asarray(equivalence), of.mean


def _earlier_verdict(difference: Array, equivalence: Array, mean: Array, alpha: float) -> NDArray[np.int8]:
    found = np.where(difference <= alpha, np.where(mean > 0, HELPS, HURTS), INCONCLUSIVE)
    return np.where(equivalence <= alpha, EQUIVALENT, found).astype(np.int8)


def _holm(p: Array) -> Array:
    filled = np.where(np.isnan(p), 1.0, p)
    order = np.argsort(filled, axis=-1)
    steps = np.take_along_axis(filled, order, axis=-1) * np.arange(p.shape[-1], 0, -1)
    adjusted = np.empty_like(filled)
    np.put_along_axis(adjusted, order, np.minimum(np.maximum.accumulate(steps, axis=-1), 1.0), axis=-1)
    return adjusted
