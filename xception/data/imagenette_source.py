"""Imagenette (Howard 2019), ten classes of ImageNet, by name: its folder or Parquet files, else a download."""

from __future__ import annotations

import dataclasses

from xception.data import download
from xception.data.any_layout import MAX_UNPACKED, open_any
from xception.data.registry import DataSource, Request, as_source, data_folder
from xception.data.source import Source

__all__ = ["SOURCE"]

# The MD5 is the one that torchvision checks; no other is published.
REMOTE = download.Remote(
    url="https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",
    algorithm="md5",
    checksum="e793b78cc4c9e9a4ccc0c1155377a412",
    max_bytes=256 * 1024 * 1024,
)
FOLDERS = ("imagenette", "imagenette2", "imagenette2-320", "imagenette320", "imagenette2-160", "imagenette160")
CLASSES = {
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


def _find(request: Request) -> Source:
    folder = data_folder(request.data_dir)
    place = next((folder / name for name in FOLDERS if (folder / name).is_dir()), None)
    if place is None:
        place = download.fetch(REMOTE, "imagenette2-160", folder, max_bytes=MAX_UNPACKED)
    reader = open_any(place, request.layout, CLASSES)
    source = as_source(reader, "Imagenette", request.layout, name="imagenette")
    return dataclasses.replace(source, title=f"Imagenette ({source.native_size} px)")


SOURCE = DataSource(forms=("imagenette",), find=_find)
