"""Networks within limits: the width is solved for, since counted costs increase with the width.

A network beyond an upper limit is narrowed until it meets it, to within a few per cent below where its channels allow;
in a slice (a cost between two bounds) every network is adjusted to its middle. A network that cannot be adjusted is
unchanged, with its excess.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from ablations.design.matching import NARROWEST, WIDEST, size
from search.design.definition import COUNTED
from xception.network.config import XceptionConfig

__all__ = ["Bounds", "counted", "narrowed", "solved"]

Bounds = Mapping[str, tuple[float, float]]
_TRIES = 8  # widths tried; each needs a walk over the network
_POWER = 0.53  # the width is about proportional to the square root of the cost
_BELOW, _AIM = 0.97, 0.985  # of a limit: the tolerance, and the target
_AROUND = 0.01  # of the middle of a slice


def counted(network: XceptionConfig, image_size: int) -> dict[str, float]:
    """Return the closed-form costs of a network.

    Raises:
        ValueError: images of that size are too small for it.
    """
    return {"macs": float(size(network, "macs", image_size)), "params": float(size(network, "params", image_size))}


def solved(network: XceptionConfig, limits: Bounds, image_size: int) -> XceptionConfig:
    """Return the network at a width within the counted limits, itself if it is within them.

    Raises:
        ValueError: images of that size are too small for it.
    """
    bounds = {name: limits[name] for name in COUNTED if name in limits}
    known = counted(network, image_size)
    if all(low <= known[name] <= high for name, (low, high) in bounds.items()):
        return network
    for name, (low, high) in bounds.items():
        if low > 0:
            middle = math.sqrt(low * high)
            network = _at_ratio(
                network,
                lambda costs, name=name, middle=middle: costs[name] / middle,  # type: ignore[misc]
                image_size,
                is_limit=False,
            )
    if any(known[name] > high for name, (_, high) in bounds.items()):
        most = {name: high for name, (_, high) in bounds.items()}
        return _at_ratio(
            network, lambda costs: max(costs[name] / most[name] for name in most), image_size, is_limit=True
        )
    return network


def narrowed(network: XceptionConfig, ratio: float) -> XceptionConfig | None:
    """Return the network with its widths times a ratio below 1; None if it cannot be built."""
    width = max(network.width_multiplier * ratio, NARROWEST)
    return _at_width(network, width) if width < network.width_multiplier else None


def _at_ratio(
    network: XceptionConfig, ratio_of: Callable[[dict[str, float]], float], image_size: int, *, is_limit: bool
) -> XceptionConfig:
    """The network at the width where a ratio that increases with it is about 1: just below for a limit.

    The power law of the last width tried gives the next, within the bracket of those tried so far.
    """
    low, high = math.log(NARROWEST), math.log(WIDEST)
    width, ratio = network.width_multiplier, ratio_of(counted(network, image_size))
    best, loss = network, _loss(ratio, is_limit)
    for _ in range(_TRIES):
        if (_BELOW <= ratio <= 1) if is_limit else abs(ratio - 1) <= _AROUND:
            break
        if ratio > 1:
            high = min(high, math.log(width))
        else:
            low = max(low, math.log(width))
        guess = math.log(width) + _POWER * math.log((_AIM if is_limit else 1.0) / ratio)
        width = math.exp(guess if low < guess < high else (low + high) / 2)
        config = _at_width(network, width)
        if config is None:  # too narrow to be built
            low = max(low, math.log(width))
            ratio, width = 1.5, math.exp((low + high) / 2)
            continue
        ratio = ratio_of(counted(config, image_size))
        if _loss(ratio, is_limit) < loss:
            best, loss = config, _loss(ratio, is_limit)
    return best


def _loss(ratio: float, is_limit: bool) -> float:
    return abs(math.log(ratio)) + (1e6 if is_limit and ratio > 1 else 0.0)


def _at_width(network: XceptionConfig, width_multiplier: float) -> XceptionConfig | None:
    try:
        return network.replace(width_multiplier=float(f"{width_multiplier:.4g}"))
    except ValueError:
        return None
