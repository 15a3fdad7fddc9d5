"""The cache of decoded images: built once by one process, whole or not at all, and checked against checksums whenever
it is opened.

A folder holds `train-images`, `train-labels`, `test-images` and `test-labels` (plain bytes, little-endian int64
labels), the same for `val` where a data set has such a split, and, written last, `manifest.json` with the size and
SHA-256 of each and an inventory of the images. Files that do not match are discarded and decoded again.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from xception.base.errors import DataError
from xception.base.files import cache_dir, lock, read_json, reason, sync_dir, write_atomic, write_json
from xception.data.images import DECODER_VERSION, DEFAULT_PIXELS, BrokenImageError, Pixels, quiet, read_picture
from xception.data.inventory import Inventory
from xception.data.source import Example, Hasher, Source, SplitName

__all__ = ["OnProgress", "build_decoded", "decoded", "folder_of", "install", "manifest_of"]

FORMAT_VERSION = 2
CHUNK = 64  # images decoded by one thread at a time
MAX_THREADS = 8  # more threads wait for the interpreter lock rather than decode

OnProgress = Callable[[int], None]  # called with the number of images read since the last call


class Decoded(NamedTuple):
    """Some images in the order of the layout."""

    pixels: npt.NDArray[np.uint8]  # (B, C, S, S)
    labels: npt.NDArray[np.int64]  # (B,)
    forms: list[tuple[int, int, str]]  # height, width and mode of each file
    names: list[str]
    broken: list[tuple[int, str]]  # label, and name and reason, of each that cannot be decoded


def decoded(source: Source, image_size: int, on_progress: OnProgress | None = None) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a data set decoded at a size, and its manifest; built where it is missing or damaged.

    Raises:
        DataError: the cache cannot be written, the source changed since it was found, or no image can be decoded.
    """
    folder = _folder(source, image_size)
    manifest = _intact(folder)
    if manifest is None:
        with lock(folder.parent / f"{folder.name}.lock"):
            manifest = _intact(folder)  # another process may have built it while this one waited
            if manifest is None:
                build_decoded(source, image_size, folder, on_progress)
                manifest = _intact(folder)
    if manifest is None:
        raise DataError(
            f"cache: {str(folder)!r} reads back other than it was written; name a folder on a sound disk in"
            " $XCEPTION_CACHE"
        )
    return folder, manifest


def manifest_of(source: Source, image_size: int, on_progress: OnProgress | None = None) -> dict[str, Any]:
    """Return the manifest of a data set decoded at a size; files that exist are not checked again.

    Raises:
        DataError: the cache cannot be written, the source changed since it was found, or no image can be decoded.
    """
    manifest: dict[str, Any] | None = read_json(_folder(source, image_size) / "manifest.json")
    return decoded(source, image_size, on_progress)[1] if manifest is None else manifest


def install(source: Source, image_size: int, files: Mapping[str, npt.NDArray[np.uint8]]) -> None:
    """Put a data set's files that another machine decoded into this one's cache; they are checked against their
    checksums when opened.

    Raises:
        DataError: the cache cannot be written.
    """
    folder = _folder(source, image_size)
    with lock(folder.parent / f"{folder.name}.lock"):
        if _intact(folder) is not None:
            return
        with _written_aside(folder, sum(content.nbytes for content in files.values())) as aside:
            for name, content in sorted(files.items(), key=lambda item: item[0] == "manifest.json"):
                with write_atomic(aside / name) as file:
                    content.tofile(file)


def _folder(source: Source, image_size: int) -> Path:
    return folder_of(source.fingerprint, source.pixels, image_size)


def folder_of(fingerprint: str, pixels: Pixels, image_size: int) -> Path:
    """Return the folder of a data set decoded at a size; its parent is created.

    Raises:
        DataError: the cache cannot be written.
    """
    from PIL import __version__ as pillow_version  # another JPEG library may give other pixels

    root = cache_dir() / "decoded"
    how = "" if pixels == DEFAULT_PIXELS else f" {pixels}"
    key = hashlib.sha256(
        f"{FORMAT_VERSION} {DECODER_VERSION} {pillow_version} {fingerprint} {image_size}{how}".encode()
    ).hexdigest()
    try:
        root.mkdir(exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cache: {str(root)!r} cannot be made ({reason(error)}); name a folder that can in $XCEPTION_CACHE"
        ) from None
    return root / f"{key[:32]}-{image_size}"


