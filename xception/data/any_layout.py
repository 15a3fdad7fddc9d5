"""A folder of unknown layout: Parquet files, or folders of images."""

from __future__ import annotations

from pathlib import Path

from xception.base.errors import DataError
from xception.data.folder import open_folder
from xception.data.layout import Layout, role_of
from xception.data.parquet import open_parquet
from xception.data.source import Reader

__all__ = ["MAX_UNPACKED", "open_any"]

MAX_UNPACKED = 1024**3  # bytes of an archive's content


def open_any(place: Path, layout: Layout, display_names: dict[str, str] | None = None) -> Reader:
    """Return the reader of a folder: Parquet where there is any, else folders of images.

    Raises:
        DataError: it holds neither.
    """
    if any(place.rglob("*.parquet")):
        return open_parquet(place, layout)
    if any(role_of(entry.name) and entry.is_dir() for entry in place.iterdir()):
        return open_folder(place, layout, display_names)
    raise DataError(
        f"{str(place)!r}: empty or of another layout; train-*.parquet and test-*.parquet, "
        "or train/CLASS/*.png and test/CLASS/*.png"
    )
