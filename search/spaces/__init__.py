"""The search spaces, one file each, found by their place; each file exports `SPACE`. A user's own file works alike."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from pathlib import Path

from search.design.space import Space
from xception.base.suggestions import did_you_mean

__all__ = ["get_space", "names"]


def names() -> tuple[str, ...]:
    """The names of all built-in spaces, in alphabetical order."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def get_space(name: str) -> Space:
    """Return the space of that name, or the one that a Python file exports as `SPACE`.

    Raises:
        ValueError: there is no such space, or the file cannot be run.
    """
    if name.endswith(".py"):
        return _from_file(Path(name))
    if name not in names():
        raise ValueError(
            f"--space: {name!r} is not known; allowed: {', '.join(names())}, or a file that ends in .py"
            f"{did_you_mean(name, names())}"
        )
    space: Space = importlib.import_module(f"search.spaces.{name}").SPACE
    return space


def _from_file(path: Path) -> Space:
    if not path.is_file():
        raise ValueError(f"--space: {str(path)!r} does not exist; a Python file with SPACE")
    spec = importlib.util.spec_from_file_location(f"xception_space_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # noqa: BLE001 - a user's file may raise anything
        raise ValueError(
            f"--space: {path} cannot be run: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from None
    space = getattr(module, "SPACE", None)
    if not isinstance(space, Space):
        raise ValueError(f"--space: {path} has no SPACE; a search.design.space.Space of that name")
    if space.name in names():
        raise ValueError(f"--space: {path}: the name {space.name!r} is taken by a space of ours; another name")
    return space
