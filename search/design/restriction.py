"""A space restricted or steered by its user: `--fix FIELD=VALUE` and `--prior DIMENSION=VALUE:PROBABILITY`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from search.design.space import Build, Choice, Dimension, Integer, Prior, Real, Space, Value, changed
from xception.network.config import XceptionConfig

__all__ = ["fixed", "parse_pairs", "with_priors"]

_WORDS: dict[str, Value | None] = {"true": True, "false": False, "none": None}


def fixed(space: Space, pairs: Sequence[tuple[str, str]], base: XceptionConfig) -> Space:
    """Return a space without the dimensions that are fixed, whose networks all have the given values.

    A field is that of a dimension, or any field of the network, with or without `model.` before it. Dimensions that
    stand for the same field under another condition (`residual.kind.without_middle` for `residual.kind`) are fixed
    with it.

    Raises:
        ValueError: a field is unknown, a value is not allowed, or a field is fixed twice.
    """
    names = [field.removeprefix("model.") for field, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"--fix: {name} is fixed twice; each field once")
    for field, text in pairs:
        space = _with_one_fixed(space, field.removeprefix("model."), text, base)
    return space


def with_priors(space: Space, pairs: Sequence[tuple[str, str]]) -> Space:
    """Return a space with priors over some dimensions, given as `VALUE:PROBABILITY`, several separated by commas.

    Raises:
        ValueError: a dimension is unknown or real, or the probabilities are not allowed.
    """
    priors: dict[str, Prior] = {}
    by_name = {dimension.name: dimension for dimension in space.dimensions}
    for name, text in pairs:
        dimension = by_name.get(name)
        if dimension is None or isinstance(dimension, Real):
            discrete = [d.name for d in space.dimensions if not isinstance(d, Real)]
            raise ValueError(
                f"--prior: {name!r} is not allowed; a dimension with countable values: {', '.join(discrete)}"
            )
        priors[name] = (*priors.get(name, ()), *(_weighted(dimension, part) for part in text.split(",")))
    try:
        dimensions = tuple(
            replace(d, prior=priors[d.name]) if not isinstance(d, Real) and d.name in priors else d
            for d in space.dimensions
        )
    except ValueError as error:
        raise ValueError(f"--prior: {error}") from None
    return replace(space, dimensions=dimensions)


def parse_pairs(option: str, texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return FIELD=VALUE texts in two parts each.

    Raises:
        ValueError: one has no equals sign, or nothing before or after it.
    """
    out = []
    for text in texts:
        name, _, value = text.partition("=")
        if not name.strip() or not value.strip():
            raise ValueError(f"{option}: {text!r} is not allowed; FIELD=VALUE")
        out.append((name.strip(), value.strip()))
    return tuple(out)


def _with_one_fixed(space: Space, name: str, text: str, base: XceptionConfig) -> Space:
    concerned = [d for d in space.dimensions if d.name == name or d.name.startswith(f"{name}.")]
    exact = [d for d in concerned if d.name == name]
    pinned: dict[str, Value] = {}
    for dimension in exact or concerned:
        pinned[dimension.name] = _value_of(dimension, text)
    for dimension in concerned:
        if dimension.name not in pinned and not isinstance(dimension, Real):
            values = {str(value): value for value in dimension.values or ()}
            if text in values:
                pinned[dimension.name] = values[text]
    field_value = pinned.get(name, next(iter(pinned.values()), None)) if pinned else _plain_value(text)
    is_field = _has_field(base, name)
    if not pinned and not is_field:
        raise ValueError(
            f"--fix: {name!r} is neither a dimension of {space.name} nor a field of a network; dimensions:"
            f" {', '.join(d.name for d in space.dimensions)}"
        )
    if is_field and not pinned:
        try:
            changed(base, {name: field_value})
        except ValueError as error:
            raise ValueError(f"--fix: {name}={text}: {error}") from None
    dimensions = tuple(_without(d, pinned) for d in space.dimensions if d.name not in pinned)
    left = tuple(d for d in dimensions if d is not None)
    build = _building(space.build, pinned, space, {name: field_value} if is_field else {})
    return replace(space, dimensions=left, build=build)


def _building(build: Build, pinned: Mapping[str, Value], space: Space, changes: Mapping[str, Value | None]) -> Build:
    def built(base: XceptionConfig, values: Mapping[str, Value]) -> XceptionConfig:
        known = {**values, **pinned}
        whole = {d.name: known[d.name] for d in space.dimensions if d.name in known and space.takes_part(d, known)}
        network = build(base, whole)
        return changed(network, changes) if changes else network

    return built


def _without(dimension: Dimension, pinned: Mapping[str, Value]) -> Dimension | None:
    """A dimension whose conditions on fixed dimensions are resolved; None where one of them can no longer hold."""
    if any(c.name in pinned and pinned[c.name] not in c.allowed for c in dimension.when):
        return None
    return replace(dimension, when=tuple(c for c in dimension.when if c.name not in pinned))


def _value_of(dimension: Dimension, text: str) -> Value:
    if isinstance(dimension, Real):
        try:
            value = float(text)
        except ValueError:
            value = dimension.low - 1
        if not dimension.low <= value <= dimension.high:
            raise ValueError(f"--fix: {dimension.name}={text} is not allowed; {dimension.low:g} to {dimension.high:g}")
        return value
    return _one_of(dimension, text, "--fix")


def _one_of(dimension: Integer | Choice, text: str, option: str) -> Value:
    for value in dimension.values or ():
        if str(value).lower() == text.lower():
            return value
    allowed = ", ".join(map(str, dimension.values or ()))
    raise ValueError(f"{option}: {dimension.name}={text} is not allowed; one of {allowed}")


def _weighted(dimension: Integer | Choice, text: str) -> tuple[Value, float]:
    value, _, probability = text.rpartition(":")
    try:
        share = float(probability)
    except ValueError:
        share = -1.0
    if not value or not 0 < share <= 1:
        raise ValueError(f"--prior: {dimension.name}={text} is not allowed; VALUE:PROBABILITY, such as 3:0.7")
    return _one_of(dimension, value.strip(), "--prior"), share


def _plain_value(text: str) -> Value | None:
    if text.lower() in _WORDS:
        # `none` is a kind of shortcut, norm and more; no field of a network is fixed to nothing.
        return "none" if text.lower() == "none" else _WORDS[text.lower()]
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _has_field(base: XceptionConfig, path: str) -> bool:
    try:
        base.at(path)
    except ValueError:
        return False
    return True
