"""Learning curves of several seeds: a band, the area under each, the epoch at which each gets somewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ablations.statistics.paired import Array, moments, t_interval

__all__ = ["Band", "area_under_curve", "curve_band", "epochs_to_reach"]


@dataclass(frozen=True, kw_only=True)
class Band:
    """Mean of the seeds and its pointwise t interval at each epoch; every field has shape (epochs,)."""

    n: Array
    mean: Array
    low: Array
    high: Array


def curve_band(values: ArrayLike, level: float = 0.95) -> Band:
    """Return the band of curves (seeds, epochs), NaN where a seed has no value; pointwise, so not simultaneous over
    epochs.
    """
    of = moments(np.asarray(values, dtype=np.float64).T)
    interval = t_interval(of, level)
    return Band(n=of.n.astype(np.float64), mean=of.mean, low=interval.low, high=interval.high)


def area_under_curve(epochs: ArrayLike, values: ArrayLike) -> Array:
    """Return the trapezoidal mean height (...) of curves (..., epochs) at increasing epochs (epochs,): 1.0 is perfect
    from the start.

    A single epoch gives its own value; a curve with a gap gives NaN.
    """
    x, y = np.asarray(epochs, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.size == 1:
        return y[..., 0]
    return np.asarray(np.trapezoid(y, x, axis=-1) / (x[-1] - x[0]))


def epochs_to_reach(epochs: ArrayLike, values: ArrayLike, target: float) -> Array:
    """Return the first of the epochs (epochs,) at which curves (..., epochs) are at `target` or above, shape (...); NaN
    where never.
    """
    x, y = np.asarray(epochs, dtype=np.float64), np.asarray(values, dtype=np.float64)
    reached = y >= target
    return np.where(reached.any(axis=-1), x[reached.argmax(axis=-1)], np.nan)
