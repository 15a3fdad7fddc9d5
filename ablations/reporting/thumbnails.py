"""Small pictures of test images, inlined into a page."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np

from xception.base.canonical import from_plain
from xception.base.errors import DataError
from xception.data.cached_test_set import CachedTestSet, cached_test_set
from xception.data.config import DatasetConfig

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from ablations.records.store import Store

__all__ = ["picture", "thumbnails"]

LARGEST = 64  # pixels of a side


def thumbnails(store: Store, frame: pd.DataFrame, examples: pd.DataFrame) -> dict[tuple[str, int], str]:
    """Return a picture, as a data URI, of each test image that `examples` names by variant and number, where the
    variant's test set is in the cache of decoded images.

    An image whose class differs from that in the records is left out, as the test set is then a different one.
    """
    out: dict[tuple[str, int], str] = {}
    for variant, rows in examples.groupby("variant", sort=False):
        test_set = _test_set(store, frame[frame["variant"] == variant])
        if test_set is None:
            continue
        for number, true_class in zip(rows["image"].tolist(), rows["true_class"].tolist(), strict=True):
            if number < len(test_set.places) and test_set.label(number) == true_class:
                out[str(variant), number] = picture(test_set.image(number))
    return out


def picture(image: NDArray[np.uint8]) -> str:
    """Return an image (C, H, W), grey or in colour, as a PNG of at most 64 pixels a side in a data URI."""
    from PIL import Image

    pixels = image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
    small = Image.fromarray(np.ascontiguousarray(pixels))
    small.thumbnail((LARGEST, LARGEST))
    content = io.BytesIO()
    small.save(content, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"


def _test_set(store: Store, own: pd.DataFrame) -> CachedTestSet | None:
    """The test set of a variant's completed trials."""
    keys = own.loc[own["status"] == "complete", "key"].head(1).tolist()
    for record in store.get(keys).values():
        try:
            return cached_test_set(from_plain(DatasetConfig, record.plain_trial()["dataset"]))
        except DataError:  # there is no cache
            return None
    return None
