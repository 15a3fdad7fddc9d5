"""Variants of the baseline's size: the width at which parameters or MACs agree, or what to train if no width does.

Widths are whole channels, so the ratio is rarely exactly one; within 2 % counts as matched, and the mismatch is always
reported. A variant that matches at no width is compared with the baseline's own accuracy over MACs, trained at
widths around the variant's size (`ablations.statistics.vertical_distance`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from xception.network.config import XceptionConfig

__all__ = ["TOLERANCE", "Match", "Width", "baseline_widths", "find_width", "match", "size"]

TOLERANCE = 0.02
NARROWEST, WIDEST = 1 / 16, 16.0
STEPS = 40  # halvings: far below the width of one channel

Measure = Literal["params", "macs"]
SizeAt = Callable[[float], int | None]


@dataclass(frozen=True, kw_only=True)
class Width:
    """A width multiplier with its size, and that size over the target."""

    width_multiplier: float
    size: int
    ratio: float


@dataclass(frozen=True, kw_only=True)
class Match:
    """A variant at the width at which it is closest to the baseline's size.

    `ratio` is its size over the baseline's, so `ratio − 1` is the residual mismatch; `is_matched` means within 2 %.
    """

    config: XceptionConfig
    measure: Measure
    target: int
    size: int
    ratio: float

    @property
    def is_matched(self) -> bool:
        """Whether the mismatch is within 2 %."""
        return abs(self.ratio - 1) <= TOLERANCE

    def __str__(self) -> str:
        return (
            f"{self.measure} {self.size:,} against {self.target:,} ({100 * (self.ratio - 1):+.2f} %) "
            f"at width multiplier {self.config.width_multiplier:.6g}"
        )


def match(
    variant: XceptionConfig, baseline: XceptionConfig, measure: Measure, *, input_size: int, roughly: bool = False
) -> Match:
    """Return the variant at the width whose parameters or MACs, at images of `input_size` pixels, are closest to the
    baseline's.

    `roughly` takes one step by the square of the width instead of the search, which is enough for an estimate of cost.

    Raises:
        ValueError: the measure is unknown, or no width of the variant can be built.
    """
    if measure not in ("params", "macs"):
        raise ValueError(f"measure: {measure!r} is not allowed; params or macs")
    target = size(baseline, measure, input_size)
    if roughly:
        guess = variant.width_multiplier * math.sqrt(target / size(variant, measure, input_size))
        guessed = _at_width(variant, guess) or variant
        reached = size(guessed, measure, input_size)
        return Match(config=guessed, measure=measure, target=target, size=reached, ratio=reached / target)
    configs: dict[float, XceptionConfig] = {}

    def at(width_multiplier: float) -> int | None:
        config = _at_width(variant, width_multiplier)
        if config is None:
            return None
        configs[width_multiplier] = config
        return size(config, measure, input_size)

    found = find_width(at, target, start=variant.width_multiplier)
    return Match(
        config=configs[found.width_multiplier], measure=measure, target=target, size=found.size, ratio=found.ratio
    )


def baseline_widths(
    baseline: XceptionConfig, macs: Sequence[int], *, input_size: int, count: int = 3
) -> tuple[XceptionConfig, ...]:
    """Return the baseline at about `count` widths, itself included, with MACs on both sides of all `macs`: what to
    train for its curve.

    They are evenly spaced in log MACs from a little below the smallest of these sizes and its own to a little above the
    largest.

    Raises:
        ValueError: `count` is below three, or the baseline cannot be built on both sides.
    """
    if count < 3:
        raise ValueError(f"count: {count} is not allowed; 3 or more, the baseline itself and one on either side")

    def at(width_multiplier: float) -> int | None:
        config = _at_width(baseline, width_multiplier)
        return None if config is None else size(config, "macs", input_size)

    own = size(baseline, "macs", input_size)
    low, high = min(own, *macs) / 1.1, max(own, *macs) * 1.1
    found: dict[int, XceptionConfig] = {}
    for step in range(count):
        width = find_width(at, round(low * (high / low) ** (step / (count - 1))), start=baseline.width_multiplier)
        config = _at_width(baseline, width.width_multiplier)
        if config is not None:
            found[width.size] = config
    inner = sorted(set(found) - {min(found), max(found)}, key=lambda other: abs(math.log(other / own)))
    if inner and own not in found:
        del found[inner[0]]  # the baseline itself replaces its nearest neighbour
    found[own] = baseline
    beyond = [value for value in macs if not min(found) <= value <= max(found)]
    if beyond:
        raise ValueError(
            f"macs: {beyond[0]} is not allowed; {min(found)} to {max(found)}, the range of the baseline's widths"
        )
    return tuple(found[key] for key in sorted(found))


def find_width(at: SizeAt, target: int, *, start: float = 1.0) -> Width:
    """Return the width multiplier of 1/16 to 16 whose size is closest to the target, by bisection.

    `at` returns the size at a multiplier, None where the network cannot be built; it must not decrease in the
    multiplier. `start` is tried first and kept if no other is better.

    Raises:
        ValueError: none of the multipliers tried can be built.
    """
    tried: dict[float, int] = {}

    def below(width_multiplier: float) -> bool:
        value = at(width_multiplier)
        if value is not None:
            tried[width_multiplier] = value
        return value is None or value < target  # a network that cannot be built is too narrow

    below(start)
    low, high = NARROWEST, WIDEST
    if below(low) and not below(high):
        for _ in range(STEPS):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if below(middle) else (low, middle)
    if not tried:
        raise ValueError(f"width_multiplier: no width from {NARROWEST:g} to {WIDEST:g} can be built")
    best = min(tried, key=lambda m: (abs(math.log(tried[m] / target)), abs(math.log(m / start))))
    rounded = (float(f"{best:.{digits}g}") for digits in range(1, 17))
    short = (
        best if best == start else next((m for m in rounded if at(m) == tried[best]), best)
    )  # few digits, for readers and for keys
    return Width(width_multiplier=short, size=tried[best], ratio=tried[best] / target)


def size(config: XceptionConfig, measure: Measure, input_size: int) -> int:
    """Return the parameters or MACs of a network, for images of `input_size` pixels, without building it."""
    from xception.network.closed_form import totals

    params, macs, _ = totals(config, input_size)
    return params if measure == "params" else macs


def _at_width(config: XceptionConfig, width_multiplier: float) -> XceptionConfig | None:
    """The config at a width multiplier, 1.0 where that gives the same network; None where it cannot be built."""
    if _changes_nothing(config, width_multiplier):
        width_multiplier = 1.0
    try:
        return config.replace(width_multiplier=width_multiplier)
    except ValueError:
        return None


def _changes_nothing(config: XceptionConfig, width_multiplier: float) -> bool:
    divisor = config.channel_divisor
    return all(
        max(1, math.floor(width * width_multiplier / divisor + 0.5)) * divisor == width
        for width in config.widths().values()
    )
