"""The catalogue of studies: one file each, found by name; a user's own study is a file anywhere."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
from dataclasses import replace
from pathlib import Path

from ablations.design.study import Study
from xception.base.suggestions import did_you_mean

__all__ = ["get_study", "names", "require_own_name"]


def require_own_name(study: Study) -> None:
    """Check that a user's study has no name of the catalogue, since their results would be confused.

    Raises:
        ValueError: it has one.
    """
    if study.name in names() and study != get_study(study.name):
        raise ValueError(f"Study.name: {study.name!r} is not allowed; it is the name of a study in the catalogue")


def names() -> list[str]:
    """Return the names of all studies in the catalogue, in alphabetical order."""
    return list(_names())


def get_study(name: str) -> Study:
    """Return a study by name, or from a file that ends in `.py` and defines `STUDY`.

    Raises:
        ValueError: there is no such study, or the file defines none.
    """
    if name.endswith(".py"):
        return _from_file(Path(name))
    if name not in names():
        raise ValueError(
            f"--study: {name!r} is not known; allowed: {', '.join(names())}, or the path of a file that ends in .py"
            f"{did_you_mean(name, names())}"
        )
    study = importlib.import_module(f"ablations.studies.{name}").STUDY
    assert isinstance(study, Study)
    return study


@functools.cache
def _names() -> tuple[str, ...]:
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def _from_file(path: Path) -> Study:
    if not path.is_file():
        raise ValueError(f"--study: {path} does not exist; give a name from --list or the path of a study file")
    spec = importlib.util.spec_from_file_location(f"study_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"--study: {path} cannot be read as Python")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError, NameError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"--study: {path} cannot be read: {type(error).__name__}: {error}") from None
    study = getattr(module, "STUDY", None)
    if not isinstance(study, Study):
        raise ValueError(f"--study: {path} defines no STUDY; it needs STUDY = Study(...)")
    try:
        require_own_name(study)
    except ValueError as error:
        raise ValueError(f"--study: {path}: {error}") from None
    return replace(study, path=str(path))
