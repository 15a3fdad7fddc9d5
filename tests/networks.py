"""Networks and their parts with their specific types."""

from __future__ import annotations

from typing import Any

from torch import nn

from xception.network import presets
from xception.network.config import XceptionConfig

__all__ = ["part", "xception_preset"]


def xception_preset(name: str) -> XceptionConfig:
    """A preset that is an Xception, not one of torchvision's networks."""
    config = presets.get(name)
    assert isinstance(config, XceptionConfig)
    return config


def part(network: nn.Module, path: str) -> Any:
    """The submodule at a dotted path."""
    return network.get_submodule(path)
