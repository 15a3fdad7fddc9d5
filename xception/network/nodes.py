"""What a plan is made of: layers, and three ways to join them (`Sequence`, `Towers`, `Residual`)."""

from __future__ import annotations

import dataclasses

__all__ = [
    "Activate",
    "AntiAliasedPool",
    "Convolution",
    "Dropout",
    "FixedMap",
    "Flatten",
    "GlobalPool",
    "Layer",
    "Linear",
    "Named",
    "Node",
    "Norm",
    "Pool",
    "Residual",
    "Sequence",
    "Towers",
]


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A square convolution; `padding` is `symmetric`, `same` or `valid`."""

    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    bias: bool = False
    padding: str = "symmetric"


@dataclasses.dataclass(frozen=True)
class Norm:
    """A normalisation over channels."""

    kind: str
    channels: int
    epsilon: float
    momentum: float
    groups: int
    zero_init: bool = False


@dataclasses.dataclass(frozen=True)
class Activate:
    """An activation; in place where its input is needed by nothing else."""

    kind: str
    in_place: bool = False


@dataclasses.dataclass(frozen=True)
class Pool:
    """A 3×3 pooling, `max` or `average`; the average leaves padding out."""

    kind: str
    stride: int
    padding: str


@dataclasses.dataclass(frozen=True)
class AntiAliasedPool:
    """A 3×3 maximum of stride 1, then a fixed binomial blur of stride 2 (Zhang 2019, arXiv:1904.11486)."""

    channels: int
    padding: str


@dataclasses.dataclass(frozen=True)
class GlobalPool:
    """Pooling of the whole map, `average` or `max`, to (N, C)."""

    kind: str


@dataclasses.dataclass(frozen=True)
class FixedMap:
    """Lets maps of one size pass, in pixels of their side, and refuses others."""

    size: int
    input_size: int


@dataclasses.dataclass(frozen=True)
class Flatten:
    """(N, C, H, W) to (N, C·H·W)."""


@dataclasses.dataclass(frozen=True)
class Dropout:
    """Sets values to zero with a probability while training."""

    probability: float


@dataclasses.dataclass(frozen=True)
class Linear:
    """A fully connected layer with bias."""

    in_features: int
    out_features: int


@dataclasses.dataclass(frozen=True)
class Sequence:
    """Named children, one after the other; the identity where there are none."""

    children: tuple[tuple[str, Node], ...]

    def at(self, name: str) -> Sequence:
        """The child of that name, itself a sequence."""
        child = dict(self.children)[name]
        assert isinstance(child, Sequence)
        return child


@dataclasses.dataclass(frozen=True)
class Towers:
    """Named children side by side, their outputs joined along the channels."""

    children: tuple[tuple[str, Node], ...]


@dataclasses.dataclass(frozen=True)
class Residual:
    """A branch and its shortcut (None is the identity), added, then perhaps normalised; `drop_path` is a
    probability.
    """

    branch: Sequence
    shortcut: Sequence | None
    drop_path: float
    norm: Norm | None


Layer = Convolution | Norm | Activate | Pool | AntiAliasedPool | GlobalPool | FixedMap | Flatten | Dropout | Linear
Node = Layer | Sequence | Towers | Residual
Named = tuple[str, Node]
