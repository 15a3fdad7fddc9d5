"""How confident a trained network is in its predictions: a histogram of the test set, packed into bytes.

The confidence in a prediction is the softmax probability of the predicted class. The bins are those of Guo et al. 2017
(arXiv:1706.04599): 15 of equal width, each without its lower end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["NUM_BINS", "ConfidenceHistogram", "pack_confidence", "unpack_confidence"]

NUM_BINS = 15
_BIN = np.dtype([("count", "<u4"), ("correct", "<u4"), ("mean", "<f4")])


@dataclass(frozen=True, kw_only=True)
class ConfidenceHistogram:
    """The test images of each bin (15,): their number, how many are predicted correctly, and their mean confidence,
    which is 0 in an empty bin.
    """

    count: NDArray[np.int64]
    correct: NDArray[np.int64]
    mean: NDArray[np.float64]


def pack_confidence(confidence: ArrayLike, correct: ArrayLike) -> bytes:
    """Return the histogram of confidences (examples,) from 0 to 1, with the mask of correct predictions; 12 bytes a
    bin.

    Raises:
        ValueError: a confidence is outside 0 to 1.
    """
    values, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
    if not ((values >= 0) & (values <= 1 + 1e-6)).all():
        raise ValueError(f"confidence: {values.min()} to {values.max()} is not allowed; 0 to 1")
    places = np.clip(np.ceil(values * NUM_BINS).astype(np.int64) - 1, 0, NUM_BINS - 1)
    out = np.zeros(NUM_BINS, dtype=_BIN)
    out["count"] = np.bincount(places, minlength=NUM_BINS)
    out["correct"] = np.bincount(places[right], minlength=NUM_BINS)
    out["mean"] = np.bincount(places, weights=values, minlength=NUM_BINS) / np.maximum(out["count"], 1)
    return out.tobytes()


def unpack_confidence(packed: bytes) -> ConfidenceHistogram:
    """Return the histogram from its bytes.

    Raises:
        ValueError: the bytes are not those of 15 bins.
    """
    if len(packed) != NUM_BINS * _BIN.itemsize:
        raise ValueError(
            f"confidence: {len(packed)} bytes are not allowed; {NUM_BINS * _BIN.itemsize} for {NUM_BINS} bins"
        )
    bins = np.frombuffer(packed, dtype=_BIN)
    return ConfidenceHistogram(
        count=bins["count"].astype(np.int64),
        correct=bins["correct"].astype(np.int64),
        mean=bins["mean"].astype(np.float64),
    )
