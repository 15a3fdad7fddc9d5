"""A data set that was found on disk but not decoded: name, sizes and hash of its content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from xception.base.errors import DataError, printable
from xception.base.files import cache_dir, read_json, reason, write_json
from xception.data.config import DatasetConfig
from xception.data.images import DEFAULT_PIXELS, Depth, Pixels, header_size, is_turned, measure_depth

if TYPE_CHECKING:
    from xception.data.summary import Summary

__all__ = [
    "SPLITS",
    "TRAIN_AND_TEST",
    "Content",
    "Example",
    "Facts",
    "Hasher",
    "Reader",
    "Source",
    "SplitName",
    "check_sizes",
    "examine",
    "stamp_files",
]

SplitName = Literal["train", "test", "val"]
TRAIN_AND_TEST: tuple[SplitName, ...] = ("train", "test")
SPLITS: tuple[SplitName, ...] = ("train", "test", "val")  # val: only if the data set has a validation split
FACTS_VERSION = 2  # raised when the meaning of a fact changes
NUM_HEADERS = 99  # images whose size is read to find the native one
MAX_CLASSES = 100_000

Content = Any  # bytes of an image file, or uint8 numpy array (3, H, W)


class Example(NamedTuple):
    """One labelled image as stored on disk."""

    content: Content
    label: int
    name: str  # for the message if the image is broken


class Reader(Protocol):
    """Reads one layout; small, picklable, plain Python until `examples` runs."""

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The class names of the layout; None if it has none."""

    @property
    def splits(self) -> tuple[SplitName, ...]:
        """`train` and `test`, and `val` where the layout has validation images of its own."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user: what was left out, and which choices were made; a sentence each."""

    def stamp(self) -> str:
        """Return a text that changes whenever the files may have: paths, sizes, times."""

    def examples(self, split: SplitName) -> Iterator[Example]:
        """Yield every example in the order of the layout."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Facts from one pass over the content."""

    fingerprint: str
    num_train: int
    num_test: int
    num_val: int
    class_names: tuple[str, ...]
    native_size: int
    has_jpeg: bool
    is_turned: bool  # an image has an EXIF orientation other than upright
    deep_bits: int  # bits in use of images with more than 8 bits a pixel; 16 where there are none


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set that was found: cheap to hold, to compare and to send to another process."""

    name: str  # as on the command line, without a path: 'cifar10'
    title: str  # for tables and figures: 'CIFAR-10 (JPEG)'
    fingerprint: str  # SHA-256 of labels and images in order
    num_train: int  # images; of those that decode, once `prepare` has decoded them
    num_test: int
    num_val: int = 0  # images of a validation split of its own
    class_names: tuple[str, ...]
    native_size: int  # shorter side in pixels: of every image if all are equal, else the median
    reader: Reader
    generated: bool = False  # generated from parameters, which the fingerprint hashes
    pixels: Pixels = DEFAULT_PIXELS
    summary: Summary | None = field(default=None, compare=False)  # once `prepare` has decoded the images

    @property
    def in_channels(self) -> int:
        """3 for RGB, whatever the files hold, or 1 for grayscale."""
        return self.pixels.channels

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    def num_available(self, val_size: int) -> int:
        """Return the number of training images that `val_size` for validation leaves."""
        return self.num_train if self.num_val else self.num_train - val_size

    def config(
        self,
        *,
        image_size: int | None = None,
        train_size: int | None = None,
        val_size: int = 0,
        test_size: int | None = None,
    ) -> DatasetConfig:
        """Return the config of this data set, checked against its sizes.

        Raises:
            ValueError: more images are requested than exist.
        """
        config = DatasetConfig(
            fingerprint=self.fingerprint,
            image_size=self.native_size if image_size is None else image_size,
            train_size=train_size,
            val_size=val_size,
            test_size=test_size,
            channels=1 if self.pixels.channels == 1 else 3,
            orientation="applied" if self.pixels.upright else "ignored",
            deep_bits=self.pixels.deep_bits,
            validation="separate" if self.num_val else "held_out",
        )
        check_sizes(config, num_train=self.num_train, num_test=self.num_test, num_val=self.num_val)
        return config

    def seen_by(self, config: DatasetConfig) -> Source:
        """Return this data set with its pixels read as a trial's config says."""
        pixels = Pixels(channels=config.channels, upright=config.orientation == "applied", deep_bits=config.deep_bits)
        return self if pixels == self.pixels else replace(self, pixels=pixels)


