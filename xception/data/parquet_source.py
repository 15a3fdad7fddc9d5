"""Any Parquet file or folder of Parquet files, as `parquet:PATH`, or `parquet:PATH#CONFIG` where it has several."""

from __future__ import annotations

from pathlib import Path

from xception.data.parquet import open_parquet
from xception.data.registry import DataSource, Request, as_source
from xception.data.source import Source

__all__ = ["SOURCE"]


def _find(request: Request) -> Source:
    path, config = Path(request.rest).expanduser(), None
    if "#" in request.rest and not path.exists():
        before, _, config = request.rest.rpartition("#")
        path = Path(before).expanduser()
    name = f"parquet:{path.resolve().name}" + (f"#{config}" if config else "")
    return as_source(open_parquet(path, request.layout, config), name, request.layout)


SOURCE = DataSource(forms=("parquet:PATH", "parquet:PATH#CONFIG"), find=_find)
