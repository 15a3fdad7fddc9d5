"""The fields of configs as users see them: name, allowed values and meaning of each, and texts parsed as its values.

All of it is read from the configs: types and defaults from their annotations, allowed ranges from the messages of their
own checks, meanings from the docstrings below the fields.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import math
import re
import textwrap
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from xception.base.annotations import checked, describe_allowed, members
from xception.base.canonical import Config, IdleFieldError, config_types, hints_of, to_plain
from xception.base.suggestions import closest, did_you_mean

__all__ = ["Catalogue", "Field", "format_value"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
    """One field of one config class, at its dotted path below the config that a catalogue begins with."""

    path: str
    owner: type[Config]
    annotation: Any
    default: Any  # dataclasses.MISSING where there is none
    sample: Config | None  # of the owner, whose check names the allowed range
    why_not_set: str | None  # why users cannot set it; None where they can

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    @property
    def allowed(self) -> str:
        """The values that the field allows, in words."""
        words = describe_allowed(self.annotation).removeprefix("allowed: ")
        limits = _limits(self)
        return f"{words}; {limits}" if limits else words

    @property
    def meaning(self) -> str:
        """The docstring below the field, or that of the annotated config."""
        own = _attribute_docstrings(typing.cast(Any, self.owner)).get(self.name)
        if own is None:
            configs = config_types(self.annotation)
            own = (inspect.getdoc(configs[0]) or "").split("\n\n")[0] if configs else ""
        return " ".join(own.split())

    def described(self) -> dict[str, Any]:
        """Return what `--fields --json` prints of it."""
        return {
            "field": self.path,
            "of": self.owner.__name__,
            "type": _type_name(self.annotation),
            "default": None if self.default is dataclasses.MISSING else format_value(self.default),
            "allowed": self.allowed,
            "meaning": self.meaning,
            "not_set": self.why_not_set,
        }


class Catalogue:
    """The fields of a config class and of all configs below it.

    `samples` gives the fields that a config class needs to be built, by class; `not_set` says by path why users cannot
    set a field, and with `.*` behind the path, those below it as well.
    """

    def __init__(
        self,
        root: type[Config],
        *,
        samples: Mapping[type[Config], Mapping[str, Any]] | None = None,
        not_set: Mapping[str, str] | None = None,
        prefix: str = "",
    ) -> None:
        self._samples, self._not_set = samples or {}, not_set or {}
        self.fields = tuple(self._walk(root, prefix))
        self._by_path: dict[str, tuple[Field, ...]] = {}
        for field in self.fields:
            self._by_path[field.path] = (*self._by_path.get(field.path, ()), field)

    def has(self, path: str) -> bool:
        """Whether some config has a field at a dotted path."""
        return path in self._by_path

    def suggest(self, path: str) -> str:
        """Return `; did you mean FIELD?` for a path that no config has, by the whole path or by its last part."""
        known = [field.path for field in self.fields if field.why_not_set is None]
        parent, _, last = path.rpartition(".")
        siblings = {n.rpartition(".")[2]: n for n in known if n.rpartition(".")[0] == parent}
        slip = closest(last, siblings, 0.85)  # a slip of the pen
        if slip:
            return f"; did you mean {siblings[slip]}?"
        same = [name for name in known if name.rpartition(".")[2] == last]
        return (
            (f"; did you mean {same[0]}?" if same else "")
            or did_you_mean(path, known)
            or self._suggest_last(last, known)
            or did_you_mean(path, self._by_path)
        )

    @staticmethod
    def _suggest_last(last: str, known: list[str]) -> str:
        names = {name.rpartition(".")[2]: name for name in known}
        close = closest(last, names)
        return f"; did you mean {names[close]}?" if close else ""

    def parse(self, path: str, value: Any) -> Any:
        """Return a text (or a value from TOML, JSON or Python) as the field at a path takes it.

        Raises:
            ValueError: there is no such field, users cannot set it, or the value is not of its type.
        """
        found = self._by_path.get(path)
        if found is None:
            raise ValueError(f"{path}: no such field{self.suggest(path) or '; see --fields'}")
        if found[0].why_not_set is not None:
            raise ValueError(f"{path}: {value!r} is not allowed here; {found[0].why_not_set}")
        for field in found:
            try:
                return checked(_parsed(value, field.annotation), field.annotation, path)
            except ValueError:
                continue
        allowed = " or ".join(dict.fromkeys(_words(field.annotation) for field in found))
        raise ValueError(f"{path}: {value!r} is not allowed; allowed: {allowed}{_closest(value, found)}")

    def check(self, path: str, value: Any) -> None:
        """Check a value against all fields at a path.

        Raises:
            ValueError: no config allows the value, whatever its other fields are.
        """
        first: ValueError | None = None
        for field in self._by_path[path]:
            try:
                checked(value, field.annotation, f"{field.owner.__name__}.{field.name}")
                if field.sample is not None and not isinstance(value, tuple | list | Config):
                    field.sample.replace(**{field.name: value})
                return
            except IdleFieldError:
                return
            except ValueError as error:
                first = first or error
        if first is not None:
            raise first

    def _walk(self, config: type[Config], prefix: str, above: str | None = None) -> Iterator[Field]:
        hints = hints_of(config)
        needed = {f.name for f in dataclasses.fields(config) if f.default is dataclasses.MISSING}  # type: ignore[arg-type]
        given = self._samples.get(config, {})
        sample = config(**given) if needed <= set(given) else None
        for field in dataclasses.fields(config):  # type: ignore[arg-type]
            path, annotation = f"{prefix}{field.name}", hints[field.name]
            below = above or self._not_set.get(f"{path}.*")
            why = below or self._not_set.get(path)
            yield Field(
                path=path,
                owner=config,
                annotation=annotation,
                default=field.default,
                sample=sample,
                why_not_set=why,
            )
            for inner in config_types(annotation):
                if inner is not config:
                    yield from self._walk(inner, f"{path}.", below)


def format_value(value: Any) -> str:
    """Return the text that `parse_value` reads as the value; of a config only its name and what differs from it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        inner = ",".join(format_value(v) for v in value)
        return f"({inner})" if len(value) != 1 else f"({inner},)"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, Config):
        plain = to_plain(value)
        if not plain:
            return type(value).tag
        inner = ", ".join(f"{name}={format_value(getattr(value, name))}" for name in plain)
        return f"{type(value).tag}({inner})"
    return str(value)