def _intact(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder whose files all have the size and checksum that were written; else None."""
    manifest: dict[str, Any] | None = read_json(folder / "manifest.json")
    if manifest is None:
        return None
    files = {folder / name: expected for name, expected in manifest["files"].items()}
    try:
        if any(path.stat().st_size != size for path, (size, _) in files.items()):
            return None
        with ThreadPoolExecutor(2) as pool:  # hashing releases the GIL
            sums = list(pool.map(_checksum, files))
    except OSError:  # missing or unreadable: treated as damaged
        return None
    return manifest if sums == [checksum for _, checksum in files.values()] else None


def _checksum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def build_decoded(source: Source, image_size: int, folder: Path, on_progress: OnProgress | None = None) -> None:
    """Decode into a temporary folder, then rename it. The caller holds the lock."""
    num = source.num_train + source.num_test + source.num_val
    with _written_aside(folder, num * source.in_channels * image_size**2) as aside:
        write_json(aside / "manifest.json", _write_splits(source, image_size, aside, on_progress))


@contextlib.contextmanager
def _written_aside(folder: Path, num_bytes: int) -> Iterator[Path]:
    """Yield an empty folder for that many bytes, and rename it to `folder` at the end.

    Raises:
        DataError: there is too little space, or the folder cannot be written.
    """
    aside = folder.with_name(f"{folder.name}.tmp")
    try:
        for stale in (aside, folder):  # left by a process that was killed, or damaged
            if stale.exists():
                shutil.rmtree(stale)
        aside.mkdir()
        _check_space(aside, num_bytes)
        yield aside
        os.replace(aside, folder)
        sync_dir(folder.parent)
    except OSError as error:
        raise DataError(
            f"cache: {str(folder)!r} cannot be written ({reason(error)}); name a folder that can in $XCEPTION_CACHE"
        ) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _check_space(folder: Path, num_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if num_bytes > free:
        raise DataError(
            f"cache: {str(folder)!r} has {free / 1e9:.1f} GB free, {num_bytes / 1e9:.1f} GB are needed; "
            "name a larger disk in $XCEPTION_CACHE, or take smaller images"
        )


def _write_splits(source: Source, image_size: int, folder: Path, on_progress: OnProgress | None) -> dict[str, Any]:
    """Write every split and return the manifest."""
    hasher = Hasher()
    files: dict[str, Any] = {}
    nums: dict[SplitName, int] = {}
    inventory = Inventory(source.num_classes)
    statistics = _Statistics(source.in_channels)
    for split in source.reader.splits:
        hasher.begin(split)
        nums[split] = 0
        with (
            quiet(),
            _File(folder / f"{split}-images") as pixels_file,
            _File(folder / f"{split}-labels") as labels_file,
        ):
            examples = _hashed(source.reader.examples(split), hasher)
            for chunk in _decoded_chunks(examples, image_size, source.pixels):
                pixels_file.write(chunk.pixels.tobytes())
                labels_file.write(chunk.labels.astype("<i8").tobytes())
                if split == "train":
                    statistics.add(chunk.pixels)
                inventory.add(split, chunk.pixels, chunk.labels.tolist(), chunk.forms, chunk.names)
                inventory.add_broken(split, chunk.broken)
                nums[split] += len(chunk.labels)
                if on_progress is not None:
                    on_progress(len(chunk.labels) + len(chunk.broken))
            files |= {file.path.name: file.finish() for file in (pixels_file, labels_file)}
        if not nums[split]:
            first = f" (first: {inventory.broken[-1]})" if inventory.broken else ""
            raise DataError(f"{source.title}: no image of the {split} split can be decoded{first}; 1 or more")
        if split == "train":
            inventory.require_all_classes(source.class_names, source.title)
    if not source.generated and hasher.result() != source.fingerprint:
        raise DataError(
            f"{source.title}: the files changed since they were found; begin again when nothing writes to them"
        )
    mean, std = statistics.result()
    return {
        "files": files,
        **{f"num_{split}": num for split, num in nums.items()},
        "mean": mean,
        "std": std,
        "num_broken": inventory.num_broken,
        "broken": inventory.broken,
        "inventory": inventory.as_plain(),
    }


def _hashed(examples: Iterator[Example], hasher: Hasher) -> Iterator[Example]:
    for example in examples:
        hasher.add(example)
        yield example


def _decoded_chunks(examples: Iterator[Example], image_size: int, pixels: Pixels) -> Iterator[Decoded]:
    """Decode in threads (the codecs release the interpreter lock), a few chunks ahead, in order."""
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    waiting: deque[Future[Decoded]] = deque()
    with ThreadPoolExecutor(min(num_cores, MAX_THREADS)) as pool:
        try:
            while chunk := list(islice(examples, CHUNK)):
                waiting.append(pool.submit(_decode_chunk, chunk, image_size, pixels))
                if len(waiting) > 2 * MAX_THREADS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _decode_chunk(chunk: list[Example], image_size: int, pixels: Pixels) -> Decoded:
    pictures, labels, names, broken = [], [], [], []
    for example in chunk:
        try:
            pictures.append(read_picture(example.content, image_size, pixels))
        except BrokenImageError as error:
            broken.append((example.label, f"{example.name}: {error}"))
        except DataError as error:
            raise DataError(f"{example.name}: {error}") from None
        else:
            labels.append(example.label)
            names.append(example.name)
    stacked = (
        np.stack([picture.pixels for picture in pictures])
        if pictures
        else np.empty((0, pixels.channels, image_size, image_size), dtype=np.uint8)
    )
    forms = [(picture.height, picture.width, picture.mode) for picture in pictures]
    return Decoded(stacked, np.array(labels, dtype=np.int64), forms, names, broken)


class _File:
    """A new file with a running checksum."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open(path, "xb")  # noqa: SIM115 - closed on exit
        self._hash = hashlib.sha256()

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, raw: bytes) -> None:
        """Append bytes."""
        self._file.write(raw)
        self._hash.update(raw)

    def finish(self) -> tuple[int, str]:
        """Flush the file to disk and return its size and SHA-256."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell(), self._hash.hexdigest()


class _Statistics:
    """Mean and standard deviation of each channel from whole-number histograms: the same bits in any order."""

    def __init__(self, num_channels: int) -> None:
        self._histograms = np.zeros((num_channels, 256), dtype=np.int64)

    def add(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Count pixels `(B, C, S, S)`."""
        for channel in range(len(self._histograms)):
            self._histograms[channel] += np.bincount(pixels[:, channel].ravel(), minlength=256)

    def result(self) -> tuple[list[float], list[float]]:
        """Return both, of pixels scaled to 0 … 1; a constant channel gets the deviation of one grey level."""
        means, deviations = [], []
        for histogram in self._histograms.tolist():
            num = sum(histogram)
            first = sum(level * count for level, count in enumerate(histogram))
            second = sum(level * level * count for level, count in enumerate(histogram))
            means.append(first / num / 255)
            deviations.append(max(math.sqrt(num * second - first * first) / num, 1.0) / 255)
        return means, deviations
