"""Completion of command lines in a shell, by argcomplete (the extra `completion`).

A shell that was set up with `eval "$(register-python-argcomplete PROGRAM)"` starts the program with `_ARGCOMPLETE` set
and the line so far in `COMP_LINE`; the answer is what could come next.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["command_to_complete", "complete", "is_completing"]

Completer = Callable[[], Iterable[str]]


def is_completing() -> bool:
    """Whether a shell requests completions."""
    return "_ARGCOMPLETE" in os.environ


def command_to_complete(commands: Sequence[str]) -> str | None:
    """Return the command whose options a shell completes; None where the first word is yet to be chosen.

    With a command, `complete` considers only the words after it.
    """
    skipped = int(os.environ["_ARGCOMPLETE"])
    typed = os.environ.get("COMP_LINE", "")[: int(os.environ.get("COMP_POINT", "0"))].split(" ")
    words = [word for word in typed[:-1] if word][skipped:]
    if words and words[0] in commands:
        os.environ["_ARGCOMPLETE"] = str(skipped + 1)
        return words[0]
    return None


def complete(parser: argparse.ArgumentParser, values: Mapping[str, Completer], commands: Sequence[str] = ()) -> None:
    """Answer the shell and exit; `values` holds the values of an option, by its destination, `commands` the first
    words.

    Without the package argcomplete there are no completions.
    """
    try:
        import argcomplete
    except ModuleNotFoundError:
        raise SystemExit(1) from None
    if commands:
        first = parser.add_argument("command", nargs="?", choices=list(commands))
        first.required = False
    for action in parser._actions:
        if action.dest in values:
            known = values[action.dest]
            action.completer = lambda known=known, **_: list(known())  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser, always_complete_options="long")