def check_sizes(config: DatasetConfig, *, num_train: int, num_test: int, num_val: int = 0) -> None:
    """Check the requested sizes against those of the data set.

    Raises:
        DataError: more images are requested than exist.
    """
    held_out = config.val_size
    if config.validation == "separate":
        held_out = 0
        if config.val_size > num_val:
            raise DataError(
                f"DatasetConfig.val_size: {config.val_size} is not allowed; the validation set has {num_val} images"
            )
    if held_out + (config.train_size or 1) > num_train:
        asked = f"{held_out} for validation and {config.train_size or 'at least 1'} for training"
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
        """Add an example. Raises DataError if its label is not a class."""
        raw = example.content if isinstance(example.content, bytes) else example.content.tobytes()
        if not 0 <= example.label < 2**31:
            raise DataError(f"{example.name}: label {example.label} is not allowed; 0 to the number of classes less 1")
        self._hash.update(example.label.to_bytes(8, "little") + len(raw).to_bytes(8, "little"))
        self._hash.update(raw)

    def result(self) -> str:
        """Return the hash in hexadecimal."""
        return self._hash.hexdigest()


def examine(reader: Reader) -> Facts:
    """Return the facts about a data set, read once and then cached for as long as no file changes.

    Raises:
        DataError: a split is empty, a class has no training image, a label is out of range, a file cannot be read, the
            cache cannot be written.
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
    counts: dict[SplitName, int] = dict.fromkeys(SPLITS, 0)
    in_class: dict[int, int] = {}  # training images by label
    sides: list[int] = []
    depths: list[Depth] = []
    names = reader.class_names
    has_jpeg = turned = False
    for split in reader.splits:
        hasher.begin(split)
        for example in reader.examples(split):
            hasher.add(example)
            counts[split] += 1
            if names is not None and example.label >= len(names):
                raise DataError(f"{example.name}: label {example.label} is not allowed; 0 to {len(names) - 1}")
            in_class[example.label] = in_class.get(example.label, 0) + (split == "train")
            has_jpeg = has_jpeg or (isinstance(example.content, bytes) and example.content.startswith(b"\xff\xd8"))
            turned = turned or is_turned(example.content)
            if (depth := measure_depth(example.content)) is not None:
                depths.append(depth)
            if len(sides) < NUM_HEADERS and (size := header_size(example.content)) is not None:
                sides.append(min(size))
        if not counts[split]:
            raise DataError(f"{split} split: 0 images are not allowed; 1 or more")
    highest = max(in_class)
    if highest >= MAX_CLASSES:
        raise DataError(f"label {highest} is not allowed; 0 to 99,999")
    names = names or tuple(str(label) for label in range(highest + 1))
    _check_classes(names, in_class)
    if not sides:
        raise DataError("no image that can be read among the first; JPEG, PNG, BMP, GIF, WebP, TIFF or PPM")
    return Facts(
        fingerprint=hasher.result(),
        num_train=counts["train"],
        num_test=counts["test"],
        num_val=counts["val"],
        class_names=tuple(printable(name) for name in names),
        native_size=sorted(sides)[(len(sides) - 1) // 2],  # the lower median
        has_jpeg=has_jpeg,
        is_turned=turned,
        deep_bits=_bits_in_use(depths),
    )


def _check_classes(names: tuple[str, ...], in_class: dict[int, int]) -> None:
    if len(names) < 2:
        raise DataError(f"1 class ({names[0]}) is not allowed; 2 or more" if names else "0 classes are not allowed")
    empty = [names[label] for label in range(len(names)) if not in_class.get(label)]
    if empty:
        shown = ", ".join(repr(name) for name in empty[:5]) + (", …" if len(empty) > 5 else "")
        raise DataError(
            f"{len(empty)} of {len(names)} classes have no training image ({shown}); 1 or more each, with labels"
            " counted from 0"
        )


def _bits_in_use(depths: list[Depth]) -> int:
    """The bits in use over all images with more than 8 bits a pixel."""
    bits = max((depth.bits for depth in depths), default=16)
    if bits < 16 and any(depth.is_colour for depth in depths):
        raise DataError(
            f"16-bit colour images that use {bits} of their 16 bits are not allowed, for they would come out dark; "
            "all 16 bits in use, or 8-bit images"
        )
    return max(bits, 1)


def stamp_files(files: Iterator[Path] | tuple[Path, ...]) -> str:
    """Return path, size and times of every file, a line each; a file that changes in place changes its stamp."""
    lines = []
    for file in files:
        status = os.stat(file)
        lines.append(f"{os.path.abspath(file)}\t{status.st_size}\t{status.st_mtime_ns}\t{status.st_ctime_ns}")
    return "\n".join(lines)
