"""A data set's name to the data: where each layout is looked for, and what is said where it is not there."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from xception.base.errors import DataError, printable
from xception.base.files import reason
from xception.data.cifar import CIFAR10, CIFAR100, CifarLayout, open_cifar
from xception.data.download import DownloadError, Remote, fetch
from xception.data.folder import open_folder
from xception.data.parquet import open_parquet
from xception.data.source import Reader, Source, examine
from xception.data.synthetic import find_synthetic

__all__ = ["NAMES", "find", "find_default"]

NAMES = "cifar10, cifar100, imagenette, synthetic, synthetic:kappa=K, folder:PATH, parquet:PATH"

# Imagenette (Howard 2019): ten classes of ImageNet. The MD5 is the one that torchvision checks; nobody published
# another.
IMAGENETTE_REMOTE = Remote(
    url="https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",
    algorithm="md5",
    checksum="e793b78cc4c9e9a4ccc0c1155377a412",
    max_bytes=256 * 1024 * 1024,
)
IMAGENETTE_FOLDERS = (
    "imagenette",
    "imagenette2",
    "imagenette2-320",
    "imagenette320",
    "imagenette2-160",
    "imagenette160",
)
IMAGENETTE_CLASSES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
MAX_UNPACKED = 1024**3


def find(name: str, data_dir: str | Path | None = None) -> Source:
    """Return the data set of that name, looked for under `data_dir`, else $XCEPTION_DATA, else ./data; nothing is
    decoded.

    The first look at a data set reads its files once, for the fingerprint; later ones answer from the cache. CIFAR and
    Imagenette are downloaded into that folder where they are not in it.

    Raises:
        DataError: the name is unknown, or what it names is missing, empty, truncated or of another layout.
    """
    if "\0" in f"{name}{data_dir}":
        raise DataError(f"dataset: {name!r} under {str(data_dir)!r} is not allowed; names without null bytes")
    try:
        return _found(name, data_dir)
    except OSError as error:
        raise DataError(
            f"dataset: {name!r} cannot be read ({reason(error)} {error.filename or ''}); files that can"
        ) from None


def _found(name: str, data_dir: str | Path | None) -> Source:
    kind, colon, rest = name.partition(":")
    if kind == "synthetic" and (rest or not colon):
        return find_synthetic(rest)
    if kind in ("folder", "parquet") and rest:
        path = Path(rest)
        return _source(f"{kind}:{path.resolve().name}", open_folder(path) if kind == "folder" else open_parquet(path))
    if name == "cifar10":
        return _find_cifar(name, _data_folder(data_dir), CIFAR10)
    if name == "cifar100":
        return _find_cifar(name, _data_folder(data_dir), CIFAR100)
    if name == "imagenette":
        return _find_imagenette(_data_folder(data_dir))
    raise DataError(f"dataset: {name!r} is not allowed; {NAMES}")


def find_default(data_dir: str | Path | None = None) -> tuple[Source, str | None]:
    """Return CIFAR-10 where it is found or can be downloaded; else the synthetic set, and a sentence that says so.

    Raises:
        DataError: the data folder was named and is not there, or CIFAR-10 is in it but damaged.
    """
    try:
        return find("cifar10", data_dir), None
    except DownloadError as error:
        return find(
            "synthetic"
        ), f"CIFAR-10 is neither on disk nor to be had ({error}): the embedded synthetic set is used instead."


def _data_folder(data_dir: str | Path | None) -> Path:
    """The folder that data sets are looked for in. One that somebody named must be there; ./data may come with the
    first download.
    """
    named = data_dir if data_dir is not None else os.environ.get("XCEPTION_DATA")
    if not named:
        return Path("data")
    if not Path(named).is_dir():
        origin = "XCEPTION_DATA" if data_dir is None else "data_dir"
        raise DataError(f"{origin}: {str(named)!r} is no folder; a folder that holds data sets")
    return Path(named)


def _find_cifar(name: str, folder: Path, layout: CifarLayout) -> Source:
    """Torchvision's files, then Parquet or image folders under the data set's name, then a download."""
    title = "CIFAR-10" if name == "cifar10" else "CIFAR-100"
    for place in (folder / layout.folder, folder / name / layout.folder):
        if place.is_dir():
            return _source(title, open_cifar(place, layout), name=name)
    for place in (folder / name, folder / title, folder / title.lower()):
        if place.is_dir():
            return _source(title, _open_any(place), name=name, mark_jpeg=True)
    return _source(
        title, open_cifar(fetch(layout.remote, layout.folder, folder, max_bytes=MAX_UNPACKED), layout), name=name
    )


def _find_imagenette(folder: Path) -> Source:
    for place in (folder / n for n in IMAGENETTE_FOLDERS):
        if place.is_dir():
            return _imagenette(_open_any(place, IMAGENETTE_CLASSES))
    place = fetch(IMAGENETTE_REMOTE, "imagenette2-160", folder, max_bytes=MAX_UNPACKED)
    return _imagenette(open_folder(place, IMAGENETTE_CLASSES))


def _imagenette(reader: Reader) -> Source:
    source = _source("Imagenette", reader, name="imagenette")
    return dataclasses.replace(source, title=f"Imagenette ({source.native_size} px)")


def _open_any(place: Path, display_names: dict[str, str] | None = None) -> Reader:
    """Parquet where there is any, else folders of images."""
    if any(place.rglob("*.parquet")):
        return open_parquet(place)
    if any((place / n).is_dir() for n in ("train", "training")):
        return open_folder(place, display_names)
    raise DataError(
        f"{str(place)!r}: empty or of another layout; train-*.parquet and test-*.parquet, "
        "or train/CLASS/*.png and test/CLASS/*.png"
    )


def _source(title: str, reader: Reader, *, name: str | None = None, mark_jpeg: bool = False) -> Source:
    """The source of a reader. `mark_jpeg`: the title says so where images that were not JPEG once come as JPEG."""
    facts = examine(reader)
    title = printable(title)
    return Source(
        name=name or title,
        title=f"{title} (JPEG)" if mark_jpeg and facts.has_jpeg else title,
        fingerprint=facts.fingerprint,
        num_train=facts.num_train,
        num_test=facts.num_test,
        class_names=facts.class_names,
        native_size=facts.native_size,
        reader=reader,
    )
