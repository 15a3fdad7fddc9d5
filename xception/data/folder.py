"""Image files in folders, as torchvision's ImageFolder has them: PATH/train/CLASS/… and PATH/test/CLASS/… (or val, or
validation).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xception.base.errors import DataError
from xception.base.files import reason
from xception.data.source import Example, SplitName, stamp_files

__all__ = ["SUFFIXES", "FolderReader", "open_folder"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
TRAIN_NAMES, TEST_NAMES = ("train", "training"), ("test", "val", "validation", "valid")
MAX_FILE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class FolderReader:
    """Reads files class by class, in the order of their names."""

    train: Path
    test: Path
    class_folders: tuple[str, ...]
    class_names: tuple[str, ...]

    def stamp(self) -> str:
        """Return what changes when a file may have."""
        files = (file for split in (self.train, self.test) for _, file in self._files(split))
        return "\t".join(self.class_folders) + "\n" + stamp_files(files)

    def examples(self, split: SplitName) -> Iterator[Example]:
        """Yield every image file; one that cannot be read comes as empty bytes, which is a broken image."""
        folder = self.train if split == "train" else self.test
        for label, file in self._files(folder):
            name = str(file.relative_to(folder))
            try:
                content = file.read_bytes() if file.stat().st_size <= MAX_FILE_BYTES else b""
            except OSError:
                content = b""
            yield Example(content, label, name)

    def _files(self, split: Path) -> Iterator[tuple[int, Path]]:
        for label, name in enumerate(self.class_folders):
            for folder, folders, files in os.walk(split / name):
                folders.sort()
                for file in sorted(files):
                    path = Path(folder, file)
                    if file.lower().endswith(SUFFIXES) and not file.startswith(".") and path.is_file():
                        yield label, path


def open_folder(path: Path, display_names: dict[str, str] | None = None) -> FolderReader:
    """Return the reader of a folder; classes are the folders of the training split, in the order of their names.

    Raises:
        DataError: there is no such folder, a split is missing or has no class, or the test split has a class of its
            own.
    """
    if not path.is_dir():
        raise DataError(f"folder:{path}: no such folder; a folder with train/CLASS/*.jpg and test/CLASS/*.jpg")
    train = next((path / n for n in TRAIN_NAMES if (path / n).is_dir()), None)
    test = next((path / n for n in TEST_NAMES if (path / n).is_dir()), None)
    if train is None or test is None:
        missing, names = ("training", TRAIN_NAMES) if train is None else ("test", TEST_NAMES)
        raise DataError(f"folder:{path}: no folder of the {missing} split; one of {', '.join(names)}")
    classes, of_test = _folders(train), _folders(test)
    if not classes:
        raise DataError(f"folder:{train}: 0 classes are not allowed; a folder for each class")
    if extra := sorted(set(of_test) - set(classes)):
        raise DataError(
            f"folder:{test}: class {extra[0]!r} is not allowed; the classes of {train.name!r} are"
            f" {', '.join(classes[:10])}"
        )
    return FolderReader(train, test, classes, tuple((display_names or {}).get(c, c) for c in classes))


def _folders(path: Path) -> tuple[str, ...]:
    try:
        return tuple(
            sorted(entry.name for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith("."))
        )
    except OSError as error:
        raise DataError(f"folder:{path}: cannot be read ({reason(error)})") from None
