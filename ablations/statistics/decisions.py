"""From paired differences to verdicts: one implementation for studies and for the simulations that check it.

A verdict is read off two intervals of the mean difference, both shown, and both simultaneous over the K comparisons of
a study (Bonferroni): a thin bar at 95 % and, inside it, a thick bar at 90 %. The thick bar within ±margin means *no
meaningful effect*, which takes precedence; otherwise the thin bar above 0 means *helps* and below 0 *hurts*; otherwise
the comparison is *inconclusive*. The thick bar is that of two one-sided tests (Schuirmann 1987), so either kind of
error has level α over the study.

Five pairs estimate a variance poorly. Where a study has three comparisons or more, the variance of each is therefore
shrunk towards the study's mean variance, worth a stated number of prior degrees of freedom (Smyth 2004 estimates that
number; here it is fixed), but only upwards: a variance is never made smaller than it was measured. Scores have a grid
(1 / number of test images), and no variance is below that of a coin flip between two neighbouring scores: without that
floor, ties on a small test set look like precision. `benchmarks.statistics` measures where all this holds and where it
does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ablations.statistics.paired import Array, Moments, moments

__all__ = [
    "ALPHA",
    "EQUIVALENT",
    "FEWEST_PAIRS",
    "HELPS",
    "HURTS",
    "INCONCLUSIVE",
    "SMALLEST_FAMILY",
    "VERDICTS",
    "Decisions",
    "decide",
    "moderate",
]

ALPHA = 0.05
FEWEST_PAIRS = 3  # below, there is no verdict
SMALLEST_FAMILY = 3  # comparisons with a variance; below, there is no mean variance to shrink towards

VERDICTS = ("inconclusive", "helps", "hurts", "no meaningful effect")
INCONCLUSIVE, HELPS, HURTS, EQUIVALENT = range(4)


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """The outcome of K comparisons with a baseline; every field has shape (..., K).

    `low` and `high` are the thin bar, `equivalence_low` and `equivalence_high` the thick one; `error` is the standard
    error and `degrees` the degrees of freedom behind both, `alpha` the level of the study at the look they were read.
    `verdict` indexes VERDICTS; `at_least_margin` is true where the whole thin bar is beyond the margin. Without
    variance there is NaN and no verdict. `sd` is the measured standard deviation, neither floored nor shrunk.
    """

    n: NDArray[np.int64]
    mean: Array
    sd: Array
    error: Array
    degrees: Array
    alpha: Array
    low: Array
    high: Array
    equivalence_low: Array
    equivalence_high: Array
    verdict: NDArray[np.int8]
    at_least_margin: NDArray[np.bool_]

    @property
    def p(self) -> Array:
        """Adjusted p of no difference, dual to the thin bar: below .05 exactly where that bar excludes 0."""
        family = max(1, self.mean.shape[-1])
        one_sided = special.stdtr(self.degrees, -np.abs(self.mean) / self.error)
        return np.asarray(np.minimum(1.0, 2 * family * one_sided * (ALPHA / self.alpha)))


def decide(
    differences: ArrayLike, margin: float | None, alpha: float = ALPHA, *, grid: ArrayLike | None = None
) -> Decisions:
    """Return the decisions on differences (..., K, n) at family-wise level α, against ±margin where one is given.

    `grid` is the step between neighbouring scores, a number or of shape (..., K). NaN is a pair that is missing; a
    comparison without data counts in K and is inconclusive.
    """
    of = moments(differences)
    family = max(1, of.mean.shape[-1])
    variance, degrees = moderate(of, grid)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(variance / of.n)
    thin = _quantile(degrees, 1 - alpha / (2 * family)) * error
    thick = _quantile(degrees, 1 - alpha / family) * error
    low, high = of.mean - thin, of.mean + thin
    equivalence_low, equivalence_high = of.mean - thick, of.mean + thick
    verdict = np.where(low > 0, HELPS, np.where(high < 0, HURTS, INCONCLUSIVE))
    beyond = np.zeros(verdict.shape, dtype=np.bool_)
    if margin is not None:
        verdict = np.where((equivalence_low > -margin) & (equivalence_high < margin), EQUIVALENT, verdict)
        beyond = ((verdict == HELPS) & (low >= margin)) | ((verdict == HURTS) & (high <= -margin))
    enough = of.n >= FEWEST_PAIRS
    return Decisions(
        n=of.n,
        mean=of.mean,
        sd=of.sd,
        error=error,
        degrees=degrees,
        alpha=np.full(of.mean.shape, alpha),
        low=low,
        high=high,
        equivalence_low=equivalence_low,
        equivalence_high=equivalence_high,
        verdict=np.where(enough, verdict, INCONCLUSIVE).astype(np.int8),
        at_least_margin=beyond & enough,
    )


def moderate(of: Moments, grid: ArrayLike | None = None) -> tuple[Array, Array]:
    """Return variance and degrees of freedom of K comparisons, each of shape (..., K); NaN where there is no variance.

    The variance is at least grid²/4. With three comparisons or more it is max(v, (d₀·v̄ + (n − 1)·v) / (d₀ + n − 1))
    on n − 1 + d₀ degrees of freedom, v̄ being the mean variance of the study, d₀ = 2, and 1 at three pairs, where 2
    would let one noisy comparison err too often.
    """
    own = np.where(of.n > 1, of.n - 1.0, np.nan)
    floor = 0.0 if grid is None else np.asarray(grid, dtype=np.float64) ** 2 / 4
    variance = np.maximum(of.sd**2, floor)
    variance = np.where((of.n > 1) & (variance > 0), variance, np.nan)
    known = ~np.isnan(variance)
    count = known.sum(axis=-1, keepdims=True)
    mean = np.where(known, variance, 0.0).sum(axis=-1, keepdims=True) / np.maximum(count, 1)
    prior = np.where(of.n > 3, 2.0, np.where(of.n == 3, 1.0, 0.0)) * (count >= SMALLEST_FAMILY)
    shrunk = (prior * mean + own * variance) / (prior + own)
    return np.maximum(variance, shrunk), own + prior


def _quantile(degrees: Array, probability: float) -> Array:
    """Quantile of Student's t for whole degrees of freedom, each distinct number computed once."""
    if not np.isfinite(degrees).any():
        return np.full(degrees.shape, np.nan)
    table = np.append(special.stdtrit(np.arange(1.0, np.nanmax(degrees) + 1), probability), np.nan)
    return np.asarray(table[np.where(np.isnan(degrees), len(table) - 1, degrees - 1).astype(np.int64)])
