"""Image files in folders: PATH/SPLIT/CLASS/… as torchvision's ImageFolder has them, Tiny ImageNet's layout, or
PATH/CLASS/… alone.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xception.base.errors import DataError
from xception.base.files import reason
from xception.data.layout import AS_FOUND, WHOLE, HeldOutReader, Layout, assign_splits, role_of
from xception.data.source import SPLITS, Example, Reader, SplitName, stamp_files

__all__ = ["SUFFIXES", "FolderReader", "open_folder"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
# Images that are not read here: counted and reported, so that they are not missed silently.
# fmt: off
OTHER_SUFFIXES = frozenset((
    ".jfif", ".jpe", ".jp2", ".j2k", ".jxl", ".heic", ".heif", ".hif", ".avif", ".svg", ".psd", ".eps", ".ai",
    ".pdf", ".ico", ".icns", ".tga", ".pcx", ".pbm", ".pnm", ".exr", ".hdr", ".dds", ".dcm", ".nii", ".raw",
    ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".xcf",
))
# Left behind by archivers, indexers and file systems.
SYSTEM_FOLDERS = frozenset((
    "__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found", "__pycache__", "desktop.ini", "thumbs.db",
    "system volume information",
))
# fmt: on
MAX_FILE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Part:
    """A split on disk: the folder of each class, or one folder and a file that gives each image's class."""

    path: Path
    folders: tuple[tuple[int, str], ...] = ()  # label and folder, in the order of labels
    annotated: tuple[tuple[str, int], ...] = ()  # image file and label, in the order of names

    def files(self, left_out: Counter[str] | None = None) -> Iterator[tuple[int, Path]]:
        """Yield label and path of every image file, and count what is left out.

        Raises:
            DataError: a folder cannot be read.
        """
        for label, name in self.folders:
            for path in _image_files(self.path / name, left_out):
                yield label, path
        for file, label in self.annotated:
            yield label, self.path / file


