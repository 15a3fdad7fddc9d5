"""A data set's name to the data.

To add a source, write a module `NAME_source.py` next to this one that exports `SOURCE`: a `DataSource` with its names
and a function that finds the data. It is found by its file name; nothing else changes.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from pathlib import Path

from xception.base.errors import DataError
from xception.base.files import reason
from xception.data.download import DownloadError
from xception.data.layout import AS_FOUND, Layout
from xception.data.registry import DataSource, Request
from xception.data.source import Source

__all__ = ["find", "find_default", "forms", "sources"]


def find(name: str, data_dir: str | Path | None = None, layout: Layout = AS_FOUND) -> Source:
    """Return the data set of that name, looked for under `data_dir`, else $XCEPTION_DATA, else ./data; nothing is
    decoded.

    The first call reads a data set's files once, for the fingerprint; later calls read the cache. CIFAR and
    Imagenette are downloaded into that folder if missing.

    Raises:
        DataError: the name is unknown, or what it names is missing, empty, truncated or of another layout.
    """
    if "\0" in f"{name}{data_dir}":
        raise DataError(f"dataset: {name!r} under {str(data_dir)!r} is not allowed; names without null bytes")
    kind, colon, rest = name.partition(":")
    source = next((one for one in sources() if one.takes(kind, has_rest=bool(rest))), None)
    if source is None or (colon and not rest):
        problem = f"dataset: {name!r}" if kind != "synthetic" else name
        raise DataError(f"{problem} is not allowed; {', '.join(forms())}")
    try:
        return source.find(Request(kind=kind, rest=rest, data_dir=data_dir, layout=layout))
    except OSError as error:
        raise DataError(
            f"dataset: {name!r} cannot be read ({reason(error)} {error.filename or ''}); files that can"
        ) from None


def find_default(data_dir: str | Path | None = None, layout: Layout = AS_FOUND) -> tuple[Source, str | None]:
    """Return CIFAR-10 if it is found or can be downloaded; else the synthetic set, and a notice.

    Raises:
        DataError: the data folder was named and is not there, or CIFAR-10 is in it but damaged.
    """
    try:
        return find("cifar10", data_dir, layout), None
    except DownloadError as error:
        notice = (
            f"CIFAR-10 is not on disk and cannot be downloaded ({error}): the embedded synthetic set is used instead."
        )
        return find("synthetic", layout=layout), notice


def forms() -> list[str]:
    """Return the names that data sets can have, as help shows them."""
    return [form for source in sources() for form in source.forms]


@functools.cache
def sources() -> tuple[DataSource, ...]:
    """Return all sources, in the order of their modules' names."""
    folders = importlib.import_module("xception.data").__path__
    names = sorted(module.name for module in pkgutil.iter_modules(folders) if module.name.endswith("_source"))
    found = tuple(importlib.import_module(f"xception.data.{name}").SOURCE for name in names)
    assert all(isinstance(source, DataSource) for source in found)
    return found
