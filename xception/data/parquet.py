"""Parquet in the layout of the Hugging Face hub: a column of images, a column of classes, files named by split.

The layout is that of `datasets.Image` and `datasets.ClassLabel`: the schema's `huggingface` metadata names these
columns and the classes. Without it, columns are recognised by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from xception.base.errors import DataError
from xception.base.files import reason
from xception.data.hub_files import Configuration, configurations
from xception.data.layout import AS_FOUND, HeldOutReader, Layout, assign_splits, role_of
from xception.data.parquet_columns import Columns, first_line, is_text, open_table, raise_system_error, read_columns
from xception.data.source import SPLITS, Example, Reader, SplitName, stamp_files

__all__ = ["ParquetReader", "open_parquet"]

BATCH_ROWS = 256
NUM_LOOKED_UP = 16  # rows whose path is checked for images next to the table
UNLABELLED = -1  # how the hub marks rows of a test set whose labels are kept secret


@dataclass(frozen=True)
class ParquetReader:
    """Reads rows in the order of the files' names."""

    files: tuple[tuple[SplitName, tuple[Path, ...]], ...]
    columns: Columns
    class_names: tuple[str, ...] | None
    notes: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[SplitName, ...]:
        """The splits that exist."""
        return tuple(split for split in SPLITS if any(split == name for name, _ in self.files))

    def files_of(self, split: SplitName) -> tuple[Path, ...]:
        """Return the files of a split."""
        return next(files for name, files in self.files if name == split)

    def stamp(self) -> str:
        """Return a stamp that changes when a file may have changed."""
        head = [f"{self.columns}", f"{self.class_names}", *(f"{split}\t{len(files)}" for split, files in self.files)]
        files = tuple(file for _, of_split in self.files for file in of_split)
        beside = tuple(image for file in files for image in _files_beside(file, self.columns.image))
        return "\n".join([*head, stamp_files((*files, *beside))])

    def labels(self, split: SplitName) -> Iterator[int]:
        """Yield the label of every row."""
        numbers = self._numbers()
        for file in self.files_of(split):
            for row, label in enumerate(_labels(file, self.columns.label)):
                yield _number(label, numbers, f"{file.name}[{row}]", self.columns.label)

    def examples(self, split: SplitName) -> Iterator[Example]:
        """Yield every row.

        Raises:
            DataError: a file is damaged or cannot be read, or a row has no label.
        """
        numbers = self._numbers()
        for file in self.files_of(split):
            for row, (cell, label) in enumerate(_rows(file, self.columns.image, self.columns.label)):
                name = f"{file.name}[{row}]"
                number = _number(label, numbers, name, self.columns.label)
                cell = {"path": cell} if isinstance(cell, str) else cell
                path = cell.get("path") if isinstance(cell, dict) else None
                content = cell.get("bytes") if isinstance(cell, dict) else cell
                if content is None and isinstance(path, str) and path:
                    content = _beside(file, path, name)
                yield Example(content or b"", number, f"{name} {path}" if path else name)

    def _numbers(self) -> dict[str, int] | None:
        """The class number of each label name; None where labels are numbers."""
        return {name: i for i, name in enumerate(self.class_names or ())} if self.columns.is_text else None


def open_parquet(path: Path, layout: Layout = AS_FOUND, config: str | None = None) -> Reader:
    """Return the reader of a Parquet file, or of a folder (searched to any depth) of Parquet files named by split, as
    in `train-00000-of-00001.parquet`.

    Raises:
        DataError: there is nothing of that name, a part of a split is missing, several configurations are there and
            none is chosen, or no column holds images or labels.
    """
    if path.is_file():
        if config is not None:
            raise DataError(f"parquet:{path}#{config}: a single file has no configurations; leave #{config} out")
        chosen = Configuration("", {"train": (path,)}, ())
    elif path.is_dir():
        chosen = _chosen(configurations(path, [name for _, name in layout.splits]), path, config)
    else:
        raise DataError(f"parquet:{path}: no such folder; a folder with train-*.parquet and test-*.parquet")
    first = _training_file(chosen, layout)
    columns = read_columns(first, layout)
    is_labelled = {name: _is_labelled(files, columns.label, layout) for name, files in chosen.files.items()}
    assigned, notes = assign_splits(is_labelled, layout, f"parquet:{path}")
    files: tuple[tuple[SplitName, tuple[Path, ...]], ...] = tuple(
        (split, chosen.files[assigned[split]]) for split in SPLITS if split in assigned
    )
    for file in (file for _, of_split in files for file in of_split):
        if read_columns(file, layout) != columns:
            raise DataError(
                f"{str(file)!r}: columns or class names differ from those of {first.name!r}; the same in every file"
            )
    reader = ParquetReader(
        files,
        columns,
        _text_classes(files, columns.label) if columns.is_text else columns.class_names,
        (*chosen.notes, *notes),
    )
    return reader if "test" in assigned else HeldOutReader(reader)


