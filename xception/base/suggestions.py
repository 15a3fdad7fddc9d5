"""What a mistyped word was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["closest", "did_you_mean"]


def closest(word: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the known word most like another, whatever its case; None where none is alike (0 to 1) enough."""
    names = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), names, n=1, cutoff=likeness)
    return names[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean NAME?` for the closest known word, or nothing where none is close."""
    found = closest(word, known)
    return f"; did you mean {found}?" if found else ""
