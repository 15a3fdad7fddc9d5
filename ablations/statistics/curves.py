"""Learning curves of several seeds: the area under each, and the epoch at which each reaches an accuracy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ablations.statistics.paired import Array

__all__ = ["area_under_curve", "epochs_to_reach"]


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
