"""A step of the trainer on one batch of noise, to be timed or profiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from xception.profile.subjects import Subject

if TYPE_CHECKING:
    from torch import nn

__all__ = ["PRECISIONS", "Precision", "training_step"]

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


def training_step(
    subject: Subject,
    batch_size: int,
    precision: Precision,
    *,
    change: Callable[[nn.Module], object] = lambda network: None,
) -> Callable[[], object]:
    """Return a step of the trainer on a network, SGD with momentum, on one batch of noise; `change` may replace layers
    of the network first.
    """
    import torch

    from xception.network.model import build
    from xception.train.optimiser import build_optimiser
    from xception.train.recipe import SGD, Recipe
    from xception.train.step import Step

    torch.manual_seed(0)
    network: nn.Module = build(subject.config).to(memory_format=torch.channels_last).train()
    change(network)
    sgd = SGD(learning_rate=0.01, momentum=0.9)
    recipe = Recipe(epochs=1, batch_size=batch_size, optimizer=sgd, precision=precision)
    step = Step(build_optimiser(network, recipe), recipe, None, torch.device("cpu"))
    images = torch.randn(batch_size, *subject.input_shape).contiguous(memory_format=torch.channels_last)
    target = torch.zeros(batch_size, dtype=torch.int64)
    return lambda: step(network, images, target)
