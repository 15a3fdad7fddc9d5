"""A data set that was found on disk but not decoded: what people call it, how much there is, and the hash of its
content.
"""

from __future__ import annotations

import hashlib
import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from xception.base.errors import DataError, printable
from xception.base.files import cache_dir, read_json, reason, write_json
from xception.data.config import DatasetConfig
from xception.data.images import header_size

__all__ = ["SPLITS", "Content", "Example", "Facts", "Hasher", "Reader", "Source", "SplitName", "examine", "stamp_files"]

SplitName = Literal["train", "test"]
SPLITS: tuple[SplitName, SplitName] = ("train", "test")
FACTS_VERSION = 1  # raised where facts come to mean something else
NUM_HEADERS = 99  # images whose size is looked up to name the native one

Content = Any  # bytes of an image file, or uint8 numpy array (3, H, W)


class Example(NamedTuple):
    """One labelled image as it lies on disk."""

    content: Content
    label: int
    name: str  # for people, should the image be broken


class Reader(Protocol):
    """Reads one layout; small, picklable, plain Python until `examples` runs."""

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names that the layout gives; None where it gives none."""

    def stamp(self) -> str:
        """Return a text that changes whenever the files may have: paths, sizes, times."""

    def examples(self, split: SplitName) -> Iterator[Example]:
        """Yield every example in the order of the layout."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What one pass over the content tells."""

    fingerprint: str
    num_train: int
    num_test: int
    class_names: tuple[str, ...]
    native_size: int
    has_jpeg: bool


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set that was found: cheap to hold, to compare and to send to another process."""

    name: str  # as on the command line, without a path: 'cifar10'
    title: str  # for tables and figures: 'CIFAR-10 (JPEG)'
    fingerprint: str  # SHA-256 of labels and images in order
    num_train: int
    num_test: int
    class_names: tuple[str, ...]
    native_size: int  # shorter side in pixels: of every image where all are alike, else the median
    reader: Reader
    generated: bool = False  # made from parameters, and the fingerprint is theirs
    in_channels: int = 3  # whatever the files hold, images come out as RGB

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    def config(
        self,
        *,
        image_size: int | None = None,
        train_size: int | None = None,
        val_size: int = 0,
        test_size: int | None = None,
    ) -> DatasetConfig:
        """Return the config of this data set, held against how much of it there is.

        Raises:
            ValueError: more images are asked for than there are.
        """
        config = DatasetConfig(
            fingerprint=self.fingerprint,
            image_size=self.native_size if image_size is None else image_size,
            train_size=train_size,
            val_size=val_size,
            test_size=test_size,
        )
        check_sizes(config, num_train=self.num_train, num_test=self.num_test)
        return config


def check_sizes(config: DatasetConfig, *, num_train: int, num_test: int) -> None:
    """Hold the sizes asked for against those that there are.

    Raises:
        DataError: more images are asked for than there are.
    """
    if config.val_size + (config.train_size or 1) > num_train:
        asked = f"{config.val_size} for validation and {config.train_size or 'at least 1'} for training"
        raise DataError(f"DatasetConfig.train_size: {asked} are not allowed; the training set has {num_train} images")
    if config.test_size is not None and config.test_size > num_test:
        raise DataError(
            f"DatasetConfig.test_size: {config.test_size} is not allowed; the test set has {num_test} images"
        )


class Hasher:
    """The fingerprint: SHA-256 over split, label, length and bytes of every example, in order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(b"xception data 1\0")

    def begin(self, split: SplitName) -> None:
        """Begin a split."""
        self._hash.update(split.encode() + b"\0")

    def add(self, example: Example) -> None:
        """Add an example. Raises DataError where its label is no class."""
        raw = example.content if isinstance(example.content, bytes) else example.content.tobytes()
        if not 0 <= example.label < 2**31:
            raise DataError(f"{example.name}: label {example.label} is not allowed; 0 to the number of classes less 1")
        self._hash.update(example.label.to_bytes(8, "little") + len(raw).to_bytes(8, "little"))
        self._hash.update(raw)

    def result(self) -> str:
        """Return the hash in hexadecimal."""
        return self._hash.hexdigest()


def examine(reader: Reader) -> Facts:
    """Return the facts about a data set, read once and then remembered in the cache for as long as no file changes.

    Raises:
        DataError: a split is empty, a label is out of range, a file cannot be read, the cache cannot be written.
    """
    folder = cache_dir() / "sources"
    stamp = hashlib.sha256(
        f"{FACTS_VERSION}\n{type(reader).__name__}\n{reader.stamp()}".encode("utf-8", "surrogateescape")
    ).hexdigest()
    memo = folder / f"{stamp}.json"
    known = read_json(memo)
    if known is not None:
        return Facts(**{**known, "class_names": tuple(known["class_names"])})
    facts = _examined(reader)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cache: {str(folder)!r} cannot be made ({reason(error)}); name a folder that can in $XCEPTION_CACHE"
        ) from None
    write_json(memo, facts.__dict__)
    return facts


def _examined(reader: Reader) -> Facts:
    hasher = Hasher()
    counts: dict[SplitName, int] = {}
    sides: list[int] = []
    names = reader.class_names
    highest, has_jpeg = -1, False
    for split in SPLITS:
        hasher.begin(split)
        counts[split] = 0
        for example in reader.examples(split):
            hasher.add(example)
            counts[split] += 1
            if names is not None and example.label >= len(names):
                raise DataError(f"{example.name}: label {example.label} is not allowed; 0 to {len(names) - 1}")
            highest = max(highest, example.label)
            has_jpeg = has_jpeg or (isinstance(example.content, bytes) and example.content.startswith(b"\xff\xd8"))
            if len(sides) < NUM_HEADERS and (size := header_size(example.content)) is not None:
                sides.append(min(size))
        if not counts[split]:
            raise DataError(f"{split} split: 0 images are not allowed; 1 or more")
    if highest >= 100_000:
        raise DataError(f"label {highest} is not allowed; 0 to 99,999")
    if not sides:
        raise DataError("no image that can be read among the first; JPEG, PNG, BMP, GIF, WebP, TIFF or PPM")
    return Facts(
        fingerprint=hasher.result(),
        num_train=counts["train"],
        num_test=counts["test"],
        class_names=tuple(printable(n) for n in names)
        if names is not None
        else tuple(str(i) for i in range(highest + 1)),
        native_size=int(statistics.median_low(sides)),
        has_jpeg=has_jpeg,
    )


def stamp_files(files: Iterator[Path] | tuple[Path, ...]) -> str:
    """Return path, size and times of every file, a line each; a file that changes in place changes its stamp."""
    lines = []
    for file in files:
        status = os.stat(file)
        lines.append(f"{os.path.abspath(file)}\t{status.st_size}\t{status.st_mtime_ns}\t{status.st_ctime_ns}")
    return "\n".join(lines)
