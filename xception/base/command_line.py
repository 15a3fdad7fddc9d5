"""Command lines from dataclasses: every field is an option, and wrong use ends in a one-line error.

A field `train_size: int | None = None` becomes `--train-size N`; its help is the docstring below the field, or in its
`Annotated`. A `bool` is a flag, a `Literal` a choice, a `tuple[T, ...]` an option that may be repeated; a field
annotated with `POSITIONAL` takes the positional words; alternatives (`int | Literal["auto"]`) are tried in order. A
field without a default is required. `--help` groups options by the class that they are inherited from.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import dataclasses
import difflib
import inspect
import io
import os
import re
import sys
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from xception.base.completion import command_to_complete, complete, is_completing
from xception.base.suggestions import did_you_mean
from xception.base.version import __version__

__all__ = ["POSITIONAL", "choose_command", "ending_with_the_reader", "invocation", "parse", "refuse", "with_value"]

T = TypeVar("T")

POSITIONAL = object()
_NUMBERS = {int: r"[+-]?[0-9]{1,18}", float: r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|[+-]?inf|nan"}
_NAMES = {int: "a whole number", float: "a number", str: "a text", Path: "a path"}
_PLACEHOLDERS = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


def parse(
    options: type[T],
    args: Sequence[str] | None,
    *,
    prog: str,
    description: str,
    values: Mapping[str, Callable[[], Iterable[str]]] | None = None,
) -> T:
    """Return the options that the arguments give; `--help` and `--version` print and exit 0.

    `values` holds what a shell suggests for an option, by the field's name.

    Raises:
        SystemExit: with status 2 after one line on standard error, where the arguments are wrong.
    """
    words = [_with_hyphens(word) for word in (sys.argv[1:] if args is None else args)]
    _replace_what_cannot_be_printed()
    for word in words:
        if not _is_text(word):
            shown = word.encode(errors="replace").decode()
            refuse(prog, f"{shown!r} is not UTF-8; allowed: arguments, names of files among them, that are")
    parser = _Parser(prog=prog, usage="%(prog)s [OPTIONS]", description=description, allow_abbrev=False, add_help=False)
    helps = _help_texts(options) if "--help" in words or "-h" in words else {}
    hints = get_type_hints(options, include_extras=True)
    own: set[str] = set()
    for group, names in _groups(options):
        section = parser.add_argument_group(group)
        for field in (f for f in dataclasses.fields(options) if f.name in names):  # type: ignore[arg-type]
            _add(section, field, hints[field.name], helps.get(field.name, ""))
            own.add(f"--{field.name.replace('_', '-')}")
    section = parser.add_argument_group("Help")
    section.add_argument("-h", "--help", action=_Help, nargs=0, default=argparse.SUPPRESS, help="Show this and exit.")
    _add_version(section)
    if is_completing():
        complete(parser, {**_choices(hints), **(values or {})})
    known, rest = parser.parse_known_args(words)
    if rest:
        name = rest[0].partition("=")[0]
        close = difflib.get_close_matches(name, [*own, "--help", "--version"], n=1)
        parser.error(f"{name}: is not an option; {f'did you mean {close[0]}?' if close else 'see --help'}")
    return options(**{name: tuple(v) if isinstance(v, list) else v for name, v in vars(known).items()})


def choose_command(words: Sequence[str], commands: Mapping[str, str], *, prog: str, bare: bool = False) -> str:
    """Return the command that the words begin with; `commands` has a description of each for `--help`.

    With `bare` the program also has options without a command: if the first word is an option, "" is returned.

    Raises:
        SystemExit: with status 0 after `--help` and `--version`, with 2 where there is no such command.
    """
    if is_completing():
        chosen = command_to_complete(list(commands))
        if chosen is not None or bare:
            return chosen or ""
        parser = argparse.ArgumentParser(prog=prog, add_help=False)
        parser.add_argument("--help", action="store_true")
        parser.add_argument("--version", action="store_true")
        complete(parser, {}, list(commands))
    first = words[0] if words else ""
    if first in commands:
        return first
    if bare and (not first or first.startswith("-")):
        return ""
    if first in ("-h", "--help"):
        width = max(map(len, commands)) + 2
        rows = "\n".join(f"  {command:{width}}{what}" for command, what in commands.items())
        with ending_with_the_reader():
            print(f"usage: {prog} COMMAND ...\n\n{rows}\n\n{prog} COMMAND --help lists the options of a command.")
        sys.exit(0)
    if first == "--version":
        print(_version())
        sys.exit(0)
    if not first:
        refuse(prog, f"a command is needed: {', '.join(commands)}; --help says more")
    close = difflib.get_close_matches(first, commands, n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    others = ", or options such as --help" if bare else ""
    refuse(prog, f"{first!r} is not a command; allowed: {', '.join(commands)}{others}{meant}")


def invocation(installed: str, *module: str) -> list[str]:
    """Return the first words of the command line: the installed program that was typed, else its module or file."""
    return [installed] if Path(sys.argv[0]).name == installed else list(module)


def with_value(option: str, words: Sequence[str], value: str) -> list[str]:
    """Return the words, with a default value added to an option that is given without one."""
    out = list(words)
    if option in out:
        place = out.index(option) + 1
        if place == len(out) or out[place].startswith("-"):
            out.insert(place, value)
    return out


@contextlib.contextmanager
def ending_with_the_reader() -> Iterator[None]:
    """Print in the block; where its reader has closed the pipe (`| head`), exit quietly with status 0."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what Python writes at exit
        sys.exit(0)


