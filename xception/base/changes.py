"""Changing several fields of a config together.

A field that one change leaves without effect (the momentum of running statistics under a group norm) goes back to the
value at which the network is the same, unless it was named: configs hold no idle fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from xception.base.canonical import Config, IdleFieldError

__all__ = ["Soft", "apply_changes", "settled", "touches"]

C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class Soft:
    """A value that is set where its field exists and has an effect, and is otherwise left out of the change."""

    value: Any


def apply_changes(config: C, changes: Mapping[str, Any]) -> C:
    """Return the config with all fields changed together; a value may be a function of the config as changed so far.

    Raises:
        ValueError: a path does not exist in the config, or a value is not allowed or has no effect there.
    """
    literal = {path: value for path, value in changes.items() if not callable(value)}
    known: dict[str, Any] = {}
    for path, value in changes.items():
        if callable(value):
            try:
                now = settled(config, known)
            except ValueError:  # not valid yet: what follows completes it
                now = settled(config, {**known, **literal})
            now.at(path)  # an unknown field is named before the function reads it
            value = value(now)
        known[path] = value
    return settled(config, known)


def settled(config: C, changes: Mapping[str, Any]) -> C:
    """Return the config with the values at dotted paths set; fields that this leaves without effect are reset.

    Raises:
        ValueError: a path does not exist, or the outcome is not allowed; IdleFieldError where a named value has
            no effect.
    """
    named = {path: value for path, value in changes.items() if not isinstance(value, Soft)}
    wanted = {path: value.value for path, value in changes.items() if isinstance(value, Soft) and _has(config, path)}
    wanted |= named
    reset: set[str] = set()
    while True:
        try:
            return config.replace_all(wanted)
        except IdleFieldError as error:
            if error.path in reset or touches(error.path, named):
                raise
            reset.add(error.path)
            wanted = {p: v for p, v in wanted.items() if not p.startswith(f"{error.path}.")}
            wanted[error.path] = error.value


def touches(path: str, paths: Mapping[str, Any] | tuple[str, ...]) -> bool:
    """Whether a dotted path equals one of several paths, or is above or below one."""
    return any(path == p or path.startswith(f"{p}.") or p.startswith(f"{path}.") for p in paths)


def _has(config: Config, path: str) -> bool:
    try:
        config.at(path)
    except ValueError:
        return False
    return True
