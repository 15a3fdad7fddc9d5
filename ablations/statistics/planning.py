"""The number of seeds for a verdict: power at an effect of the margin and at no effect, never at the observed effect.

Planning on an observed effect only repeats the p (Hoenig and Heisey 2001). The standard deviation of a few pairs is
itself uncertain, so the answer is a range: from its median-unbiased estimate to its upper 80 % confidence limit
(Browne 1995).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["FEASIBLE", "MoreSeeds", "difference_power", "equivalence_power", "more_seeds", "sd_limit", "seeds_needed"]

FEASIBLE = 200  # seeds; more are not feasible
POWER = 0.8


@dataclass(frozen=True, kw_only=True)
class MoreSeeds:
    """Seeds of a new run that settles a comparison: by the median estimate of the spread, and by its 80 % limit.

    None means more than 200, which is not feasible.
    """

    median: int | None
    limit: int | None

    def __str__(self) -> str:
        """The range in words: `about 12 to 26 fresh seeds`."""
        if self.median is None:
            return f"not feasible (more than {FEASIBLE} fresh seeds)"
        if self.limit is None:
            return f"about {self.median} to more than {FEASIBLE} fresh seeds"
        if self.limit == self.median:
            return f"about {self.median} fresh seeds"
        return f"about {self.median} to {self.limit} fresh seeds"


def difference_power(effect: float, sd: float, n: int, alpha: float = 0.05, prior: float = 0.0) -> float:
    """Return the power of the two-sided paired t test at n pairs and n − 1 + `prior` degrees of freedom.

    For each ratio of estimated to true standard deviation this is a normal probability; the ratio is integrated out by
    Gauss–Legendre quadrature, which stays accurate where the noncentral t distribution of scipy gives NaN.
    """
    df = n - 1 + prior
    shift, critical = effect / sd * math.sqrt(n), float(special.stdtrit(df, 1 - alpha / 2))
    nodes, weights = _quadrature(512)
    largest = math.sqrt(float(special.chdtri(df, 1e-18)) / df)
    ratio = largest * (1 + nodes) / 2
    log_density = (
        math.log(2) + df / 2 * math.log(df / 2) - math.lgamma(df / 2) + (df - 1) * np.log(ratio) - df / 2 * ratio**2
    )
    beyond = special.ndtr(shift - critical * ratio) + special.ndtr(-shift - critical * ratio)
    return float(min(1.0, largest / 2 * (weights @ (np.exp(log_density) * beyond))))


def equivalence_power(
    margin: float, sd: float, n: int, alpha: float = 0.05, effect: float = 0.0, prior: float = 0.0
) -> float:
    """Return the power of two one-sided tests at n pairs: the chance that `effect` is shown to lie within ±margin.

    For each estimate of the standard deviation the mean must fall into the rest of ±margin; this is averaged over
    the quantiles of the estimate by Gauss–Legendre quadrature.
    """
    df = n - 1 + prior
    error, critical = sd / math.sqrt(n), float(special.stdtrit(df, 1 - alpha))
    reachable = float(
        special.chdtr(df, df * (margin / (critical * error)) ** 2)
    )  # above this quantile nothing of ±margin is left
    nodes, weights = _quadrature(96)
    estimate = error * np.sqrt(special.chdtri(df, 1 - reachable * (1 + nodes) / 2) / df)
    room = margin - critical * estimate
    inside = special.ndtr((room - effect) / error) - special.ndtr((-room - effect) / error)
    return float(reachable / 2 * (weights @ np.maximum(inside, 0.0)))


@functools.cache
def _quadrature(order: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss–Legendre nodes and weights on [−1, 1].

    NumPy computes them from the eigenvalues of a full matrix in all threads of its linear algebra, which takes seconds
    while other processes hold the cores; SciPy's matrix is tridiagonal.
    """
    nodes, weights = special.roots_legendre(order)
    return nodes, weights


def sd_limit(sd: float, degrees: float, confidence: float = 0.8) -> float:
    """Return the one-sided upper confidence limit of a standard deviation estimated with that many degrees of freedom.

    At confidence 0.5 this is the median-unbiased estimate.
    """
    return sd * math.sqrt(degrees / float(special.chdtri(degrees, confidence)))


def seeds_needed(
    margin: float, sd: float, alpha: float = 0.05, power: float = POWER, prior: float = 0.0, most: int = FEASIBLE
) -> int | None:
    """Return the smallest n ≥ 3 with this power both to find an effect of `margin` and to show that there is none.

    None where that is more than `most`.
    """

    def enough(n: int) -> bool:
        if equivalence_power(margin, sd, n, alpha, prior=prior) < power:
            return False
        return difference_power(margin, sd, n, alpha, prior) >= power

    if not enough(most):
        return None
    low, high = 3, most
    while low < high:  # power grows with n
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high


def more_seeds(
    margin: float | None, sd: float, degrees: float, alpha: float = 0.05, prior: float = 0.0
) -> MoreSeeds | None:
    """Return the number of fresh seeds that an inconclusive comparison needs; None without a margin or a standard
    deviation.

    The seeds so far are not counted: their verdict was seen, and a run extended after that would err too often. `alpha`
    is that of one comparison, `sd` with its `degrees` of freedom the spread behind its intervals, and `prior` the
    degrees of freedom that the variances of the study will add.
    """
    if margin is None or not sd > 0 or not math.isfinite(sd) or not degrees > 0:
        return None
    median, limit = (
        seeds_needed(margin, sd_limit(sd, degrees, confidence), alpha, prior=prior) for confidence in (0.5, 0.8)
    )
    return MoreSeeds(median=median, limit=limit)
