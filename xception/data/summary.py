"""Summary of a data set before anything is trained on it: classes, images, sizes, what was left out, and leakage."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from xception.data.source import Source, SplitName

__all__ = ["Summary", "prepare"]

SHOWN_CLASSES = 12


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The facts about a decoded data set; counts are of images that decode."""

    name: str
    title: str
    fingerprint: str
    class_names: tuple[str, ...]
    counts: dict[SplitName, tuple[int, ...]]  # images of each class
    image_size: int  # pixels that the images were resized to
    heights: tuple[int, int, int]  # least, median and greatest of the files
    widths: tuple[int, int, int]
    num_sizes: int
    modes: dict[str, int]  # files of each pixel format, as Pillow names it
    channels: int  # of a network's input
    orientation: str  # 'applied' or 'ignored'
    deep_bits: int
    num_broken: int
    broken: tuple[str, ...]  # the first of them, with the reason
    repeated: dict[SplitName, int]  # images that occur earlier in the same split
    leaked: dict[str, int]  # images that occur in another split, such as 'test in train'
    leaks: tuple[str, ...]  # the first of them
    num_conflicting: int  # images that occur earlier with another label
    notes: tuple[str, ...]

    def as_plain(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return asdict(self)

    @property
    def warnings(self) -> list[str]:
        """Reasons not to trust results on this data, a sentence each."""
        out = [
            f"{_images(num)} of the {_full(split)} set, the same pixels as in the {_full(other)} set"
            for (split, _, other), num in ((what.partition(" in "), num) for what, num in self.leaked.items())
        ]
        if self.num_conflicting:
            out.append(f"{_images(self.num_conflicting)} with the same pixels as another one and another label")
        if self.num_broken:
            out.append(f"{_images(self.num_broken)} left out that cannot be decoded, first {self.broken[0]}")
        return out

    @property
    def lines(self) -> list[str]:
        """The summary as text."""
        splits = ", ".join(f"{sum(counts):,} {_full(split)}" for split, counts in self.counts.items())
        lines = [f"Data: {self.title}, {len(self.class_names)} classes, {splits} images"]
        for split, counts in self.counts.items():
            least, most = min(counts), max(counts)
            each = f"{least:,} in each class" if least == most else f"{least:,} to {most:,} a class"
            lines.append(f"  {_full(split)}: {each}" + (f" ({self._each(counts)})" if least != most else ""))
        lines.append(f"  files: {self._files}; a network sees {self._seen}")
        if self.repeated:
            twice = ", ".join(f"{num:,} in the {_full(split)} set" for split, num in self.repeated.items())
            lines.append(f"  there more than once: {twice}")
        lines += [f"  note: {note}" for note in self.notes]
        lines += [f"  warning: {warning}" for warning in self.warnings]
        if not self.leaked:
            lines.append("  no image is in two splits")
        return lines

    def _each(self, counts: tuple[int, ...]) -> str:
        shown = [f"{name} {num:,}" for name, num in zip(self.class_names, counts, strict=True)]
        return ", ".join(shown[:SHOWN_CLASSES]) + (", …" if len(shown) > SHOWN_CLASSES else "")

    @property
    def _files(self) -> str:
        modes = ", ".join(f"{num:,} {mode}" if len(self.modes) > 1 else mode for mode, num in self.modes.items())
        if self.num_sizes == 1:
            return f"{self.heights[0]} × {self.widths[0]} pixels, {modes}"
        heights, widths = (f"{low} to {high} (median {middle})" for low, middle, high in (self.heights, self.widths))
        return f"{heights} pixels high, {widths} wide, {modes}"

    @property
    def _seen(self) -> str:
        how = f"{self.channels} × {self.image_size} × {self.image_size}"
        if self.orientation == "applied":
            how += ", turned upright by EXIF"
        if self.deep_bits != 16:
            how += f", {self.deep_bits} of 16 bits in use"
        return how


def prepare(source: Source, image_size: int | None = None, *, show_progress: bool = False) -> Source:
    """Return a data set with its images decoded, so that counts are of images that can be used, and with its summary.

    The decoded images are in the cache afterwards, where training finds them.

    Raises:
        DataError: no image of a split or of a class can be decoded, the files changed, or the cache cannot be written.
    """
    from xception.data.decoded import manifest_of

    size = source.native_size if image_size is None else image_size
    total = source.num_train + source.num_test + source.num_val
    with _progress(source.title, total, shown=show_progress) as advance:
        manifest = manifest_of(source, size, advance)
    found = manifest["inventory"]
    summary = Summary(
        name=source.name,
        title=source.title,
        fingerprint=source.fingerprint,
        class_names=source.class_names,
        counts={split: tuple(found["counts"][split]) for split in source.reader.splits},
        image_size=size,
        heights=tuple(found["heights"]),
        widths=tuple(found["widths"]),
        num_sizes=found["num_sizes"],
        modes=found["modes"],
        channels=source.pixels.channels,
        orientation="applied" if source.pixels.upright else "ignored",
        deep_bits=source.pixels.deep_bits,
        num_broken=manifest["num_broken"],
        broken=tuple(manifest["broken"][:20]),
        repeated=found["repeated"],
        leaked=found["leaked"],
        leaks=tuple(found["leaks"]),
        num_conflicting=found["num_conflicting"],
        notes=source.reader.notes,
    )
    return replace(
        source,
        num_train=manifest["num_train"],
        num_test=manifest["num_test"],
        num_val=manifest.get("num_val", 0),
        summary=summary,
    )


def _images(num: int) -> str:
    return f"{num:,} image{'' if num == 1 else 's'}"


def _full(split: str) -> str:
    return {"train": "training", "test": "test", "val": "validation"}[split]


@contextlib.contextmanager
def _progress(title: str, total: int, *, shown: bool) -> Iterator[Any]:
    """A progress bar on standard error while images are decoded, if that is a terminal."""
    if not shown or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"Decoding {title}", total=total, visible=False)

        def advance(num: int) -> None:
            progress.update(task, advance=num, visible=True)

        yield advance
