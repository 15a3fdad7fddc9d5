"""Frozen configs: typed on construction, canonical as JSON, hashed to a key.

A key is the SHA-256 of the canonical JSON. The canonical form leaves out fields at their default,
sorts names and writes every number one way, so a field added later breaks no key that exists.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

from xception.base.annotations import FastCheck, checked, fast_check, item_annotations, members

__all__ = [
    "Config",
    "IdleFieldError",
    "canonical_json",
    "config_types",
    "difference",
    "from_json",
    "from_plain",
    "hints_of",
    "key_of",
    "to_plain",
]

T = TypeVar("T")
Plain = Any  # what JSON can hold: None, bool, int, float, str, list, dict


class IdleFieldError(ValueError):
    """A field whose value has no effect given the others: its dotted `path`, and the `value` to leave it at."""

    def __init__(self, message: str, *, path: str = "", value: Any = None) -> None:
        super().__init__(message)
        self.path, self.value = path, value


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Config:
    """Base of every config: a subclass becomes a frozen, keyword-only dataclass with checked fields.

    On construction each value is checked against its annotation (an `int` is accepted where a `float`
    is expected, a list where a tuple is), then `validate` is called for rules across fields.

    Raises:
        ValueError: a value is not of its field's type or not allowed; the field is named first.
    """

    # Name of the class in JSON where an annotation allows several configs; the class name unless set.
    tag: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "tag" not in cls.__dict__:
            cls.tag = cls.__name__
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)

    def __post_init__(self) -> None:
        for field in _checks_of(typing.cast(Any, type(self))):
            value = getattr(self, field.name)
            if not field.passes(value):
                object.__setattr__(self, field.name, checked(value, field.hint, f"{type(self).__name__}.{field.name}"))
        self.validate()

    def validate(self) -> None:
        """Check rules that concern several fields; raise ValueError where one is broken."""

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, validated again."""
        unknown = sorted(changes.keys() - hints_of(type(self)).keys())
        if unknown:
            raise ValueError(
                f"{type(self).__name__}: no field {', '.join(unknown)}; fields: {', '.join(hints_of(type(self)))}"
            )
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]

    def replace_at(self, path: str, value: Any) -> Self:
        """Return a copy with the field at a dotted path changed, as in `replace_at("middle.residual", "none")`."""
        return self.replace_all({path: value})

    def replace_all(self, changes: Mapping[str, Any]) -> Self:
        """Return a copy with the fields at several dotted paths changed together: only the outcome need be valid.

        Raises:
            ValueError: a path does not exist, or the outcome is not allowed.
        """
        own = {path: value for path, value in changes.items() if "." not in path}
        below: dict[str, dict[str, Any]] = {}
        for path, value in changes.items():
            name, _, rest = path.partition(".")
            if rest:
                below.setdefault(name, {})[rest] = value
        for name, inner in below.items():
            child = own[name] if name in own else self.at(name)
            if not isinstance(child, Config):
                raise ValueError(f"{type(self).__name__}.{name}: {child!r} has no field {next(iter(inner))!r}")
            try:
                own[name] = child.replace_all(inner)
            except IdleFieldError as error:
                error.path = f"{name}.{error.path}"
                raise
        return self.replace(**own)

    def at(self, path: str) -> Any:
        """Return the value at a dotted path."""
        name, _, rest = path.partition(".")
        if name not in hints_of(type(self)):
            raise ValueError(f"{type(self).__name__}: no field {name!r}; fields: {', '.join(hints_of(type(self)))}")
        value = getattr(self, name)
        if not rest:
            return value
        if not isinstance(value, Config):
            raise ValueError(f"{type(self).__name__}.{name}: {value!r} has no field {rest!r}")
        return value.at(rest)


@functools.cache
def _checks_of(cls: Any) -> tuple[FastCheck, ...]:
    return tuple(fast_check(name, hint) for name, hint in hints_of(cls).items())


def to_plain(value: Any) -> Plain:
    """Return what JSON can hold for a config (or a tuple of them, or a scalar), without fields at their default."""
    if isinstance(value, Config):
        out: dict[str, Plain] = {}
        hints = hints_of(type(value))
        for field in dataclasses.fields(value):  # type: ignore[arg-type]
            item = getattr(value, field.name)
            if _has_default(field) and item == _default(field):
                continue
            out[field.name] = _tagged(item, hints[field.name])
        return out
    if isinstance(value, tuple | list):
        return [to_plain(v) for v in value]
    return _number(value) if isinstance(value, float) else value


