"""Kept confidences: bins by hand, what cannot be, and those of a training."""

from __future__ import annotations

import numpy as np
import pytest

from xception.train.confidence import NUM_BINS, pack_confidence, unpack_confidence
from xception.train.loop import FitResult


def test_a_few_examples_in_bins_by_hand() -> None:
    # 1/15 is the upper end of the first bin; 0.95 and 1 are in the last.
    histogram = unpack_confidence(
        pack_confidence([0.0, 1 / NUM_BINS, 0.5, 0.95, 1.0], [False, True, True, True, False])
    )
    assert histogram.count.tolist() == [2, *[0] * 5, *[0], 1, *[0] * 6, 2]
    assert histogram.correct.tolist() == [1, *[0] * 6, 1, *[0] * 6, 1]
    assert histogram.mean[[0, 7, 14]] == pytest.approx([1 / 30, 0.5, 0.975], rel=1e-6)


def test_what_is_no_confidence_is_refused() -> None:
    for values in ([1.2], [-0.1], [float("nan")]):
        with pytest.raises(ValueError, match=r"confidence: .* is not allowed; 0 to 1"):
            pack_confidence(values, [True])
    with pytest.raises(ValueError, match="confidence: 3 bytes are not allowed; 180 for 15 bins"):
        unpack_confidence(b"abc")


def test_a_training_keeps_how_confident_it_is(uninterrupted: FitResult) -> None:
    assert uninterrupted.confidence is not None
    histogram = unpack_confidence(uninterrupted.confidence)
    assert histogram.count.sum() == uninterrupted.num_test
    assert histogram.correct.sum() / uninterrupted.num_test == uninterrupted.test_accuracy
    full = np.flatnonzero(histogram.count)
    assert (histogram.mean[full] > full / NUM_BINS - 1e-6).all()
    assert (histogram.mean[full] <= (full + 1) / NUM_BINS + 1e-6).all()
    assert (histogram.mean[full] >= 1 / uninterrupted.num_classes - 1e-6).all()  # the largest of all probabilities
