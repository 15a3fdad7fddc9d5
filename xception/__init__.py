"""One parameterised Xception network and all that it takes to train and measure it.

Chollet 2017, *Xception: Deep Learning with Depthwise Separable Convolutions* (arXiv:1610.02357).
Configs and presets are plain Python; the network, which needs torch, is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xception.base.version import __version__

if TYPE_CHECKING:
    from xception.network import presets
    from xception.network.config import XceptionConfig
    from xception.network.model import Xception
    from xception.network.weights import load_pretrained, to_timm

__all__ = ["Xception", "XceptionConfig", "__version__", "load_pretrained", "presets", "to_timm"]


def __getattr__(name: str) -> Any:
    import importlib

    if name == "Xception":
        return importlib.import_module("xception.network.model").Xception
    if name == "XceptionConfig":
        return importlib.import_module("xception.network.config").XceptionConfig
    if name in ("load_pretrained", "to_timm"):
        return getattr(importlib.import_module("xception.network.weights"), name)
    if name == "presets":
        return importlib.import_module("xception.network.presets")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
