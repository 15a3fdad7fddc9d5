"""Paired per-seed differences: moments, t intervals and tests, effect size, sign flips, bootstrap.

Everything that a simulation repeats is vectorised: differences have shape (..., n), NaN marks a missing pair, and
results have shape (...). The t statistics follow Student 1908, the effect size Hedges 1981, sign flips Fisher 1935
(*The Design of Experiments*, §21), the bootstrap Efron 1987 (BCa).

Fewer than two pairs, or differences that are all the same number, leave no variance to build a test on: the interval
and the p are NaN there, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

__all__ = [
    "MINIMUM_FOR_BOOTSTRAP",
    "MINIMUM_FOR_SIGN_FLIP",
    "Array",
    "Interval",
    "Moments",
    "bootstrap_interval",
    "difference_p",
    "hedges_g",
    "moments",
    "probability_of_improvement",
    "seed_correlation",
    "sign_flip_p",
    "t_interval",
    "wins",
]

Array = NDArray[np.float64]

MINIMUM_FOR_SIGN_FLIP = 6  # below, 2 / 2**n is above .03: the test could hardly reject
MAXIMUM_FOR_SIGN_FLIP = 40  # two halves of 2**20 sums each
MINIMUM_FOR_BOOTSTRAP = 15  # at n = 3 BCa covers 72 % at a nominal 95 %
ROUNDING = 1e-12  # a standard deviation below this is rounding error of one number


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Number of pairs, mean and standard deviation (n − 1) of differences, each of shape (...)."""

    n: NDArray[np.int64]
    mean: Array
    sd: Array

    @property
    def standard_error(self) -> Array:
        """Standard error of the mean; NaN without variance."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.sd > 0, self.sd / np.sqrt(self.n), np.nan)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Both ends of a confidence interval; NaN where undefined."""

    low: Array
    high: Array


def moments(differences: ArrayLike) -> Moments:
    """Return n, mean and standard deviation over the last axis of (..., n), leaving NaN out."""
    values = np.asarray(differences, dtype=np.float64)
    present = ~np.isnan(values)
    n = present.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(present, values, 0.0).sum(axis=-1) / np.where(n > 0, n, np.nan)
        squares = np.where(present, (values - mean[..., np.newaxis]) ** 2, 0.0).sum(axis=-1)
        sd = np.sqrt(squares / np.where(n > 1, n - 1, np.nan))
    return Moments(n=n, mean=mean, sd=np.where(sd < ROUNDING, 0.0, sd))


def t_interval(of: Moments, level: float | Array = 0.95) -> Interval:
    """Return the t interval of the mean at the given confidence level, in (0, 1)."""
    half = special.stdtrit(_degrees(of), (1 + np.asarray(level)) / 2) * of.standard_error
    return Interval(low=of.mean - half, high=of.mean + half)


def difference_p(of: Moments) -> Array:
    """Return the two-sided p of the paired t test of no difference; NaN where there is no variance."""
    return np.asarray(2 * special.stdtr(_degrees(of), -np.abs(of.mean) / of.standard_error))


def hedges_g(of: Moments) -> Array:
    """Return g_z, mean over standard deviation of the differences, unbiased under normality; NaN below three pairs.

    The factor is Hedges' exact J(m) = Γ(m/2) / (√(m/2) Γ((m − 1)/2)) at m = n − 1, which is zero at m = 1.
    """
    m = np.where(of.n > 2, of.n - 1.0, np.nan)
    factor = np.exp(special.gammaln(m / 2) - special.gammaln((m - 1) / 2)) / np.sqrt(m / 2)
    return np.asarray(factor * of.mean / (of.standard_error * np.sqrt(of.n)))


def wins(differences: ArrayLike) -> int:
    """Return the number of pairs (n,) in which the variant is better; ties do not count."""
    return int((np.asarray(differences, dtype=np.float64) > 0).sum())


def probability_of_improvement(variant: ArrayLike, baseline: ArrayLike) -> float:
    """Return the chance that a run of the variant beats a run of the baseline, over all pairs of their runs.

    The statistic of Mann and Whitney, as rliable reports it (Agarwal et al. 2021); a tie counts one half. NaN without
    runs.
    """
    x, y = np.asarray(variant, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if not x.size or not y.size:
        return float("nan")
    steps = x[:, np.newaxis] - y
    return float((steps > ROUNDING).mean() + (np.abs(steps) <= ROUNDING).mean() / 2)


def seed_correlation(variant: ArrayLike, baseline: ArrayLike) -> float:
    """Return Pearson's correlation over the pairs of two (n,): the benefit of pairing by seed; NaN below three or
    without variance.
    """
    x, y = np.asarray(variant, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    both = ~np.isnan(x) & ~np.isnan(y)
    x, y = x[both], y[both]
    if len(x) < 3 or x.std() < ROUNDING or y.std() < ROUNDING:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def sign_flip_p(differences: ArrayLike) -> float:
    """Return the exact two-sided p of the mean of (n,) over all 2**n flips of sign; NaN below 6 pairs or above 40.

    Exact where differences are symmetric around zero under the null, whatever their distribution. The sums of
    two halves are enumerated and joined by bisection, so that n = 40 costs two million sums, not 2**40.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[~np.isnan(values)]
    n = len(values)
    if not MINIMUM_FOR_SIGN_FLIP <= n <= MAXIMUM_FOR_SIGN_FLIP:
        return float("nan")
    size = np.abs(values)
    bound = abs(float(values.sum())) - 1e-9 * float(size.sum())  # a tie counts, also if rounding hides it
    first, second = _signed_sums(size[: n // 2]), np.sort(_signed_sums(size[n // 2 :]))
    above = len(second) - np.searchsorted(second, bound - first, side="left")
    count = 2 * int(above.sum()) if bound > 0 else 2**n
    return float(count / 2**n)


def bootstrap_interval(
    differences: ArrayLike, level: float, generator: np.random.Generator, resamples: int = 9999
) -> Interval:
    """Return the BCa bootstrap interval of the mean of (n,).

    Raises: ValueError: fewer than 15 pairs, where BCa covers far less than its level, or differences without variance.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[~np.isnan(values)]
    if len(values) < MINIMUM_FOR_BOOTSTRAP:
        raise ValueError(
            f"differences: {len(values)} pairs are not allowed; at least {MINIMUM_FOR_BOOTSTRAP} for a bootstrap"
            " interval"
        )
    if values.std() < ROUNDING:
        raise ValueError("differences: all the same number is not allowed; a bootstrap needs variance")
    result = stats.bootstrap(
        (values,), np.mean, confidence_level=level, n_resamples=resamples, method="BCa", rng=generator
    )
    return Interval(low=np.asarray(result.confidence_interval.low), high=np.asarray(result.confidence_interval.high))


def _degrees(of: Moments) -> Array:
    return np.where(of.n > 1, of.n - 1.0, np.nan)


def _signed_sums(size: Array) -> Array:
    """All sums of ±size, shape (2**n,)."""
    sums = np.zeros(1)
    for value in size:
        sums = np.concatenate([sums + value, sums - value])
    return sums
