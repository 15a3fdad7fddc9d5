"""`--list`: the spaces, each with its question and dimensions."""

from __future__ import annotations

import json
from typing import Any

from search.design.space import Space
from search.spaces import get_space, names

__all__ = ["list_spaces"]

_COUNTED_UP_TO = 100_000


def list_spaces(*, as_json: bool) -> int:
    """Print the spaces; return the exit status."""
    rows = [_described(get_space(name)) for name in names()]
    if as_json:
        print(json.dumps(rows, indent=1))
        return 0
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        size = f"{row['num_configs']:,} networks" if row["num_configs"] else "infinitely many networks"
        print(f"{row['name']:<{width}}  {row['question']}")
        print(f"{'':<{width}}  {', '.join(row['dimensions'])}: {size}")
    return 0


def _described(space: Space) -> dict[str, Any]:
    return {
        "name": space.name,
        "question": space.question,
        "dimensions": [dimension.name for dimension in space.dimensions],
        "is_conditional": space.is_conditional,
        "num_configs": _size(space),
        "limits": {name: list(bounds) for name, bounds in space.limits.items()},
    }


def _size(space: Space) -> int | None:
    """The number of networks of a finite space; None if there are too many to count."""
    if any(dimension.values is None for dimension in space.dimensions):
        return None
    total = 0
    for total, _ in enumerate(space.grid(), 1):
        if total > _COUNTED_UP_TO:
            return None
    return total