def from_plain(annotation: type[T], plain: Plain) -> T:
    """Build a config of the given type from plain values: the inverse of `to_plain`, strict about names and types.

    Raises:
        ValueError: a field is unknown, missing, or of the wrong type; the field is named.
    """
    return typing.cast(T, _parsed(plain, annotation, getattr(annotation, "__name__", str(annotation))))


def from_json(annotation: type[T], text: str | bytes) -> T:
    """Build a config of the given type from JSON text.

    Raises:
        ValueError: the text is not JSON, repeats a name, or does not describe such a config.
    """
    try:
        plain = json.loads(text, object_pairs_hook=_unique_names, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise ValueError("not JSON: the bytes are not UTF-8") from None
    except RecursionError:
        raise ValueError("not JSON: nested too deeply") from None
    try:
        return from_plain(annotation, plain)
    except RecursionError:
        raise ValueError("not JSON: nested too deeply") from None


def canonical_json(value: Any) -> str:
    """Return the canonical JSON text of this value: sorted names, no blanks, no fields at their default."""
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def key_of(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON, in hexadecimal (64 characters)."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


def difference(a: Config, b: Config) -> dict[str, tuple[Any, Any]]:
    """Return the dotted paths whose values differ between two configs, with both values; empty where they are equal."""
    if type(a) is not type(b):
        return {"": (a, b)}
    out: dict[str, tuple[Any, Any]] = {}
    for name in hints_of(type(a)):
        x, y = getattr(a, name), getattr(b, name)
        if x == y:
            continue
        if isinstance(x, Config) and type(x) is type(y):
            out |= {f"{name}.{path}": pair for path, pair in difference(x, y).items()}
        else:
            out[name] = (x, y)
    return out


def hints_of(cls: type[Config]) -> dict[str, Any]:
    """Return the annotations of a config's fields, resolved."""
    return _resolved(typing.cast(Any, cls))  # mypy does not accept a dataclass's type as hashable


@functools.cache
def _resolved(cls: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def config_types(annotation: Any) -> list[type[Config]]:
    """Return the configs that an annotation allows."""
    return [m for m in members(annotation) if isinstance(m, type) and issubclass(m, Config)]


def _tagged(value: Any, annotation: Any) -> Plain:
    """Plain form of a value; a config carries its tag where the annotation leaves a choice."""
    if isinstance(value, Config) and len(config_types(annotation)) > 1:
        return {"type": type(value).tag, **to_plain(value)}
    if isinstance(value, tuple):
        return [_tagged(v, a) for v, a in zip(value, item_annotations(annotation, len(value)), strict=True)]
    return to_plain(value)


def _parsed(plain: Plain, annotation: Any, name: str) -> Any:
    """A value of the annotated type, from plain JSON values."""
    configs = config_types(annotation)
    if isinstance(plain, dict) and configs:
        return _parsed_config(plain, configs, name)
    if isinstance(plain, list):
        return checked(
            [
                _parsed(p, a, f"{name}[{i}]")
                for i, (p, a) in enumerate(zip(plain, item_annotations(annotation, len(plain)), strict=True))
            ],
            annotation,
            name,
        )
    return checked(plain, annotation, name)


def _parsed_config(plain: dict[str, Plain], configs: list[type[Config]], name: str) -> Config:
    chosen = configs[0]
    if len(configs) > 1:
        tags = {c.tag: c for c in configs}
        plain = dict(plain)
        tag = plain.pop("type", None)
        if not isinstance(tag, str) or tag not in tags:
            raise ValueError(f"{name}.type: {tag!r} is not allowed; allowed: {', '.join(tags)}")
        chosen = tags[tag]
    hints = hints_of(chosen)
    for unknown in sorted(set(plain) - set(hints)):
        shown = unknown if unknown.isidentifier() else repr(unknown)  # a name from outside may hold a line break
        raise ValueError(f"{name}.{shown}: no such field; fields: {', '.join(hints)}")
    for field in dataclasses.fields(chosen):  # type: ignore[arg-type]
        if field.name not in plain and not _has_default(field):
            raise ValueError(f"{name}.{field.name}: missing")
    return chosen(**{key: _parsed(item, hints[key], f"{name}.{key}") for key, item in plain.items()})


def _number(value: float) -> float | int:
    """Return the one form of a number: 2.0 becomes 2, and a float field reads it back as 2.0."""
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("not JSON: a name occurs twice in one object")
    return out


def _no_constant(text: str) -> Any:
    raise ValueError(f"not JSON: {text}")