@dataclass(frozen=True)
class FolderReader:
    """Reads files class by class, in the order of their names."""

    parts: tuple[tuple[SplitName, Part], ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[SplitName, ...]:
        """The splits that exist."""
        return tuple(split for split in SPLITS if any(split == name for name, _ in self.parts))

    def part(self, split: SplitName) -> Part:
        """Return the folder of a split."""
        return next(part for name, part in self.parts if name == split)

    def stamp(self) -> str:
        """Return a stamp that changes when a file may have changed."""
        head = "\n".join(f"{split}\t{part.path}\t{part.folders}\t{part.annotated}" for split, part in self.parts)
        return head + "\n" + stamp_files(file for _, part in self.parts for _, file in part.files())

    def labels(self, split: SplitName) -> Iterator[int]:
        """Yield the label of every image file."""
        return (label for label, _ in self.part(split).files())

    def examples(self, split: SplitName) -> Iterator[Example]:
        """Yield every image file; one that is too large yields empty bytes, which count as a broken image.

        Raises:
            DataError: a file cannot be read.
        """
        part = self.part(split)
        for label, file in part.files():
            try:
                content = file.read_bytes() if file.stat().st_size <= MAX_FILE_BYTES else b""
            except OSError as error:
                raise DataError(f"{str(file)!r}: cannot be read ({reason(error)}); files that can") from None
            except MemoryError:
                raise DataError(f"{str(file)!r}: cannot be read (out of memory)") from None
            yield Example(content, label, str(file.relative_to(part.path)))


def open_folder(path: Path, layout: Layout = AS_FOUND, display_names: dict[str, str] | None = None) -> Reader:
    """Return the reader of a folder; classes are the folders of the training split, in the order of their names.

    Raises:
        DataError: there is no such folder or no training split, a class has no image, the test split has a class of its
            own, or a folder cannot be read.
    """
    layout.without_columns(f"folder:{path}")
    if not path.is_dir():
        raise DataError(f"folder:{path}: no such folder; a folder with train/CLASS/*.jpg and test/CLASS/*.jpg")
    there = _folders(path)
    found = [name for name in there if role_of(name)]
    chosen = [name for _, name in layout.splits]
    if not found and not chosen and there:
        found = [WHOLE]
    train = next((name for role, name in layout.splits if role == "train"), None)
    train = train or next(iter(assign_splits(dict.fromkeys(found, True), AS_FOUND, f"folder:{path}")[0].values()))
    classes = _classes(path / train) if (path / train).is_dir() else {}
    names = list(dict.fromkeys([*found, *(name for name in chosen if name in there)]))
    assigned, notes = assign_splits(
        {name: name == train or _is_labelled(path / name, classes) for name in names}, layout, f"folder:{path}"
    )
    if no_splits := [name for name in there if name not in names and names != [WHOLE]]:
        what = "is not a split and is" if len(no_splits) == 1 else "are not splits and are"
        notes += (f"{_listed(no_splits)} {what} left out",)
    if not classes:
        raise DataError(f"folder:{path / train}: 0 classes are not allowed; a folder for each class")
    left_out: Counter[str] = Counter()
    training = Part(path / assigned["train"], tuple(enumerate(classes.values())))
    _count_hidden(training.path, left_out)
    _require_images(training, left_out)
    parts: list[tuple[SplitName, Part]] = [("train", training)]
    others = [split for split in SPLITS[1:] if split in assigned]
    parts += [(split, _part(path / assigned[split], classes, left_out)) for split in others]
    notes += tuple(f"{what}: {num} left out" for what, num in sorted(left_out.items()))
    reader = FolderReader(
        tuple(parts), tuple((display_names or {}).get(name, name) for name in classes.values()), notes
    )
    return reader if "test" in assigned else HeldOutReader(reader)


def _part(path: Path, classes: dict[str, str], left_out: Counter[str]) -> Part:
    """A split other than the training one; its classes are those of the training split."""
    annotations = _annotations(path)
    labels = {name: label for label, name in enumerate(classes)}
    if annotations is not None:
        return Part(path, annotated=_annotated(path, annotations, labels))
    own = _classes(path)
    for name, folder in own.items():
        if name not in labels and any(_image_files(path / folder)):
            raise DataError(
                f"folder:{path}: class {folder!r} is not allowed; the classes of the training split are"
                f" {_listed(list(classes.values()))}"
            )
    part = Part(path, tuple((label, own[name]) for name, label in labels.items() if name in own))
    _count_hidden(path, left_out)
    for _ in part.files(left_out):
        pass
    return part


def _require_images(part: Part, left_out: Counter[str]) -> None:
    empty: dict[str, Counter[str]] = {}
    for label, folder in part.folders:
        own: Counter[str] = Counter()
        if not sum(1 for _ in Part(part.path, ((label, folder),)).files(own)):
            empty[folder] = own
        left_out.update(own)
    if empty:
        name, own = next(iter(empty.items()))
        inside = f" ({', '.join(f'{what}: {num}' for what, num in sorted(own.items()))})" if own else ""
        raise DataError(
            f"folder:{part.path}: {len(empty)} of {len(part.folders)} class folders have no image that is read here,"
            f" first {name!r}{inside}; remove the folder, or put images into it ({', '.join(SUFFIXES)})"
        )


def _is_labelled(split: Path, classes: dict[str, str]) -> bool:
    """Whether a split has class folders or annotations; a flat folder of images, or one folder around them, has not."""
    own = _classes(split)
    return _annotations(split) is not None or len(own) > 1 or any(name in classes for name in own)


def _annotations(split: Path) -> Path | None:
    """The file of Tiny ImageNet's layout that gives each image's class."""
    file = split / f"{split.name}_annotations.txt"
    return file if file.is_file() and (split / "images").is_dir() else None


def _annotated(split: Path, annotations: Path, labels: dict[str, int]) -> tuple[tuple[str, int], ...]:
    out = []
    try:
        lines = annotations.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = reason(error) if isinstance(error, OSError) else "no UTF-8"
        raise DataError(f"{str(annotations)!r}: cannot be read ({why}); lines of file name, tab, class") from None
    for number, line in enumerate(lines, 1):
        file, *rest = line.split("\t")
        label = labels.get(_normalised(rest[0])) if rest else None
        if label is None or os.path.basename(file) != file or not (split / "images" / file).is_file():
            raise DataError(
                f"{str(annotations)!r}, line {number}: {line[:80]!r} is not allowed; a file in 'images', a tab and a"
                " class of the training split"
            )
        out.append((os.path.join("images", file), label))
    return tuple(sorted(out))


def _classes(split: Path) -> dict[str, str]:
    """The class folders of a split by normalised name, in the order of their names on disk.

    One name may be written in several Unicode forms (é as one character or as two); it is one class.
    """
    out: dict[str, str] = {}
    for folder in _folders(split):
        name = _normalised(folder)
        if name in out:
            raise DataError(f"folder:{split}: two folders are called {name!r} in different Unicode forms; merge them")
        out[name] = folder
    return out


def _normalised(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names[:10]) + (", …" if len(names) > 10 else "")


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.casefold() in SYSTEM_FOLDERS


def _hidden_as(name: str) -> str:
    """Return the label under which a hidden or system file or folder is counted."""
    return "hidden files and folders" if name.startswith(".") else f"system files and folders {name!r}"


def _count_hidden(split: Path, left_out: Counter[str]) -> None:
    left_out.update(_hidden_as(entry.name) for entry in _entries(split) if _is_hidden(entry.name))


def _folders(path: Path) -> list[str]:
    """The folders that can be classes or splits, in the order of their names."""
    return [entry.name for entry in _entries(path) if entry.is_dir() and not _is_hidden(entry.name)]


def _entries(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"folder:{path}: cannot be read ({reason(error)}); folders that can") from None


def _image_files(
    folder: Path, left_out: Counter[str] | None = None, above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[Path]:
    """Yield the image files below a folder: its own by name, then those of its folders.

    Links are followed, except to a folder above them. Hidden and system files are never images, at any depth.
    """
    if left_out is None:
        left_out = Counter()
    try:
        status = os.stat(folder)
    except OSError as error:
        raise DataError(f"folder:{folder}: cannot be read ({reason(error)}); folders that can") from None
    here = (status.st_dev, status.st_ino)
    if here in above:
        left_out["links to a folder around them"] += 1
        return
    inner = []
    for entry in _entries(folder):
        if _is_hidden(entry.name):
            left_out[_hidden_as(entry.name)] += 1
        elif entry.is_dir():
            inner.append(entry.name)
        elif entry.is_file():
            suffix = os.path.splitext(entry.name)[1].lower()
            if suffix in SUFFIXES:
                yield folder / entry.name
            elif suffix in OTHER_SUFFIXES:
                left_out[f"images with a suffix that is not read here, {suffix}"] += 1
        elif entry.is_symlink():
            left_out["links to nothing"] += 1
    for name in inner:
        yield from _image_files(folder / name, left_out, above | {here})