def _chosen(found: list[Configuration], folder: Path, config: str | None) -> Configuration:
    if not found:
        raise DataError(f"parquet:{folder}: no Parquet file; train-*.parquet and test-*.parquet")
    names = [one.name for one in found]
    if config is not None:
        if config not in names:
            raise DataError(f"parquet:{folder}#{config}: no such configuration; {', '.join(filter(None, names))}")
        return found[names.index(config)]
    if len(found) > 1:
        shown = ", ".join(name or "files in the folder itself" for name in names)
        last = next(name for name in reversed(names) if name)
        raise DataError(
            f"parquet:{folder}: {len(found)} configurations are not allowed at once ({shown}); one of them, as in"
            f" parquet:{folder}#{last}"
        )
    return found[0]


def _training_file(chosen: Configuration, layout: Layout) -> Path:
    """A file that must have images and labels: one of the training split, or of the only split."""
    train = dict(layout.splits).get("train")
    names = sorted(chosen.files, key=lambda name: (name != train, role_of(name) != "train", name))
    return chosen.files[names[0]][0]


# Rows


def _rows(file: Path, *columns: str) -> Iterator[tuple[Any, ...]]:
    """The rows of some columns."""
    import pyarrow as pa

    row = 0
    try:
        with open_table(file) as parquet:
            for batch in parquet.iter_batches(BATCH_ROWS, columns=list(columns), use_threads=False):
                named = (name if name in batch.schema.names else name.split(".")[0] for name in columns)
                for values in zip(*(batch.column(name).to_pylist() for name in named), strict=True):
                    yield values
                    row += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
        raise_system_error(file, error)
        raise DataError(f"{str(file)!r}: damaged after row {row} ({first_line(error)}); a whole Parquet file") from None


def _labels(file: Path, column: str) -> Iterator[Any]:
    return (label for (label,) in _rows(file, column))


def _number(label: Any, numbers: dict[str, int] | None, name: str, column: str) -> int:
    if label is None:
        raise DataError(f"{name}: a row without {column!r} is not allowed")
    if numbers is None:
        return int(label)
    if label not in numbers:
        raise DataError(
            f"{name}: class {label!r} is not allowed; the training split has {', '.join(list(numbers)[:10])}"
        )
    return numbers[label]


def _beside(file: Path, path: str, name: str) -> bytes:
    """The content of an image that a row names by its path, relative to the Parquet file."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\0" in path:
        raise DataError(f"{name}: the path {path!r} is not allowed; relative paths below the Parquet file's folder")
    try:
        return (file.parent / path).read_bytes()
    except OSError as error:
        raise DataError(
            f"{name}: the row has no bytes, and {str(file.parent / path)!r} cannot be read ({reason(error)})"
        ) from None


def _files_beside(file: Path, column: str) -> list[Path]:
    """The image files of rows without bytes; none if the first rows name no existing file.

    The column's statistics have this too, but reading them from a damaged file makes pyarrow abort the process.
    """
    import pyarrow as pa

    with open_table(file) as parquet:
        kind = parquet.schema_arrow.field(column).type
    if pa.types.is_struct(kind) and kind.get_field_index("path") >= 0:
        cells: Iterator[Any] = (cell and cell.get("path") for (cell,) in _rows(file, f"{column}.path"))
    elif is_text(kind):
        cells = (cell for (cell,) in _rows(file, column))
    else:
        return []
    paths = (file.parent / cell for cell in cells if isinstance(cell, str) and cell and "\0" not in cell)
    first = [path for path in islice(paths, NUM_LOOKED_UP) if path.is_file()]
    return [*first, *(path for path in paths if path.is_file())] if first else []


def _is_labelled(files: tuple[Path, ...], column: str, layout: Layout) -> bool:
    """Whether a split has labels: not all of them are missing or −1."""
    try:
        return any(label is not None and label != UNLABELLED for file in files for label in _labels(file, column))
    except KeyError:  # no such column: none at all, or another one, which is refused later
        try:
            return bool(read_columns(files[0], layout))
        except DataError:
            return False


def _text_classes(files: tuple[tuple[SplitName, tuple[Path, ...]], ...], column: str) -> tuple[str, ...]:
    """The classes of the training split, in alphabetical order."""
    return tuple(sorted({str(label) for file in files[0][1] for label in _labels(file, column) if label is not None}))
