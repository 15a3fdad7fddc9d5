"""Kept predictions: packed by hand and unpacked, and those of a training against its labels."""

from __future__ import annotations

import numpy as np
import pytest

from xception.data import load
from xception.data.names import find
from xception.data.splits import split
from xception.train.loop import FitResult
from xception.train.predictions import pack_predictions, unpack_predictions


def test_a_few_examples_packed_by_hand() -> None:
    predicted, labels = [2, 0, 1, 1], [2, 1, 1, 0]
    packed = pack_predictions(predicted, labels, 3)
    assert packed == bytes([2, 0, 1, 1, 1, 0])  # the predictions, then the labels of the second and the last
    back = unpack_predictions(packed, np.array([True, False, True, False]), 3)
    assert [array.tolist() for array in back] == [predicted, labels]


@pytest.mark.parametrize(("num_classes", "size"), [(256, 1), (257, 2), (1000, 2)])
def test_a_class_takes_two_bytes_beyond_256_classes(num_classes: int, size: int) -> None:
    predicted, labels = np.array([num_classes - 1, 5, 255]), np.array([num_classes - 1, num_classes - 2, 255])
    packed = pack_predictions(predicted, labels, num_classes)
    assert len(packed) == 4 * size
    back = unpack_predictions(packed, predicted == labels, num_classes)
    assert [array.tolist() for array in back] == [predicted.tolist(), labels.tolist()]


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(ValueError, match="classes 0 to 3 are not allowed; 0 to 2"):
        pack_predictions([0, 3], [0, 1], 3)
    packed = pack_predictions([0, 2], [0, 1], 3)
    with pytest.raises(ValueError, match="3 bytes are not allowed; 2 for 2 examples of which 0 are wrong"):
        unpack_predictions(packed, np.array([True, True]), 3)
    with pytest.raises(ValueError, match="3 bytes are not allowed"):
        unpack_predictions(packed, np.array([True, False]), 300)


def test_a_training_keeps_what_it_said_of_every_test_image(uninterrupted: FitResult) -> None:
    assert uninterrupted.correct is not None
    assert uninterrupted.predictions is not None
    correct = np.unpackbits(np.frombuffer(uninterrupted.correct, dtype=np.uint8), count=64).astype(np.bool_)
    predicted, labels = unpack_predictions(uninterrupted.predictions, correct, uninterrupted.num_classes)
    source = find("synthetic", None)
    config = source.config(image_size=32, train_size=64, val_size=32, test_size=64)
    assert np.array_equal(labels, split(load(source, 32), config, 0).test.labels.numpy())
    assert np.array_equal(predicted == labels, correct)
    assert correct.mean() == uninterrupted.test_accuracy
