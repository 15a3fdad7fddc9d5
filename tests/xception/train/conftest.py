"""A training small enough to be run many times in a test."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
import torch

from tests.xception.train.float64 import train_in_float64
from tests.xception.train.tiny_training import Training, tiny_model, tiny_recipe
from xception.data import load
from xception.data.names import find
from xception.train.loop import FitResult, fit


@pytest.fixture(scope="session")
def tiny_training() -> Training:
    """`fit` on 64 synthetic images; every argument can be overridden."""
    source = find("synthetic", None)
    return partial(
        fit,
        model=tiny_model(),
        recipe=tiny_recipe(),
        dataset=load(source, 32),
        data=source.config(image_size=32, train_size=64, val_size=32, test_size=64),
        seed=0,
    )


@pytest.fixture(scope="session")
def uninterrupted(tiny_training: Training) -> FitResult:
    """The undisturbed training."""
    return tiny_training()


@pytest.fixture
def in_float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Train in float64; see `tests.xception.train.float64`."""
    before = torch.get_default_dtype()
    train_in_float64(monkeypatch.setattr)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def training_in_float64(in_float64: None) -> Training:
    """`fit` in float64 on half as many images of half the side; every argument can be overridden."""
    source = find("synthetic", None)
    return partial(
        fit,
        model=tiny_model(),
        recipe=tiny_recipe(batch_size=8),
        dataset=load(source, 16),
        data=source.config(image_size=16, train_size=32, val_size=16, test_size=16),
        seed=0,
    )
