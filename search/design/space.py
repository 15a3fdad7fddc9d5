"""Search spaces: typed dimensions, some of them conditional, over the configs of networks.

A dimension has the name of the field that it changes. Sizes are ratios to the initial network of the search, so that a
space means the same at every scale; conditions exclude values without effect, so that every suggestion is a valid
config.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from xception.base.canonical import from_plain, key_of, to_plain
from xception.network.config import XceptionConfig

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.distributions import BaseDistribution

__all__ = [
    "Choice",
    "Dimension",
    "Integer",
    "Prior",
    "Real",
    "Space",
    "Value",
    "Values",
    "When",
    "changed",
    "scaled",
    "scaled_widths",
]

Value = bool | int | float | str
Values = dict[str, Value]
# Values with their probabilities; the rest to 1 is shared evenly by the values that are not named.
Prior = tuple[tuple[Value, float], ...]


@dataclass(frozen=True)
class When:
    """A dimension is active only if another one is active and has one of these values."""

    name: str
    allowed: tuple[Value, ...]


@dataclass(frozen=True, kw_only=True)
class Integer:
    """Whole numbers from low to high, both included."""

    name: str
    low: int
    high: int
    when: tuple[When, ...] = ()
    prior: Prior = ()

    def __post_init__(self) -> None:
        _check_prior(self.name, self.prior, self.values or ())

    @property
    def values(self) -> tuple[Value, ...] | None:
        """All values."""
        return tuple(range(self.low, self.high + 1))

    def at(self, unit: float) -> Value:
        """Return the value at a position in [0, 1)."""
        return _value_at(unit, self.values or (), self.prior)

    def suggest(self, trial: Trial) -> Value:
        """Ask an Optuna trial for a value."""
        return trial.suggest_int(self.name, self.low, self.high)

    def distribution(self) -> BaseDistribution:
        """Return the dimension as an Optuna distribution."""
        from optuna.distributions import IntDistribution

        return IntDistribution(self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class Real:
    """Real numbers from low to high, uniform in their logarithm if `log` is set."""

    name: str
    low: float
    high: float
    log: bool = False
    when: tuple[When, ...] = ()

    @property
    def values(self) -> tuple[Value, ...] | None:
        """None: there are too many."""
        return None

    def at(self, unit: float) -> Value:
        """Return the value at a position in [0, 1)."""
        if self.log:
            return self.low * math.exp(unit * math.log(self.high / self.low))
        return self.low + unit * (self.high - self.low)

    def suggest(self, trial: Trial) -> Value:
        """Ask an Optuna trial for a value."""
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def distribution(self) -> BaseDistribution:
        """Return the dimension as an Optuna distribution."""
        from optuna.distributions import FloatDistribution

        return FloatDistribution(self.low, self.high, log=self.log)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of several unordered values."""

    name: str
    options: tuple[Value, ...]
    when: tuple[When, ...] = ()
    prior: Prior = ()

    def __post_init__(self) -> None:
        _check_prior(self.name, self.prior, self.options)

    @property
    def values(self) -> tuple[Value, ...] | None:
        """All values."""
        return self.options

    def at(self, unit: float) -> Value:
        """Return the value at a position in [0, 1)."""
        return _value_at(unit, self.options, self.prior)

    def suggest(self, trial: Trial) -> Value:
        """Ask an Optuna trial for a value."""
        return cast(Value, trial.suggest_categorical(self.name, self.options))

    def distribution(self) -> BaseDistribution:
        """Return the dimension as an Optuna distribution."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.options)


Dimension = Integer | Real | Choice
Build = Callable[[XceptionConfig, Mapping[str, Value]], XceptionConfig]


@dataclass(frozen=True, kw_only=True)
class Space:
    """A question, dimensions, and how their values change a network.

    `build` is called with the initial network of the search and the values of the active dimensions.
    `limits` bound a cost (`macs`, `params`) by two ratios to that network's. `version` is raised when the same
    values begin to mean another network.
    """

    name: str
    question: str
    dimensions: tuple[Dimension, ...]
    build: Build
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    version: int = 1

    def __post_init__(self) -> None:
        seen: list[str] = []
        for dimension in self.dimensions:
            for condition in dimension.when:
                if condition.name not in seen:
                    raise ValueError(
                        f"{self.name}.{dimension.name}: its condition {condition.name!r} is not a dimension before it"
                    )
            if dimension.name in seen:
                raise ValueError(f"{self.name}.{dimension.name}: occurs twice; names must differ")
            seen.append(dimension.name)

    @property
    def digest(self) -> str:
        """The identity of a space: equal for two definitions whose values mean the same networks."""
        # A prior affects the order of suggestions, not the meaning of a value.
        known = [{name: value for name, value in vars(d).items() if name != "prior"} for d in self.dimensions]
        rows = [[type(d).__name__, *_plain(values)] for d, values in zip(self.dimensions, known, strict=True)]
        return key_of([self.version, rows, _plain(dict(self.limits))])

    @property
    def is_conditional(self) -> bool:
        """Whether some dimension is conditional."""
        return any(d.when for d in self.dimensions)

    @property
    def has_prior(self) -> bool:
        """Whether some dimension has a prior."""
        return any(getattr(d, "prior", ()) for d in self.dimensions)

    @property
    def is_numeric(self) -> bool:
        """Whether all dimensions are numbers."""
        return all(not isinstance(d, Choice) for d in self.dimensions)

    def takes_part(self, dimension: Dimension, values: Mapping[str, Value]) -> bool:
        """Whether a dimension is active, given the values of those before it."""
        return all(c.name in values and values[c.name] in c.allowed for c in dimension.when)

    def choose(self, value_of: Callable[[Dimension], Value]) -> Values:
        """Return values for the active dimensions, requested one after the other."""
        values: Values = {}
        for dimension in self.dimensions:
            if self.takes_part(dimension, values):
                values[dimension.name] = value_of(dimension)
        return values

    def draw(self, generator: random.Random) -> Values:
        """Return values drawn at random."""
        return self.choose(lambda dimension: dimension.at(generator.random()))

    def suggest(self, trial: Trial) -> Values:
        """Return the values that an Optuna trial suggests."""
        return self.choose(lambda dimension: dimension.suggest(trial))

    def config(self, base: XceptionConfig, values: Mapping[str, Value]) -> XceptionConfig:
        """Return the network for some values."""
        return self.build(base, values)

    def grid(self) -> Iterator[Values]:
        """Yield all values of a finite space.

        Raises:
            ValueError: a dimension has too many values.
        """
        endless = [d.name for d in self.dimensions if d.values is None]
        if endless:
            raise ValueError(f"--space: {self.name} is not finite, as {', '.join(endless)} is real; a finite space")
        return self._grid({}, self.dimensions)

    def neighbours(self, values: Mapping[str, Value]) -> Iterator[Values]:
        """Yield values that differ in one dimension; dimensions that become active get their middle value.

        Of a real dimension two steps of an eighth of its range count as neighbours.
        """
        for dimension in self.dimensions:
            if dimension.name not in values:
                continue
            for value in _others(dimension, values[dimension.name]):
                yield self.completed({**values, dimension.name: value}, lambda d: d.at(0.5))

    def completed(self, values: Mapping[str, Value], value_of: Callable[[Dimension], Value]) -> Values:
        """Return values without inactive dimensions, with missing ones requested."""
        return self.choose(lambda d: values[d.name] if d.name in values else value_of(d))

    def _grid(self, values: Values, rest: tuple[Dimension, ...]) -> Iterator[Values]:
        if not rest:
            yield dict(values)
            return
        if not self.takes_part(rest[0], values):
            yield from self._grid(values, rest[1:])
            return
        for value in rest[0].values or ():
            yield from self._grid({**values, rest[0].name: value}, rest[1:])


def scaled(width: int, ratio: float, divisor: int = 8) -> int:
    """Return a width times a ratio, to the nearest multiple of a divisor, at least one multiple."""
    return max(1, math.floor(width * ratio / divisor + 0.5)) * divisor


def scaled_widths(base: XceptionConfig, ratio: float) -> dict[str, Any]:
    """Return the widths of stem, entry and exit of a network times a ratio, by the path of their fields."""
    changes: dict[str, Any] = {"stem.widths": tuple(scaled(w, ratio) for w in base.stem.widths)}
    if base.entry is not None:
        changes["entry.widths"] = tuple(scaled(w, ratio) for w in base.entry.widths)
    if base.exit is not None:
        changes["exit.width"] = scaled(base.exit.width, ratio)
        changes["exit.tail_widths"] = tuple(scaled(w, ratio) for w in base.exit.tail_widths)
    return changes


def changed(base: XceptionConfig, changes: Mapping[str, Any]) -> XceptionConfig:
    """Return the network with the fields at dotted paths changed together: intermediate configs may be invalid."""
    plain = to_plain(base)
    for path, value in changes.items():
        *parents, name = path.split(".")
        place = plain
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = list(value) if isinstance(value, tuple) else value
    return from_plain(XceptionConfig, plain)


def _value_at(unit: float, values: tuple[Value, ...], prior: Prior) -> Value:
    """The value at a position in [0, 1), of which each value takes up its probability."""
    if not prior:
        return values[int(unit * len(values))]
    named = dict(prior)
    rest = (1 - sum(named.values())) / max(len(values) - len(named), 1)
    for value in values:
        unit -= named.get(value, rest)
        if unit < 0:
            return value
    return max(values, key=lambda value: named.get(value, rest))  # sums of fractions may be below 1


def _check_prior(name: str, prior: Prior, values: tuple[Value, ...]) -> None:
    named = dict(prior)
    unknown = [value for value in named if value not in values]
    if unknown or len(named) != len(prior):
        allowed = f"each of {', '.join(map(str, values))} at most once"
        raise ValueError(f"{name}: a prior over {', '.join(str(v) for v, _ in prior)} is not allowed; {allowed}")
    total = sum(named.values())
    is_whole = abs(total - 1) < 1e-9 if len(named) == len(values) else total < 1
    if prior and (min(named.values()) <= 0 or not is_whole):
        raise ValueError(
            f"{name}: a prior of {', '.join(f'{p:g}' for p in named.values())} is not allowed; probabilities above 0"
            " that sum to less than 1, or to 1 if all values are named"
        )


def _others(dimension: Dimension, value: Value) -> list[Value]:
    if isinstance(dimension, Real):
        assert isinstance(value, float | int)
        span = math.log(dimension.high / dimension.low) if dimension.log else dimension.high - dimension.low
        steps = (-span / 8, span / 8)
        moved = [value * math.exp(s) if dimension.log else value + s for s in steps]
        return [min(max(m, dimension.low), dimension.high) for m in moved if m != value]
    options = [other for other in dimension.values or () if other != value]
    if isinstance(dimension, Integer):
        assert isinstance(value, int)
        return [other for other in options if isinstance(other, int) and abs(other - value) == 1]
    return options


def _plain(values: Mapping[str, Any]) -> list[Any]:
    def one(value: Any) -> Any:
        if isinstance(value, When):
            return [value.name, list(value.allowed)]
        return [one(v) for v in value] if isinstance(value, tuple) else value

    return list(itertools.chain.from_iterable((name, one(value)) for name, value in sorted(values.items())))
