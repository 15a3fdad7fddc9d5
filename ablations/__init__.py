"""Ablation studies: trials, records, statistics, tables and figures.

`load(store)` gives the frame of records, `compare(frame)` the statistics; both are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ablations.comparison import compare
    from ablations.frame import load
    from ablations.library import Results, run
    from ablations.study import Study, Variant, factorial, one_at_a_time

__all__ = ["Results", "Study", "Variant", "compare", "factorial", "load", "one_at_a_time", "run"]

_HOMES = {
    "compare": "ablations.comparison",
    "load": "ablations.frame",
    "Results": "ablations.library",
    "run": "ablations.library",
    "Study": "ablations.study",
    "Variant": "ablations.study",
    "factorial": "ablations.study",
    "one_at_a_time": "ablations.study",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
