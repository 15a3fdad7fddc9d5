"""Command lines from typed options, with wrong use told in one line."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn, TypeVar

T = TypeVar("T")


def parse(options: type[T], args: Sequence[str] | None, *, prog: str, description: str) -> T:
    """Return the options that the arguments spell out; `--help` prints and exits 0.

    Raises:
        SystemExit: with status 2 after one line on standard error, where the arguments are wrong.
    """
    import tyro

    complaint = io.StringIO()
    try:
        with _wide_terminal(), contextlib.redirect_stderr(complaint):
            return tyro.cli(options, args=args, prog=prog, description=description, config=(tyro.conf.FlagCreatePairsOff,))
    except SystemExit as end:
        if end.code in (0, None):
            raise
        refuse(prog, _one_line(complaint.getvalue()))


def refuse(prog: str, message: object) -> NoReturn:
    """Print one line that names the mistake and what is allowed, and exit with status 2."""
    text = " ".join(str(message).split())
    print(f"{prog}: {text}", file=sys.stderr)
    sys.exit(2)


@contextlib.contextmanager
def _wide_terminal() -> Iterator[None]:
    """Ask for wide output while an error is composed, so that a sentence is not broken over lines."""
    if "--help" in sys.argv or "-h" in sys.argv:
        yield
        return
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "1000"
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def _one_line(box: str) -> str:
    """The sentences of a boxed complaint, without the frame and the pointer to the help text."""
    lines = [re.sub(r"^[│|]\s?|\s*[│|]$", "", line).strip() for line in box.splitlines()]
    words = [line for line in lines if line and not re.match(r"^[─╭╰═\-]+", line) and not line.startswith("For full helptext")]
    return " ".join(words) or "wrong arguments; see --help"