def refuse(prog: str, message: object) -> NoReturn:
    """Print one line that names the mistake and what is allowed, and exit with status 2."""
    print(f"{prog}: {' '.join(str(message).split())}", file=sys.stderr)
    sys.exit(2)


def _version() -> str:
    return f"xception-ablations {__version__}"


def _add_version(section: argparse._ArgumentGroup) -> None:
    section.add_argument("--version", action="version", version=_version(), help="Show the version and exit.")


def _choices(hints: Mapping[str, Any]) -> dict[str, Callable[[], Iterable[str]]]:
    """The values of options that allow one of several words."""
    out: dict[str, Callable[[], Iterable[str]]] = {}
    for name, hint in hints.items():
        inner = get_args(hint)[0] if get_origin(hint) in (Annotated, tuple) else hint
        words = [str(word) for kind in _kinds(inner) if get_origin(kind) is Literal for word in get_args(kind)]
        if words:
            out[name] = lambda words=words: words  # type: ignore[misc]
    return out


def _replace_what_cannot_be_printed() -> None:
    """Print characters that a terminal's encoding lacks as question marks, rather than fail after a training."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")


def _is_text(word: str) -> bool:
    """Whether a word is valid text; bytes that are not UTF-8 arrive as lone surrogates."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        refuse(self.prog, message.removeprefix("argument "))


class _Help(argparse.Action):
    """Print the help and exit; a pipe closed by its reader (`| head`) is not an error."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        with ending_with_the_reader():
            parser.print_help()
        sys.exit(0)


class _Once(argparse.Action):
    """Store a value, or True for a flag; a second one is refused."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, name: str | None = None
    ) -> None:
        if hasattr(namespace, self.dest):
            raise argparse.ArgumentError(self, "is given twice; it can be given once")
        setattr(namespace, self.dest, True if self.nargs == 0 else values)


def _add(section: argparse._ArgumentGroup, field: dataclasses.Field[Any], hint: Any, text: str) -> None:
    is_positional = False
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        is_positional = POSITIONAL in notes
        text = next((note for note in notes if isinstance(note, str)), text)
    is_required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    if not is_required and field.default not in (None, False, (), "") and "Default:" not in text:
        text += f" Default: {field.default}."
    about: dict[str, Any] = {"help": text.replace("%", "%%"), "default": argparse.SUPPRESS}
    if hint is bool:
        section.add_argument(f"--{field.name.replace('_', '-')}", dest=field.name, action=_Once, nargs=0, **about)
        return
    is_repeated = get_origin(hint) is tuple
    kinds = list(_kinds(get_args(hint)[0] if is_repeated else hint))
    about |= {"type": _converter(kinds), "metavar": _placeholder(kinds)}
    if is_positional:
        several = "+" if is_required else "*"
        section.add_argument(field.name, nargs=several if is_repeated else None, **about)
    else:
        action: Any = "append" if is_repeated else _Once
        name = f"--{field.name.replace('_', '-')}"
        section.add_argument(name, dest=field.name, action=action, required=is_required, **about)


def _kinds(hint: Any) -> Iterator[Any]:
    """The alternatives of a type hint, without None."""
    if get_origin(hint) in (Union, types.UnionType):
        for part in get_args(hint):
            yield from _kinds(part)
    elif hint is not type(None):
        yield hint


def _converter(kinds: list[Any]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        for kind in kinds:
            if get_origin(kind) is Literal:
                for choice in get_args(kind):
                    if text == str(choice):
                        return choice
            elif kind not in _NUMBERS or re.fullmatch(_NUMBERS[kind], text, re.IGNORECASE):
                return kind(text)
        allowed = [
            ", ".join(map(str, get_args(kind))) if get_origin(kind) is Literal else _NAMES[kind] for kind in kinds
        ]
        words = [str(choice) for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; {', or '.join(allowed)}{did_you_mean(text, words)}")

    return convert


def _placeholder(kinds: list[Any]) -> str:
    return "|".join("|".join(map(str, get_args(k))) if get_origin(k) is Literal else _PLACEHOLDERS[k] for k in kinds)


def _groups(options: type) -> Iterator[tuple[str, set[str]]]:
    """The first sentence and the fields of every class that the options inherit from, the most general last."""
    taken: set[str] = set()
    for kind in reversed(options.__mro__):
        names = set(inspect.get_annotations(kind)) - taken
        if names:
            taken |= names
            yield (kind.__doc__ or "options").partition(".")[0].partition("\n")[0], names


def _help_texts(options: type) -> dict[str, str]:
    """The docstring below each field, by field."""
    out: dict[str, str] = {}
    for kind in reversed(options.__mro__):
        if not dataclasses.is_dataclass(kind):
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        assert isinstance(tree, ast.ClassDef)
        for field, below in zip(tree.body, tree.body[1:], strict=False):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    out[name] = " ".join(text.split())
    return out


def _with_hyphens(word: str) -> str:
    """An option's name with hyphens, as it may also be written with underscores."""
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if re.fullmatch(r"--[a-z0-9_-]+", name) else word
