"""Any folder of images, as `folder:PATH`."""

from __future__ import annotations

from pathlib import Path

from xception.data.folder import open_folder
from xception.data.registry import DataSource, Request, as_source
from xception.data.source import Source

__all__ = ["SOURCE"]


def _find(request: Request) -> Source:
    path = Path(request.rest).expanduser()
    return as_source(open_folder(path, request.layout), f"folder:{path.resolve().name}", request.layout)


SOURCE = DataSource(forms=("folder:PATH",), find=_find)
