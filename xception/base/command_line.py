"""Command lines from typed options, with wrong use told in one line."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import re
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def parse(options: type[T], args: Sequence[str] | None, *, prog: str, description: str) -> T:
    """Return the options that the arguments spell out; `--help` prints and exits 0.

    Raises:
        SystemExit: with status 2 after one line on standard error, where the arguments are wrong.
    """
    words = list(sys.argv[1:] if args is None else args)
    plain = _parse_plain(options, words)
    if plain is not None:
        return plain
    import tyro

    complaint = io.StringIO()
    try:
        with _wide_terminal(), contextlib.redirect_stderr(complaint):
            return tyro.cli(
                options, args=words, prog=prog, description=description, config=(tyro.conf.FlagCreatePairsOff,)
            )
    except SystemExit as end:
        if end.code in (0, None):
            raise
        refuse(prog, _one_line(complaint.getvalue()))


def refuse(prog: str, message: object) -> NoReturn:
    """Print one line that names the mistake and what is allowed, and exit with status 2."""
    text = " ".join(str(message).split())
    print(f"{prog}: {text}", file=sys.stderr)
    sys.exit(2)


def _parse_plain(options: type[T], words: Sequence[str]) -> T | None:
    """What plain words come to: flags, and options with one value of a simple type; None for anything else, which is
    left to tyro.

    Importing tyro and describing the options to it takes longer than all else that `--list` does. Help, every mistake
    and whatever might be read in two ways is tyro's to answer.
    """
    if not dataclasses.is_dataclass(options):
        return None
    fields = {field.name: field for field in dataclasses.fields(options)}
    hints = get_type_hints(options)
    values: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        name = name.removeprefix("--").replace("-", "_")
        if not word.startswith("--") or name not in fields or name in values:
            return None
        if hints[name] is bool:
            if equals or fields[name].default is not False:
                return None
            values[name] = True
            continue
        value = value if equals else next(rest, "-")
        if value.startswith("-") or value in ("", "None"):
            return None
        try:
            values[name] = _converted(hints[name], value)
        except (TypeError, ValueError):
            return None
    has_all = all(
        f.name in values or f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING
        for f in fields.values()
    )
    return options(**values) if has_all else None


def _converted(hint: Any, text: str) -> Any:
    """A text as the type that is hinted at.

    Raises:
        TypeError, ValueError: it is not one, or the type is not a simple one.
    """
    if get_origin(hint) is Literal:
        if text not in get_args(hint):
            raise ValueError(text)
        return text
    kinds = (
        [kind for kind in get_args(hint) if kind is not type(None)]
        if get_origin(hint) in (Union, types.UnionType)
        else [hint]
    )
    if len(kinds) != 1:
        raise TypeError(hint)
    (kind,) = kinds
    if get_origin(kind) is Literal:
        return _converted(kind, text)
    if kind in (str, Path) or (kind is int and re.fullmatch(r"[0-9]+", text)):
        return kind(text)
    if kind is float and re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return kind(text)
    raise TypeError(kind)


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
    words = [
        line
        for line in lines
        if line and not re.match(r"^[─╭╰═\-]+", line) and not line.startswith("For full helptext")
    ]
    return " ".join(words) or "wrong arguments; see --help"
