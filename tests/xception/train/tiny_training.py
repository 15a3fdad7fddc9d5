"""A network and a recipe small enough to be trained many times in a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xception.data.config import AugmentConfig
from xception.network import presets
from xception.network.config import XceptionConfig
from xception.train.execution import Execution
from xception.train.loop import FitResult
from xception.train.recipe import SGD, Recipe

Training = Callable[..., FitResult]

PLAIN = Execution(cuda_graph=False, depthwise="torch")  # every step eager, as the faster ways must compute it


def tiny_model(**changes: Any) -> XceptionConfig:
    """About twelve thousand parameters, with every part that a training's state has."""
    model = presets.get("cifar_tiny")
    assert isinstance(model, XceptionConfig)
    return model.replace_at("middle.modules", 1).replace(width_multiplier=0.5, **changes)


def tiny_recipe(**changes: Any) -> Recipe:
    """Two epochs of four steps, with momentum, running average, augmentation and clipping."""
    recipe = Recipe(
        epochs=2,
        batch_size=16,
        optimizer=SGD(learning_rate=0.1, nesterov=True, weight_decay=5e-4),
        ema_decay=0.9,
        gradient_clip=5.0,
        augment=AugmentConfig(flip=True, crop_padding=2),
    )
    return recipe.replace(**changes)
