"""A training small enough to be run many times in a test."""

from __future__ import annotations

from functools import partial

import pytest

from tests.xception.train.tiny_training import Training, tiny_model, tiny_recipe
from xception.data import load
from xception.data.names import find
from xception.train.loop import FitResult, fit


@pytest.fixture(scope="session")
def tiny_training() -> Training:
    """`fit` on 64 synthetic images; every argument can be given anew."""
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
    """The training as nothing disturbed it."""
    return tiny_training()
