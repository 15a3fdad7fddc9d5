"""Corrections for the several comparisons of one study (Holm 1979)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ablations.statistics.paired import Array

__all__ = ["holm"]


def holm(p: ArrayLike) -> Array:
    """Return Holm-adjusted p over the last axis of (..., K): reject where it is at most α.

    K is the length of the axis, always: a comparison that gave no p (NaN) is adjusted as if its p were 1, and stays
    NaN. Valid under any dependence, so also for variants that share a baseline.
    """
    raw = np.asarray(p, dtype=np.float64)
    filled = np.where(np.isnan(raw), 1.0, raw)
    order = np.argsort(filled, axis=-1, kind="stable")
    steps = np.take_along_axis(filled, order, axis=-1) * np.arange(raw.shape[-1], 0, -1)
    steps = np.minimum(np.maximum.accumulate(steps, axis=-1), 1.0) if raw.shape[-1] else steps
    adjusted = np.empty_like(filled)
    np.put_along_axis(adjusted, order, steps, axis=-1)
    return np.where(np.isnan(raw), np.nan, adjusted)
