"""What every part of a network's config shares: kinds of layers, and checks that name the field, the value and what is
allowed.

One rule holds throughout: a field that would have no effect given the others must stay at its default.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from xception.base.canonical import Config, IdleFieldError

__all__ = [
    "MOST",
    "Activation",
    "MaybeActivation",
    "need_at_least",
    "need_positive",
    "need_probability",
    "refuse_idle",
]

Activation = Literal[
    "relu", "relu6", "leaky_relu", "elu", "silu", "gelu", "hard_swish", "mish", "selu", "prelu", "linear"
]
MaybeActivation = Literal[
    "none", "relu", "relu6", "leaky_relu", "elu", "silu", "gelu", "hard_swish", "mish", "selu", "prelu"
]


def refuse_idle(config: Config, names: tuple[str, ...], reason: str) -> None:
    """Raise IdleFieldError for the first named field that is not at its default."""
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value: Any = getattr(config, field.name)
        if field.name in names and value != field.default:
            raise IdleFieldError(
                f"{type(config).__name__}.{field.name}: {value!r} has no effect {reason}; leave it at"
                f" {field.default!r}",
                path=field.name,
                value=field.default,
            )


# A wider layer fits on no machine, and counting a network of more layers takes minutes.
MOST = 2**20
_MOST_LAYERS = {"modules": 1000, "convolutions": 100}


def need_at_least(config: Config, name: str, least: int) -> None:
    value, most = getattr(config, name), _MOST_LAYERS.get(name, MOST)
    if not least <= value <= most:
        raise ValueError(f"{type(config).__name__}.{name}: {value!r} is not allowed; at least {least}, at most {most}")


def need_positive(config: Config, name: str) -> None:
    values = getattr(config, name)
    if not 1 <= min(values, default=1) <= max(values, default=1) <= MOST:
        raise ValueError(f"{type(config).__name__}.{name}: {values!r} is not allowed; each at least 1, at most {MOST}")


def need_probability(config: Config, name: str) -> None:
    """Raise ValueError where a probability is not at least 0 and below 1."""
    if not 0 <= getattr(config, name) < 1:
        raise ValueError(
            f"{type(config).__name__}.{name}: {getattr(config, name)!r} is not allowed; at least 0 and below 1"
        )
