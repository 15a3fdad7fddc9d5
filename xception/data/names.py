"""A data set's name to the data: where each layout is looked for, and what is said where it is not there."""

from __future__ import annotations

import os
from pathlib import Path

from xception.data.errors import DataError
from xception.data.parquet import open_parquet
from xception.data.source import Reader, Source, examine
from xception.data.synthetic import find_synthetic

__all__ = ["NAMES", "find", "find_default"]

NAMES = "cifar10, cifar100, imagenette, synthetic, synthetic:kappa=K, folder:PATH, parquet:PATH"


def find(name: str, data_dir: str | Path | None = None) -> Source:
    """Return the data set of that name, looked for under `data_dir`, else $XCEPTION_DATA, else ./data; nothing is decoded.

    The first look at a data set reads its files once, for the fingerprint; later ones answer from the cache.

    Raises:
        DataError: the name is unknown, or what it names is missing, empty, truncated or of another layout.
    """
    kind, _, rest = name.partition(":")
    if kind == "synthetic":
        return find_synthetic(rest)
    if kind == "parquet" and rest:
        return _source(name=name, label=f"parquet:{Path(rest).resolve().name}", reader=open_parquet(Path(rest)))
    if name == "cifar10":
        folder = data_folder(data_dir) / "cifar10"
        return _source(name=name, label="CIFAR-10", reader=open_parquet(folder))
    raise DataError(f"dataset: {name!r} is not allowed; {NAMES}")


def find_default(data_dir: str | Path | None = None) -> tuple[Source, str | None]:
    """Return CIFAR-10 where it is found or can be downloaded, else the synthetic set and a sentence that says so."""
    try:
        return find("cifar10", data_dir), None
    except DataError as error:
        return find("synthetic"), f"CIFAR-10 is not to be had ({error}): the embedded synthetic set is used instead."


def data_folder(data_dir: str | Path | None) -> Path:
    """Return the folder that data sets are looked for in."""
    return Path(data_dir) if data_dir is not None else Path(os.environ.get("XCEPTION_DATA") or "data")


def _source(*, name: str, label: str, reader: Reader) -> Source:
    facts = examine(reader)
    lossy = facts.has_jpeg and label.startswith("CIFAR")
    return Source(
        name=name, title=f"{label} (JPEG)" if lossy else label, fingerprint=facts.fingerprint, num_train=facts.num_train,
        num_test=facts.num_test, class_names=facts.class_names, native_size=facts.native_size, reader=reader,
    )
