"""Data: found by name, decoded once, kept as uint8 on the training device, and augmented there in batches.

Finding is plain Python; what needs torch is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xception.data.config import AugmentConfig, DatasetConfig
from xception.data.errors import DataError
from xception.data.names import NAMES, find, find_default
from xception.data.source import Source

if TYPE_CHECKING:
    from xception.data.dataset import ChannelStatistics, Dataset, Images, load
    from xception.data.splits import Split, split

__all__ = [
    "NAMES", "AugmentConfig", "ChannelStatistics", "DataError", "Dataset", "DatasetConfig", "Images", "Source", "Split", "find",
    "find_default", "load", "split",
]

_NEED_TORCH = {
    "ChannelStatistics": "dataset", "Dataset": "dataset", "Images": "dataset", "load": "dataset", "Split": "splits", "split": "splits",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _NEED_TORCH:
        return getattr(importlib.import_module(f"xception.data.{_NEED_TORCH[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
