"""Values checked against the annotations of fields, and coerced to them."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from typing import Any, Literal

__all__ = ["FastCheck", "checked", "describe_allowed", "fast_check", "item_annotations", "members"]


@functools.cache
def members(annotation: Any) -> tuple[Any, ...]:
    """Return the alternatives of a union, or the annotation alone."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def item_annotations(annotation: Any, length: int) -> list[Any]:
    """Return the annotations of the items of a tuple of this length."""
    for member in members(annotation):
        if typing.get_origin(member) is tuple:
            args = typing.get_args(member)
            if len(args) == 2 and args[1] is Ellipsis:
                return [args[0]] * length
            if len(args) == length:
                return list(args)
    return [Any] * length


def checked(value: Any, annotation: Any, name: str) -> Any:
    """Return the value, coerced to its annotation.

    Raises:
        ValueError: it does not fit; `name`, the value and what is allowed are named.
    """
    for member in members(annotation):
        fits, result = _fit(value, member, name)
        if fits:
            return result
    raise ValueError(f"{name}: {value!r} is not allowed; {describe_allowed(annotation)}")


def _fit(value: Any, member: Any, name: str) -> tuple[bool, Any]:
    origin = typing.get_origin(member)
    if member is Any:
        return True, value
    if member is None or member is type(None):
        return value is None, None
    if origin is Literal:
        # True == 1 in Python; a bool must not pass for a literal 1
        return any(value == a and type(value) is type(a) for a in typing.get_args(member)), value
    if origin is tuple and isinstance(value, tuple | list):
        args = typing.get_args(member)
        if not (len(args) == 2 and args[1] is Ellipsis) and len(args) != len(value):
            return False, None
        items = zip(value, item_annotations(member, len(value)), strict=True)
        return True, tuple(checked(v, a, f"{name}[{i}]") for i, (v, a) in enumerate(items))
    if member is float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False, None
        number = _as_float(value, name)
        return math.isfinite(number), number
    if member is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    if isinstance(member, type):
        return isinstance(value, member), value
    return False, None


def _as_float(value: float, name: str) -> float:
    try:
        return float(value) + 0.0  # -0.0 becomes 0.0: one number, one text
    except OverflowError:
        raise ValueError(f"{name}: an integer beyond the range of a float is not allowed; allowed: float") from None


def describe_allowed(annotation: Any) -> str:
    """Return what an annotation allows, in words for an error message."""
    words: list[str] = []
    for member in members(annotation):
        if typing.get_origin(member) is Literal:
            words += [repr(a) for a in typing.get_args(member)]
        elif member is type(None):
            words.append("None")
        elif typing.get_origin(member) is not None:
            words.append(str(member).replace("typing.", ""))
        else:
            words.append(getattr(member, "__name__", str(member)))
    return "allowed: " + ", ".join(words)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FastCheck:
    """A field's annotation, with a fast test that most values pass: a catalogue makes thousands of configs."""

    name: str
    hint: Any
    types: frozenset[type]
    literals: frozenset[tuple[type, Any]]

    def passes(self, value: Any) -> bool:
        """Return whether a value certainly fits; one that does not pass may still fit, unchanged or coerced."""
        kind = type(value)
        if kind is float:
            return float in self.types and 0.0 < value < math.inf
        return kind in self.types or (kind in (str, int, bool) and (kind, value) in self.literals)


def fast_check(name: str, hint: Any) -> FastCheck:
    """Return the fast check of a field."""
    allowed = members(hint)
    literals = frozenset((type(a), a) for m in allowed if typing.get_origin(m) is Literal for a in typing.get_args(m))
    kinds = {m for m in allowed if isinstance(m, type)} | ({type(None)} if None in allowed else set())
    if float in kinds:
        kinds.discard(int)  # which becomes a float where that is named first
    return FastCheck(name=name, hint=hint, types=frozenset(kinds), literals=literals)
