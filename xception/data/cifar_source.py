"""CIFAR-10 and CIFAR-100 by name: torchvision's files, then Parquet or image folders, then a download."""

from __future__ import annotations

from xception.data import cifar, download
from xception.data.any_layout import MAX_UNPACKED, open_any
from xception.data.registry import DataSource, Request, as_source, data_folder
from xception.data.source import Source

__all__ = ["SOURCE"]


def _find(request: Request) -> Source:
    name, folder, layout = request.kind, data_folder(request.data_dir), request.layout
    title, files = ("CIFAR-10", cifar.CIFAR10) if name == "cifar10" else ("CIFAR-100", cifar.CIFAR100)
    for place in (folder / files.folder, folder / name / files.folder):
        if place.is_dir():
            reader = cifar.open_cifar(place, files)
            return as_source(reader, title, layout.without_files(f"{str(place)!r}"), name=name)
    for place in (folder / name, folder / title, folder / title.lower()):
        if place.is_dir():
            return as_source(open_any(place, layout), title, layout, name=name, mark_jpeg=True)
    place = download.fetch(files.remote, files.folder, folder, max_bytes=MAX_UNPACKED)
    return as_source(cifar.open_cifar(place, files), title, layout.without_files(f"{str(place)!r}"), name=name)


SOURCE = DataSource(forms=("cifar10", "cifar100"), find=_find)
