"""Every field of a design that `--set`, studies and spaces can name."""

from __future__ import annotations

import functools

from ablations.design.study import Design
from xception.base.fields import Catalogue
from xception.data.config import DatasetConfig
from xception.network.config import TorchvisionConfig
from xception.train.recipe import Recipe

__all__ = ["catalogue"]

_FROM_DATA = "it comes from the data set"


@functools.cache
def catalogue() -> Catalogue:
    """Return the fields of network, recipe and data."""
    return Catalogue(
        Design,
        samples={
            Recipe: {"epochs": 8},
            TorchvisionConfig: {"name": "resnet18"},
            DatasetConfig: {"fingerprint": "0" * 64, "image_size": 32, "val_size": 1},
        },
        not_set={
            "model": "name a network with --preset, or one of its fields",
            "model.num_classes": _FROM_DATA,
            "model.in_channels": _FROM_DATA,
            "model.input_size": f"{_FROM_DATA} (dataset.image_size)",
            "model.name": "name a network with --preset",
            "recipe": "name one of its fields",
            "recipe.transfer.*": "the study transfer is about it",
            "dataset": "name one of its fields, or a data set with --dataset",
            "dataset.fingerprint": "name a data set with --dataset",
            "stream": "the study aa is about it",
            "pretraining.*": "the study transfer is about it",
        },
    )
