"""The same weights through ours and through keras.applications.Xception give the same logits, read from the files that
Keras writes.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.peers import images, relative_error, spread
from tests.networks import part, xception_preset
from xception.network.config import XceptionConfig
from xception.network.model import Xception
from xception.network.weights import load_pretrained

os.environ["KERAS_BACKEND"] = "torch"
# Keras 3.15 turns torch parameters into arrays by a protocol that NumPy 2 has changed.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
SIZES = [299, 128, 97]  # the default, an even and an odd size


@pytest.fixture(scope="module")
def keras_xception() -> Callable[[int], Any]:
    """Make Keras's network for images of a size, with the same random weights each time, once per size."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras
    drawn: list[np.ndarray] = []

    @functools.cache
    def make(size: int) -> Any:
        model = keras.applications.Xception(weights=None, input_shape=(size, size, 3), classifier_activation=None)
        if not drawn:
            rng = np.random.default_rng(0)
            for weight in model.weights:
                shape = tuple(weight.shape)
                kind = weight.path.rpartition("/")[2]
                if len(shape) == 4:
                    fan_in = shape[0] * shape[1] * (1 if "depthwise" in kind else shape[2])
                    drawn.append(rng.normal(0, (2 / fan_in) ** 0.5, shape))
                elif kind in ("gamma", "moving_variance"):
                    drawn.append(rng.uniform(0.05, 1.05 if kind == "gamma" else 0.15, shape))
                else:
                    drawn.append(rng.normal(0, 0.2 if len(shape) == 1 else shape[0] ** -0.5, shape))
        model.set_weights(drawn)
        return model

    return make


@pytest.fixture(scope="module")
def checkpoint(keras_xception: Callable[[int], Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `.weights.h5` file of Keras 3."""
    path = tmp_path_factory.mktemp("keras") / "drawn.weights.h5"
    keras_xception(128).save_weights(path)
    return path


def logits(keras_model: Any, x: Tensor) -> Tensor:
    return torch.from_numpy(np.asarray(keras_model(x.permute(0, 2, 3, 1).float(), training=False).detach()))


def ours(checkpoint: Path, config: XceptionConfig | None = None) -> Xception:
    model = Xception(config or xception_preset("keras"))
    load_pretrained(model, checkpoint)
    return model.eval()


@pytest.fixture(scope="module")
def expected(keras_xception: Callable[[int], Any]) -> Tensor:
    """Keras's logits for 128×128 images, to compare the wrong choices with."""
    with torch.inference_mode():
        return logits(keras_xception(128), images(128))


@pytest.mark.parametrize("size", SIZES)
def test_same_logits(keras_xception: Callable[[int], Any], checkpoint: Path, size: int) -> None:
    x = images(size)
    with torch.inference_mode():
        theirs = logits(keras_xception(size), x)
        assert spread(theirs) > 0.05
        assert relative_error(ours(checkpoint)(x.float()), theirs) <= 1e-5


def test_same_logits_from_a_whole_model_file(
    keras_xception: Callable[[int], Any], checkpoint: Path, tmp_path: Path
) -> None:
    model = keras_xception(128)
    path = tmp_path / "whole.h5"
    model.save(path)
    a, b = ours(path), ours(checkpoint)
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y), name


@pytest.mark.parametrize(
    ("path", "value"), [("padding", "symmetric"), ("norm.epsilon", 1e-5)], ids=["symmetric padding", "epsilon 1e-5"]
)
def test_another_choice_shows(expected: Any, checkpoint: Path, path: str, value: Any) -> None:
    with torch.inference_mode():
        other = ours(checkpoint, xception_preset("keras").replace_at(path, value))(images(128).float())
    assert relative_error(other, expected) > 1e-3


def test_a_moved_activation_shows(expected: Any, checkpoint: Path) -> None:
    """The first ReLU of a middle module, moved from before its depthwise convolution to after its norm."""
    model = ours(checkpoint)
    unit = part(model, "middle.3.branch.0")
    part(model, "middle.3.branch")[0] = nn.Sequential(unit.convolution, unit.norm, nn.ReLU())
    with torch.inference_mode():
        assert relative_error(model(images(128).float()), expected) > 1e-3
