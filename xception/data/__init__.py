"""Data: found by name, decoded once, kept as uint8 on the training device, and augmented there in batches.

Configs and errors are plain Python; modules that find files or need torch are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xception.base.errors import DataError
from xception.data.config import AugmentConfig, DatasetConfig

if TYPE_CHECKING:
    from xception.data.dataset import ChannelStatistics, Dataset, Images, load
    from xception.data.names import find, find_default, forms
    from xception.data.source import Source
    from xception.data.splits import Split, split

__all__ = [
    "AugmentConfig",
    "ChannelStatistics",
    "DataError",
    "Dataset",
    "DatasetConfig",
    "Images",
    "Source",
    "Split",
    "find",
    "find_default",
    "forms",
    "load",
    "split",
]

_HOMES = {
    "find": "names",
    "find_default": "names",
    "forms": "names",
    "Source": "source",
    "ChannelStatistics": "dataset",
    "Dataset": "dataset",
    "Images": "dataset",
    "load": "dataset",
    "Split": "splits",
    "split": "splits",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(f"xception.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
