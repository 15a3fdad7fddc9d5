"""The search spaces, one file each, found by name; each file exports `SPACE`."""

from __future__ import annotations

import importlib

from search.design.space import Space

__all__ = ["get_space", "names"]

_NAMES = ("middle_flow", "widths", "operators", "family", "family_at_macs", "family_at_params", "table")


def names() -> tuple[str, ...]:
    """The names of all spaces."""
    return _NAMES


def get_space(name: str) -> Space:
    """Return the space of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in _NAMES:
        raise ValueError(f"--space: {name!r} is not known; allowed: {', '.join(_NAMES)}")
    space: Space = importlib.import_module(f"search.spaces.{name}").SPACE
    return space
