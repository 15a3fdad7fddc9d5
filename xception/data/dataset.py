"""A data set in memory, or mapped into it: uint8 images that are on the training device, or are streamed from disk if
they do not fit.

The files of the cache are mapped, so worker processes share their pages. The limit is the disk, not the memory: N × C ×
S × S bytes for N images of S × S pixels.
"""

from __future__ import annotations

import dataclasses
import math
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from xception.base.errors import DataError
from xception.data.decoded import decoded
from xception.data.source import Source, SplitName

__all__ = ["ChannelStatistics", "Dataset", "Images", "load"]


@dataclass(frozen=True)
class Images:
    """Images and their labels, or some of them by index; the pixels may be a file mapped into memory."""

    storage: torch.Tensor  # uint8 (M, C, H, W)
    storage_labels: torch.Tensor  # int64 (M,)
    index: torch.Tensor | None = None  # int64 (N,): which of the M, in order; None: all of them
    target: torch.device | None = None  # device to which `batch` copies; None: that of the storage

    def __len__(self) -> int:
        return len(self.storage) if self.index is None else len(self.index)

    @property
    def labels(self) -> torch.Tensor:
        """Labels `(N,)`, int64."""
        return self.storage_labels if self.index is None else self.storage_labels[self.index]

    @property
    def images(self) -> torch.Tensor:
        """Images `(N, C, H, W)`, uint8. Where there is an index this gathers a copy each time: in a loop use `to` once,
        or `batch`.
        """
        return self.storage if self.index is None else self.storage[self.index]

    @property
    def num_bytes(self) -> int:
        """Bytes of the pixels in the memory of a device."""
        return len(self) * self.storage[0].numel()

    def batch(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images `(B, C, H, W)` and labels `(B,)` at positions 0 … N−1, an int64 tensor (best on the storage's
        device).
        """
        positions = positions.to(self.storage.device)
        chosen = positions if self.index is None else self.index[positions]
        images, labels = self.storage[chosen], self.storage_labels[chosen]
        if self.target is None:
            return images, labels
        if self.target.type == "cuda":  # from pinned memory the copy overlaps with the current step
            images, labels = images.pin_memory(), labels.pin_memory()
        return images.to(self.target, non_blocking=True), labels.to(self.target, non_blocking=True)

    def select(self, positions: torch.Tensor) -> Images:
        """Return some of these images, by position; nothing is copied."""
        return dataclasses.replace(self, index=positions if self.index is None else self.index[positions])

    def to(self, device: torch.device | str) -> Images:
        """Return only these images, copied to a device; no index is needed there."""
        return Images(self.images.to(device), self.labels.to(device))

    def place(self, device: torch.device | str, max_bytes: int | None = None) -> Images:
        """Return these images on a device where they take at most `max_bytes` there (half of what is free, unless
        given).

        Larger ones stay where they are, mapped from disk, and `batch` copies each batch to the device. Both give the
        same batches. Images that are on a GPU already stay there, since others may share them; only the index is
        copied.
        """
        device = torch.device(device)
        if device.type == "cuda" and self.storage.device.type == "cuda":
            return dataclasses.replace(self, index=None if self.index is None else self.index.to(device))
        if self.num_bytes <= (_free_bytes(device) // 2 if max_bytes is None else max_bytes):
            return self.to(device)
        return dataclasses.replace(self, target=None if device.type == self.storage.device.type else device)


@dataclass(frozen=True)
class ChannelStatistics:
    """Mean and standard deviation of each channel over the whole training set, of pixels scaled to 0 … 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Dataset:
    """A decoded data set."""

    source: Source
    train: Images
    test: Images
    val: Images | None  # where the data set has a validation split of its own
    statistics: ChannelStatistics
    num_broken: int  # image files that could not be decoded and were left out
    broken: tuple[str, ...]  # 'split name: reason' of each, of the first thousand


def load(source: Source, image_size: int | None = None) -> Dataset:
    """Return a data set decoded to `(C, image_size, image_size)` uint8, from the cache if it is intact.

    Several processes may call this at once: one decodes, the others wait.

    Raises:
        DataError: the cache cannot be written, the source changed since it was found, or no image can be decoded.
    """
    size = source.native_size if image_size is None else image_size
    if not 1 <= size <= 4096:
        raise DataError(f"image_size: {size} is not allowed; 1 to 4096 pixels")
    folder, manifest = decoded(source, size)
    shape = (source.in_channels, size, size)
    return Dataset(
        source=source,
        train=_mapped(folder, "train", manifest["num_train"], shape),
        test=_mapped(folder, "test", manifest["num_test"], shape),
        val=_mapped(folder, "val", manifest["num_val"], shape) if "num_val" in manifest else None,
        statistics=ChannelStatistics(tuple(manifest["mean"]), tuple(manifest["std"])),
        num_broken=manifest["num_broken"],
        broken=tuple(manifest["broken"]),
    )


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    pages = (
        "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in os.sysconf_names else "SC_PHYS_PAGES"
    )  # macOS reports only the total
    return os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")


def _mapped(folder: Path, split: SplitName, num: int, shape: tuple[int, int, int]) -> Images:
    """The files of a split, mapped privately: pages are shared until written to, and the files never are."""
    pixels = torch.from_file(
        str(folder / f"{split}-images"), shared=False, size=num * math.prod(shape), dtype=torch.uint8
    )
    labels = torch.from_file(str(folder / f"{split}-labels"), shared=False, size=num, dtype=torch.int64)
    return Images(pixels.view(num, *shape), labels)