def _parsed(value: Any, annotation: Any) -> Any:
    """The value as one of the annotation's members; ValueError where it is none."""
    kinds = members(annotation)
    if isinstance(value, list | tuple):
        return _parsed_tuple(list(value), kinds)
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text == "None" and type(None) in kinds:
        return None
    for kind in kinds:
        if typing.get_origin(kind) is Literal:
            for argument in typing.get_args(kind):
                if str(argument).lower() == text.lower():
                    return argument
    if text.lower() in ("none", "null") and type(None) in kinds:
        return None
    if bool in kinds and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if int in kinds and re.fullmatch(r"[+-]?[0-9][0-9_]*", text):
        return int(text)
    if float in kinds:
        number = float(text)
        if math.isfinite(number):
            return number
    if any(typing.get_origin(kind) is tuple for kind in kinds):
        return _parsed_tuple([part for part in text.strip("()[] ").split(",") if part.strip()], kinds)
    for config in config_types(annotation):
        if _plain_name(text) in (_plain_name(config.tag), "default"):
            return config()
    if str in kinds:
        return text
    raise ValueError(text)


def _parsed_tuple(parts: list[Any], kinds: tuple[Any, ...]) -> Any:
    for kind in kinds:
        if typing.get_origin(kind) is tuple:
            item = typing.get_args(kind)[0]
            return tuple(_parsed(part, item) for part in parts)
    raise ValueError(parts)


def _plain_name(text: str) -> str:
    return text.lower().replace("_", "").replace("-", "")


def _words(annotation: Any) -> str:
    """The allowed values as the command line accepts them."""
    words: list[str] = []
    for kind in members(annotation):
        if typing.get_origin(kind) is Literal:
            words += [str(argument) for argument in typing.get_args(kind)]
        elif typing.get_origin(kind) is tuple:
            words.append(f"numbers with commas between them, such as {'(2,1)' if _is_literal(kind) else '(32,64)'}")
        elif kind is type(None):
            words.append("None")
        elif isinstance(kind, type) and issubclass(kind, Config):
            words.append(kind.tag)
        else:
            words.append({int: "a whole number", float: "a number", bool: "true, false", str: "a text"}[kind])
    return ", ".join(words)


def _is_literal(kind: Any) -> bool:
    return typing.get_origin(typing.get_args(kind)[0]) is Literal


def _type_name(annotation: Any) -> str:
    names = []
    for kind in members(annotation):
        if typing.get_origin(kind) is Literal:
            names += sorted({type(argument).__name__ for argument in typing.get_args(kind)})
        elif typing.get_origin(kind) is tuple:
            names.append("tuple of int")
        else:
            names.append("None" if kind is type(None) else kind.__name__)
    return " | ".join(dict.fromkeys(names))


def _closest(value: Any, found: tuple[Field, ...]) -> str:
    """A suggestion among the names that the fields take."""
    names = [str(a) for f in found for k in members(f.annotation) if typing.get_origin(k) is Literal
             for a in typing.get_args(k)]  # fmt: skip
    return did_you_mean(str(value), [*names, *(c.tag for f in found for c in config_types(f.annotation))])


def _limits(field: Field) -> str:
    """The message of the config's own check for a number that is out of range; empty if it has no check."""
    numeric = {int, float} & set(members(field.annotation))
    if not numeric or field.sample is None:
        return ""
    for probe in (-1, 1_000_000_000, 0.5 if float in numeric else 2):
        try:
            field.sample.replace(**{field.name: probe})
        except IdleFieldError:
            continue
        except ValueError as error:
            _, _, limits = str(error).partition(" is not allowed; ")
            if str(error).startswith(f"{field.owner.__name__}.{field.name}:") and limits:
                return limits
    return ""


@functools.cache
def _attribute_docstrings(owner: Any) -> dict[str, str]:
    """The docstring below each field of a class, its own or inherited, from the source."""
    inherited = owner.__mro__[1]
    out = dict(_attribute_docstrings(inherited)) if hasattr(inherited, "__dataclass_fields__") else {}
    body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    assert isinstance(body, ast.ClassDef)
    for field, following in zip(body.body, body.body[1:], strict=False):
        is_field = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        is_text = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if is_field and is_text and isinstance(following.value.value, str):  # type: ignore[attr-defined]
            out[field.target.id] = following.value.value  # type: ignore[attr-defined]
    return out
