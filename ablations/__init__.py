"""Ablation studies: trials, records, statistics, tables and figures.

`load(store)` gives the frame of records, `compare(frame)` the statistics; both are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ablations.analysis.comparison import compare
    from ablations.analysis.frame import load
    from ablations.design.study import Study, Variant, factorial, one_at_a_time
    from ablations.running.library import Results, run

__all__ = ["Results", "Study", "Variant", "compare", "factorial", "load", "one_at_a_time", "run"]

_HOMES = {
    "compare": "ablations.analysis.comparison",
    "load": "ablations.analysis.frame",
    "Results": "ablations.running.library",
    "run": "ablations.running.library",
    "Study": "ablations.design.study",
    "Variant": "ablations.design.study",
    "factorial": "ablations.design.study",
    "one_at_a_time": "ablations.design.study",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
