"""The embedded data set, as `synthetic`, or `synthetic:kappa=K` for another entanglement."""

from __future__ import annotations

import dataclasses

from xception.data.images import Pixels
from xception.data.registry import DataSource, Request
from xception.data.source import Source
from xception.data.synthetic import find_synthetic

__all__ = ["SOURCE"]


def _find(request: Request) -> Source:
    source = find_synthetic(request.rest)
    layout = request.layout.without_files(source.name)
    return dataclasses.replace(source, pixels=Pixels(channels=layout.channels or 3))


SOURCE = DataSource(forms=("synthetic", "synthetic:kappa=K"), find=_find)
