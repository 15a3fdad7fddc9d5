"""A variant whose size cannot be matched, compared with the baseline's own accuracy-over-size curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ablations.statistics.paired import Array, difference_p, moments, t_interval

__all__ = ["VerticalDistance", "vertical_distance"]


@dataclass(frozen=True, kw_only=True)
class VerticalDistance:
    """Vertical distance of a variant from the baseline's curve at the variant's own size: per seed (n,), mean,
    interval, p (unadjusted).
    """

    per_seed: Array
    n: int
    mean: float
    low: float
    high: float
    p: float


def vertical_distance(
    variant_macs: float, variant: ArrayLike, baseline_macs: ArrayLike, baseline: ArrayLike, level: float = 0.95
) -> VerticalDistance:
    """Return the paired distance of variant accuracies (n,) from the curve through baseline accuracies (widths, n) at
    MACs (widths,).

    The curve of each seed is linear between widths over log MACs; a seed with NaN at either neighbour or in the variant
    is left out.

    Raises:
        ValueError: fewer than two widths, or the variant is larger or smaller than all of them, where the curve would
            be a guess.
    """
    order = np.argsort(np.asarray(baseline_macs, dtype=np.float64))
    sizes, curve = np.asarray(baseline_macs, dtype=np.float64)[order], np.asarray(baseline, dtype=np.float64)[order]
    if len(sizes) < 2:
        raise ValueError(f"baseline_macs: {len(sizes)} widths are not allowed; at least 2")
    if not sizes[0] <= variant_macs <= sizes[-1]:
        raise ValueError(
            f"variant_macs: {variant_macs:g} is not allowed; {sizes[0]:g} to {sizes[-1]:g}, the baseline's widths"
        )
    right = max(1, int(np.searchsorted(sizes, variant_macs)))
    below, above = np.log(sizes[right - 1]), np.log(sizes[right])
    share = (np.log(variant_macs) - below) / (above - below) if above > below else 0.0
    used = [(right - 1, 1 - share), (right, share)]
    expected = np.sum([weight * curve[index] for index, weight in used if weight > 0], axis=0)
    distances = np.asarray(variant, dtype=np.float64) - expected
    of = moments(distances)
    interval = t_interval(of, level)
    return VerticalDistance(
        per_seed=distances,
        n=int(of.n),
        mean=float(of.mean),
        low=float(interval.low),
        high=float(interval.high),
        p=float(difference_p(of)),
    )
