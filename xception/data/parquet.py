"""Parquet in the layout of the Hugging Face hub: a column of images, a column of classes, files named by split.

The layout is that of `datasets.Image` and `datasets.ClassLabel`: the schema's `huggingface` metadata says which columns
these are and what the classes are called. Without it, columns are known by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from xception.base.errors import DataError, is_system_error
from xception.base.files import reason
from xception.data.hub_files import Configuration, configurations
from xception.data.images import LFS_POINTER
from xception.data.layout import AS_FOUND, HeldOutReader, Layout, assign_splits, role_of
from xception.data.source import SPLITS, Example, Reader, SplitName, stamp_files

__all__ = ["ParquetReader", "open_parquet"]

IMAGE_COLUMNS = ("image", "img", "images")
LABEL_COLUMNS = ("label", "labels", "fine_label", "class")
BATCH_ROWS = 256
UNLABELLED = -1  # how the hub marks rows of a test set whose labels are kept secret


@dataclass(frozen=True)
class Columns:
    """Where images and labels are; the class names that the schema gives, if any."""

    image: str
    label: str
    class_names: tuple[str, ...] | None
    is_text: bool  # labels are names rather than numbers


@dataclass(frozen=True)
class ParquetReader:
    """Reads rows in the order of the files' names."""

    files: tuple[tuple[SplitName, tuple[Path, ...]], ...]
    columns: Columns
    class_names: tuple[str, ...] | None
    notes: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[SplitName, ...]:
        """The splits that are there."""
        return tuple(split for split in SPLITS if any(split == name for name, _ in self.files))

    def files_of(self, split: SplitName) -> tuple[Path, ...]:
        """Return the files of a split."""
        return next(files for name, files in self.files if name == split)

    def stamp(self) -> str:
        """Return what changes when a file may have."""
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
        """The numbers of classes that the labels name; None where labels are numbers."""
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
        chosen = _chosen(configurations(path), path, config)
    else:
        raise DataError(f"parquet:{path}: no such folder; a folder with train-*.parquet and test-*.parquet")
    first = _training_file(chosen, layout)
    columns = _columns(first, layout)
    is_labelled = {name: _is_labelled(files, columns.label, layout) for name, files in chosen.files.items()}
    assigned, notes = assign_splits(is_labelled, layout, f"parquet:{path}")
    files: tuple[tuple[SplitName, tuple[Path, ...]], ...] = tuple(
        (split, chosen.files[assigned[split]]) for split in SPLITS if split in assigned
    )
    for file in (file for _, of_split in files for file in of_split):
        if _columns(file, layout) != columns:
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
    """A file that has to have images and labels: one of the training split, or of the only one."""
    train = dict(layout.splits).get("train")
    names = sorted(chosen.files, key=lambda name: (name != train, role_of(name) != "train", name))
    return chosen.files[names[0]][0]


# Rows


def _rows(file: Path, *columns: str) -> Iterator[tuple[Any, ...]]:
    """The rows of some columns."""
    import pyarrow as pa

    row = 0
    try:
        with _opened(file) as parquet:
            for batch in parquet.iter_batches(BATCH_ROWS, columns=list(columns), use_threads=False):
                for values in zip(*(batch.column(name).to_pylist() for name in columns), strict=True):
                    yield values
                    row += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
        _raise_system_error(file, error)
        raise DataError(
            f"{str(file)!r}: damaged after row {row} ({_first_line(error)}); a whole Parquet file"
        ) from None


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
    """The image files that rows without bytes name."""
    import pyarrow as pa

    with _opened(file) as parquet:
        metadata = parquet.metadata
        kind = parquet.schema_arrow.field(column).type
        places = [i for i in range(metadata.num_columns) if metadata.schema.column(i).path == f"{column}.bytes"]
        statistics = [
            metadata.row_group(g).column(i).statistics for g in range(metadata.num_row_groups) for i in places
        ]
    if not _is_text(kind) and not any(one is None or one.null_count for one in statistics):
        return []
    if pa.types.is_struct(kind) and kind.get_field_index("path") < 0:
        return []
    out = []
    for (cell,) in _rows(file, column):
        path = cell if isinstance(cell, str) else (cell or {}).get("path") if not isinstance(cell, bytes) else None
        has_bytes = isinstance(cell, dict) and cell.get("bytes") is not None
        if isinstance(path, str) and path and not has_bytes and "\0" not in path and (file.parent / path).is_file():
            out.append(file.parent / path)
    return out


def _is_labelled(files: tuple[Path, ...], column: str, layout: Layout) -> bool:
    """Whether a split has labels: not all of them are missing or −1."""
    try:
        return any(label is not None and label != UNLABELLED for file in files for label in _labels(file, column))
    except KeyError:  # no such column: none at all, or another one, which is refused later
        try:
            return bool(_columns(files[0], layout))
        except DataError:
            return False


