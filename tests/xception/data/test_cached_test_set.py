"""The test images of a trial from the cache: its own in its order, and none where they are not there whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xception.data import load
from xception.data.cached_test_set import cached_test_set
from xception.data.decoded import folder_of
from xception.data.names import find
from xception.data.splits import split


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XCEPTION_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("test_size", [None, 64])
@pytest.mark.usefixtures("cache")
def test_they_are_the_trials_own_in_its_order(test_size: int | None) -> None:
    source = find("synthetic", None)
    config = source.config(image_size=32, train_size=64, val_size=32, test_size=test_size)
    assert cached_test_set(config) is None  # nothing is decoded yet
    test = split(load(source, 32), config, seed=3).test
    found = cached_test_set(config)
    assert found is not None
    assert len(found.places) == len(test)
    for number in (0, 1, len(test) - 1):
        np.testing.assert_array_equal(found.image(number), test.images[number].numpy())
        assert found.label(number) == int(test.labels[number])


@pytest.mark.usefixtures("cache")
def test_a_damaged_cache_has_none() -> None:
    source = find("synthetic", None)
    config = source.config(image_size=32, train_size=64, val_size=32)
    load(source, 32)
    images = folder_of(source.fingerprint, source.pixels, 32) / "test-images"
    images.write_bytes(images.read_bytes()[:100])
    assert cached_test_set(config) is None
    images.unlink()
    assert cached_test_set(config) is None
