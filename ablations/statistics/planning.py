"""How many seeds a conclusion needs: power of the paired tests, planned on the margin and never on the observed effect.

Planning on an observed effect only repeats the p (Hoenig and Heisey 2001). The standard deviation of a few pairs is
itself uncertain, so its upper 80 % confidence limit is used (Browne 1995).
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

__all__ = ["difference_power", "equivalence_power", "more_seeds", "sd_upper_limit", "seeds_needed"]

LARGEST = 100_000  # nobody trains more seeds than this


def difference_power(effect: float, sd: float, n: int, alpha: float = 0.05) -> float:
    """Return the power of the two-sided paired t test at n pairs, from the noncentral t distribution."""
    shift, critical = effect / sd * math.sqrt(n), float(special.stdtrit(n - 1, 1 - alpha / 2))
    return float(stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift))


def equivalence_power(margin: float, sd: float, n: int, alpha: float = 0.05, effect: float = 0.0) -> float:
    """Return the power of two one-sided tests at n pairs: the chance to put `effect` within ±margin.

    For each estimate of the standard deviation the mean must fall into what is left of ±margin; this is averaged over
    the quantiles of the estimate by Gauss–Legendre quadrature.
    """
    error, critical, df = sd / math.sqrt(n), float(special.stdtrit(n - 1, 1 - alpha)), n - 1
    reachable = float(
        special.chdtr(df, df * (margin / (critical * error)) ** 2)
    )  # above this quantile nothing of ±margin is left
    nodes, weights = _quadrature()
    estimate = error * np.sqrt(special.chdtri(df, 1 - reachable * (1 + nodes) / 2) / df)
    room = margin - critical * estimate
    inside = special.ndtr((room - effect) / error) - special.ndtr((-room - effect) / error)
    return float(reachable / 2 * (weights @ np.maximum(inside, 0.0)))


@functools.cache
def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss–Legendre nodes and weights on [−1, 1]; making them takes longer than all else here."""
    return np.polynomial.legendre.leggauss(96)


def sd_upper_limit(sd: float, n: int, confidence: float = 0.8) -> float:
    """Return the one-sided upper confidence limit of the standard deviation that was estimated from n pairs."""
    return sd * math.sqrt((n - 1) / float(special.chdtri(n - 1, confidence)))


def seeds_needed(margin: float, sd: float, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Return the smallest n ≥ 2 with this power both to see an effect of `margin` and to show that there is none; None
    above 100,000.
    """

    def enough(n: int) -> bool:
        return min(difference_power(margin, sd, n, alpha), equivalence_power(margin, sd, n, alpha)) >= power

    high = 2
    while not enough(high):
        if high >= LARGEST:
            return None
        high = min(2 * high, LARGEST)
    low = max(2, high // 2)
    while low < high:  # power grows with n
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high


def more_seeds(margin: float | None, sd: float, n: int, alpha: float = 0.05) -> int | None:
    """Return about how many more pairs an inconclusive comparison needs, at least 1; None where this cannot be said.

    It cannot without a margin, without variance, or where the answer is above 100,000.
    """
    if margin is None or n < 2 or not sd > 0 or not np.isfinite(sd):
        return None
    needed = seeds_needed(margin, sd_upper_limit(sd, n), alpha)
    return None if needed is None else max(1, needed - n)
