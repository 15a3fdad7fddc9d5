"""Calibration: how far the confidence of a network is from its accuracy.

The expected calibration error (Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599) is the mean over examples of the
distance between mean confidence and accuracy in the example's bin. It depends on the bins, and a finite test set makes
it larger than it is: compare it between networks of one test set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ablations.statistics.paired import Array

__all__ = ["calibration_error", "overconfidence"]


def calibration_error(count: NDArray[np.int64], correct: NDArray[np.int64], mean: Array) -> Array:
    """Return the expected calibration error (...,) of histograms (..., bins): a fraction, 0 for a network that is as
    often right as it is confident. NaN without examples.

    `count` is the number of examples of a bin, `correct` that of correct predictions, `mean` their mean confidence.
    """
    return _shares(np.abs(count * mean - correct).sum(axis=-1), count)


def overconfidence(count: NDArray[np.int64], correct: NDArray[np.int64], mean: Array) -> Array:
    """Return mean confidence minus accuracy (...,) of histograms (..., bins): positive for a network that is too
    confident. NaN without examples.
    """
    return _shares((count * mean - correct).sum(axis=-1), count)


def _shares(total: Array, count: NDArray[np.int64]) -> Array:
    num = count.sum(axis=-1).astype(np.float64)
    return np.asarray(total / np.where(num > 0, num, np.nan))
