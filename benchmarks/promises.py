"""How a benchmark that checks promises ends: it prints a report and returns an exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["finish"]


def finish(report: dict[str, Any], show: Callable[[dict[str, Any]], None], *, as_json: bool) -> int:
    """Print a report, as JSON or by `show`; return 1 if `broken` in it names a promise, else 0."""
    if as_json:
        json.dump(report, sys.stdout, indent=1)
        print()
    else:
        show(report)
    return int(bool(report["broken"]))
