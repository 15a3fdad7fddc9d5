"""The test images of a trial where they are decoded in the cache already; without torch, and without the data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xception.base.files import read_json
from xception.data.config import DatasetConfig
from xception.data.decoded import folder_of
from xception.data.images import Pixels
from xception.data.orders import drawn_order

__all__ = ["CachedTestSet", "cached_test_set"]


@dataclass(frozen=True, kw_only=True)
class CachedTestSet:
    """Images (M, C, H, W) of uint8, mapped from disk, with labels (M,), and the places (N,) of those that a trial is
    tested on, in its order.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    places: NDArray[np.int64]

    def image(self, number: int) -> NDArray[np.uint8]:
        """Return a test image (C, H, W) by its number in the trial's order, counted from 0."""
        return np.asarray(self.images[self.places[number]])

    def label(self, number: int) -> int:
        """Return the class of a test image by its number."""
        return int(self.labels[self.places[number]])


def cached_test_set(config: DatasetConfig) -> CachedTestSet | None:
    """Return the test images of a trial on that data; None where they are not in the cache, whole and of their size."""
    pixels = Pixels(channels=config.channels, upright=config.orientation == "applied", deep_bits=config.deep_bits)
    folder = folder_of(config.fingerprint, pixels, config.image_size)
    manifest = read_json(folder / "manifest.json")
    if manifest is None:
        return None
    num, side = int(manifest["num_test"]), config.image_size
    shape = (num, config.channels, side, side)
    try:
        images = np.memmap(folder / "test-images", dtype=np.uint8, mode="r", shape=shape)
        labels = np.fromfile(folder / "test-labels", dtype="<i8").astype(np.int64)
    except (OSError, ValueError):  # missing, or shorter than it should be
        return None
    if len(labels) != num or (config.test_size or 0) > num:
        return None
    places = np.arange(num) if config.test_size is None else drawn_order(num, seed=0, purpose=1)[: config.test_size]
    return CachedTestSet(images=images, labels=labels, places=places)