def _text_classes(files: tuple[tuple[SplitName, tuple[Path, ...]], ...], column: str) -> tuple[str, ...]:
    """The classes of the training split, in alphabetical order."""
    return tuple(sorted({str(label) for file in files[0][1] for label in _labels(file, column) if label is not None}))


# Files and columns


def _opened(file: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        with open(file, "rb") as raw:
            if raw.read(len(LFS_POINTER)) == LFS_POINTER:
                raise DataError(f"{str(file)!r}: a Git LFS pointer, not the data; git lfs pull fetches it")
        return pa.parquet.ParquetFile(file, page_checksum_verification=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
        _raise_system_error(file, error)
        raise DataError(f"{str(file)!r}: not a whole Parquet file ({_first_line(error)})") from None


def _raise_system_error(file: Path, error: BaseException) -> None:
    """Raise DataError if the machine failed and not the file."""
    if is_system_error(error):
        why = reason(error) if isinstance(error, OSError) else "out of memory"
        raise DataError(f"{str(file)!r}: cannot be read ({why})") from None


def _first_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return reason(error)
    return (str(error).splitlines() or [type(error).__name__])[0][:160].rstrip(".")


def _columns(file: Path, layout: Layout) -> Columns:
    """The columns of images and labels, and the class names."""
    with _opened(file) as parquet:
        schema, num_rows = parquet.schema_arrow, parquet.metadata.num_rows
    if num_rows == 0:
        raise DataError(f"{str(file)!r}: 0 rows are not allowed; 1 or more")
    if repeated := sorted({name for name in schema.names if schema.names.count(name) > 1}):
        raise DataError(f"{str(file)!r}: two columns are called {repeated[0]!r}; a name for each")
    features = _features(schema.metadata or {})
    image = _image_column(schema, features, layout.image_column, file)
    label = _label_column(schema, features, layout.label_column, file)
    names: Any = features.get(label, {}).get("names")
    kind = _value_type(schema.field(label).type)
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names) and _is_integer(kind):
        return Columns(image, label, tuple(names), False)
    return Columns(image, label, ("False", "True") if _is_boolean(kind) else None, _is_text(kind))


def _image_column(schema: Any, features: dict[str, dict[str, Any]], wanted: str | None, file: Path) -> str:
    described: list[str] = [name for name in schema.names if features.get(name, {}).get("_type") == "Image"]
    if wanted is not None:
        if wanted not in schema.names or not _holds_images(schema.field(wanted).type, paths=True):
            raise DataError(
                f"--image-column: {wanted!r} is no column of images in {str(file)!r}; {_names(schema)} are there"
            )
        return wanted
    there: list[str] = [
        name for name in schema.names if _holds_images(schema.field(name).type, paths=name in described)
    ]
    candidates = [name for name in there if name in described] or there
    known = [name for name in IMAGE_COLUMNS if name in candidates]
    if known:
        return known[0]
    if len(candidates) == 1:
        return candidates[0]
    problem = "no column of images" if not candidates else f"several columns of images ({', '.join(candidates)})"
    raise DataError(
        f"{str(file)!r}: columns {_names(schema)} are not allowed, {problem}; an image column of {{bytes, path}} named"
        f" {', '.join(IMAGE_COLUMNS)}, or one named by --image-column"
    )


def _label_column(schema: Any, features: dict[str, dict[str, Any]], wanted: str | None, file: Path) -> str:
    def holds_labels(name: str) -> bool:
        kind = _value_type(schema.field(name).type)
        return _is_integer(kind) or _is_boolean(kind) or _is_text(kind)

    if wanted is not None:
        if wanted not in schema.names or not holds_labels(wanted):
            raise DataError(
                f"--label-column: {wanted!r} is no column of classes in {str(file)!r}; {_names(schema)} are there"
            )
        return wanted
    there: list[str] = [name for name in schema.names if holds_labels(name)]
    described = [name for name in there if features.get(name, {}).get("_type") == "ClassLabel"]
    known = [name for name in LABEL_COLUMNS if name in (described or there)]
    if known:
        return known[0]
    if len(described) == 1:
        return described[0]
    problem = f"several columns of classes ({', '.join(described)})" if described else "no column of classes"
    raise DataError(
        f"{str(file)!r}: columns {_names(schema)} are not allowed, {problem}; one of classes named"
        f" {', '.join(LABEL_COLUMNS)}, or one named by --label-column"
    )


def _names(schema: Any) -> str:
    return ", ".join(schema.names[:12])


def _value_type(kind: Any) -> Any:
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_integer(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind))


def _is_boolean(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_boolean(kind))


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _holds_images(kind: Any, *, paths: bool) -> bool:
    """Whether a column holds encoded images: binary, or a struct with a binary part; with `paths` also texts."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        if index < 0:
            return False
        kind = kind.field(index).type
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or (paths and _is_text(kind))
        or pa.types.is_null(kind)
    )


def _features(metadata: dict[bytes, bytes]) -> dict[str, dict[str, Any]]:
    """The hub's description of the columns; empty where there is none."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    if not isinstance(features, dict):
        return {}
    return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
