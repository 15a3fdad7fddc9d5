"""Open a Parquet file, and find its columns of images and classes: as named, by the hub's metadata, or by name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xception.base.errors import DataError, is_system_error
from xception.base.files import reason
from xception.data.images import LFS_POINTER
from xception.data.layout import Layout

__all__ = ["Columns", "first_line", "is_text", "open_table", "raise_system_error", "read_columns"]

IMAGE_COLUMNS = ("image", "img", "images")
LABEL_COLUMNS = ("label", "labels", "fine_label", "class")


@dataclass(frozen=True)
class Columns:
    """The columns of images and labels; the schema's class names, if any."""

    image: str
    label: str
    class_names: tuple[str, ...] | None
    is_text: bool  # labels are names rather than numbers


def open_table(file: Path) -> Any:
    """Return a Parquet file, opened.

    Raises:
        DataError: it is damaged, no Parquet file, or cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet

    try:
        with open(file, "rb") as raw:
            if raw.read(len(LFS_POINTER)) == LFS_POINTER:
                raise DataError(f"{str(file)!r}: a Git LFS pointer, not the data; git lfs pull fetches it")
        return pa.parquet.ParquetFile(file, page_checksum_verification=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
        raise_system_error(file, error)
        raise DataError(f"{str(file)!r}: not a whole Parquet file ({first_line(error)})") from None


def raise_system_error(file: Path, error: BaseException) -> None:
    """Raise DataError if the machine failed and not the file."""
    if is_system_error(error):
        why = reason(error) if isinstance(error, OSError) else "out of memory"
        raise DataError(f"{str(file)!r}: cannot be read ({why})") from None


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, cut to a sensible length."""
    if isinstance(error, OSError) and error.strerror:
        return reason(error)
    return (str(error).splitlines() or [type(error).__name__])[0][:160].rstrip(".")


def read_columns(file: Path, layout: Layout) -> Columns:
    """Return the columns of images and labels, and the class names.

    Raises:
        DataError: there are no such columns or several, or one that was named is not there.
    """
    with open_table(file) as parquet:
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
    return Columns(image, label, ("False", "True") if _is_boolean(kind) else None, is_text(kind))


def _image_column(schema: Any, features: dict[str, dict[str, Any]], wanted: str | None, file: Path) -> str:
    described: list[str] = [name for name in schema.names if features.get(name, {}).get("_type") == "Image"]
    if wanted is not None:
        if wanted not in schema.names or not _holds_images(schema.field(wanted).type, paths=True):
            raise DataError(
                f"--image-column: {wanted!r} is not a column of images in {str(file)!r}; {_names(schema)} are there"
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
        return _is_integer(kind) or _is_boolean(kind) or is_text(kind)

    if wanted is not None:
        if wanted not in schema.names or not holds_labels(wanted):
            raise DataError(
                f"--label-column: {wanted!r} is not a column of classes in {str(file)!r}; {_names(schema)} are there"
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


def is_text(kind: Any) -> bool:
    """Return whether an Arrow type is text."""
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
        or (paths and is_text(kind))
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
