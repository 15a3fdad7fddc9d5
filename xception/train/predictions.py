"""The predictions of a trained network for every test image, packed into bytes: the predicted classes, and the true
class of each error.

A correct prediction equals the label, so only the labels of errors are stored as well, and a record can be read without
the data set.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["pack_predictions", "unpack_predictions"]


def pack_predictions(predicted: ArrayLike, labels: ArrayLike, num_classes: int) -> bytes:
    """Return the predicted classes (examples,) followed by the labels of the misclassified examples, in order.

    A class takes one byte up to 256 classes and two beyond, the lower one first.

    Raises:
        ValueError: a class is not among `num_classes`.
    """
    mine, true = np.asarray(predicted), np.asarray(labels)
    both = np.concatenate([mine, true[mine != true]])
    if len(both) and not 0 <= both.min() <= both.max() < num_classes:
        raise ValueError(f"predicted: classes {both.min()} to {both.max()} are not allowed; 0 to {num_classes - 1}")
    return both.astype(_kind(num_classes)).tobytes()


def unpack_predictions(
    packed: bytes, correct: NDArray[np.bool_], num_classes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the predicted classes and the labels, each (examples,), from the bytes and the mask of correct
    predictions.

    Raises:
        ValueError: the number of bytes does not match the number of examples and errors.
    """
    classes = np.frombuffer(packed, dtype=_kind(num_classes)) if len(packed) % _kind(num_classes).itemsize == 0 else ()
    expected = len(correct) + int((~correct).sum())
    if len(classes) != expected:
        raise ValueError(
            f"predictions: {len(packed)} bytes are not allowed; {expected * _kind(num_classes).itemsize} for"
            f" {len(correct)} examples of which {int((~correct).sum())} are wrong"
        )
    predicted = np.asarray(classes[: len(correct)], dtype=np.int64)
    labels = predicted.copy()
    labels[~correct] = classes[len(correct) :]
    return predicted, labels


def _kind(num_classes: int) -> np.dtype[Any]:
    return np.dtype(np.uint8) if num_classes <= 256 else np.dtype("<u2")
