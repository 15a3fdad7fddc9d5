"""Training in float64, where rounding errors stay far below any mistake, however many steps they grow over.

In float32 two correct ways to compute a step differ in the last bit, and training multiplies that difference by about
ten every four steps. A tolerance on a later step would then measure the CPU, not the code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from xception.data import augment
from xception.data.dataset import ChannelStatistics
from xception.train import stacked_training, trainer


def normalise(images: Tensor, statistics: ChannelStatistics) -> Tensor:
    """Return uint8 images as float64, each channel less its mean and over its deviation."""
    mean, std = (
        torch.tensor(v, dtype=torch.float64, device=images.device).view(1, -1, 1, 1)
        for v in (statistics.mean, statistics.std)
    )
    return (images.double() / 255 - mean) / std


def train_in_float64(set_attribute: Callable[[Any, str, Any], None] = setattr) -> None:
    """Make networks, images and losses of this process float64; the caller restores the default type."""
    for module in (augment, trainer, stacked_training):
        set_attribute(module, "normalise", normalise)
    torch.set_default_dtype(torch.float64)
