"""Parquet in the layout of the Hugging Face hub: an image column of `{bytes, path}`, a column of class numbers, files
named by split.

The layout is that of `datasets.Image` and `datasets.ClassLabel`; class names come from the schema's `huggingface`
metadata where it has them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xception.base.errors import DataError
from xception.base.files import reason
from xception.data.source import Example, SplitName, stamp_files

__all__ = ["ParquetReader", "open_parquet"]

IMAGE_COLUMNS = ("image", "img", "images")
LABEL_COLUMNS = ("label", "labels", "fine_label", "class")
SPLIT_NAMES: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "test": "test",
    "validation": "test",
    "valid": "test",
    "val": "test",
    "dev": "test",
}
BATCH_ROWS = 256


@dataclass(frozen=True)
class ParquetReader:
    """Reads rows in the order of the files' names."""

    train: tuple[Path, ...]
    test: tuple[Path, ...]
    image_column: str
    label_column: str
    class_names: tuple[str, ...] | None

    def stamp(self) -> str:
        """Return what changes when a file may have."""
        return f"{self.image_column}\t{self.label_column}\t{len(self.train)}\n{stamp_files((*self.train, *self.test))}"

    def examples(self, split: SplitName) -> Iterator[Example]:
        """Yield every row. Raises DataError where a file is damaged or a row has no label."""
        import pyarrow as pa

        for file in self.train if split == "train" else self.test:
            row = 0
            try:
                with _opened(file) as parquet:
                    for batch in parquet.iter_batches(
                        BATCH_ROWS, columns=[self.image_column, self.label_column], use_threads=False
                    ):
                        for cell, label in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
                            name = f"{file.name}[{row}]"
                            if label is None:
                                raise DataError(f"{name}: a row without {self.label_column!r} is not allowed")
                            path = cell.get("path") if isinstance(cell, dict) else None
                            content = cell.get("bytes") if isinstance(cell, dict) else cell
                            yield Example(content or b"", label, f"{name} {path}" if path else name)
                            row += 1
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                raise DataError(
                    f"{str(file)!r}: damaged after row {row} ({_first_line(error)}); a whole Parquet file"
                ) from None


def open_parquet(folder: Path) -> ParquetReader:
    """Return the reader of a folder (searched to any depth) of Parquet files named by split, as in
    `train-00000-of-00001.parquet`.

    Raises:
        DataError: there is no such folder, no file of a split, or the columns are others.
    """
    if not folder.is_dir():
        raise DataError(f"parquet:{folder}: no such folder; a folder with train-*.parquet and test-*.parquet")
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*.parquet")):
        if file.is_file() and (name := _split_word(file.relative_to(folder))):
            found.setdefault(name, []).append(file)
    train = next((found[n] for n in ("train", "training") if n in found), [])
    test = next((found[n] for n in SPLIT_NAMES if SPLIT_NAMES[n] == "test" and n in found), [])
    for split, files in (("train", train), ("test", test)):
        if not files:
            also = " or validation-*.parquet" if split == "test" else ""
            raise DataError(f"parquet:{folder}: no file of the {split} split; {split}-*.parquet{also}")
    layouts = {file: _layout(file) for file in (*train, *test)}
    first = layouts[train[0]]
    for file, layout in layouts.items():
        if layout != first:
            raise DataError(
                f"{str(file)!r}: columns or class names differ from those of {train[0].name!r}; the same in every file"
            )
    return ParquetReader(tuple(train), tuple(test), *first)


def _split_word(path: Path) -> str | None:
    """The split that a file's name begins with, or the nearest folder's name."""
    for part in (path.name, *reversed(path.parts[:-1])):
        word = part.replace(".", "-").replace("_", "-").split("-")[0].lower()
        if word in SPLIT_NAMES:
            return word
    return None


def _opened(file: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        return pa.parquet.ParquetFile(file, page_checksum_verification=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{str(file)!r}: not a whole Parquet file ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return reason(error)
    return (str(error).splitlines() or [type(error).__name__])[0][:160].rstrip(".")


def _layout(file: Path) -> tuple[str, str, tuple[str, ...] | None]:
    """The image column, the label column and the class names."""
    import pyarrow as pa

    with _opened(file) as parquet:
        schema, num_rows = parquet.schema_arrow, parquet.metadata.num_rows
    if num_rows == 0:
        raise DataError(f"{str(file)!r}: 0 rows are not allowed; 1 or more")
    features = _features(schema.metadata or {})

    def is_image(name: str) -> bool:
        kind = schema.field(name).type
        if pa.types.is_struct(kind):
            index = kind.get_field_index("bytes")
            if index < 0:
                return False
            kind = kind.field(index).type
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    images = [n for n in schema.names if is_image(n)]
    labels = [n for n in schema.names if pa.types.is_integer(schema.field(n).type)]
    image = next((n for n in (*IMAGE_COLUMNS, *images) if n in images), None)
    label = next((n for n in LABEL_COLUMNS if n in labels), None)
    if image is None or label is None:
        raise DataError(
            f"{str(file)!r}: columns {', '.join(schema.names[:12])} are not allowed; an image column of {{bytes, path}}"
            f" and one of class numbers named {', '.join(LABEL_COLUMNS)}"
        )
    names = features.get(label, {}).get("names") if isinstance(features.get(label), dict) else None
    if not (isinstance(names, list) and names and all(isinstance(n, str) for n in names)):
        return image, label, None
    return image, label, tuple(names)


def _features(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """The hub's description of the columns; empty where there is none."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}
