"""The nodes of a network graph: layers, and the ways to join them.

`Sequence` puts nodes one after the other, `Towers` side by side, `Slices` side by side on slices of the channels;
`Residual` adds a shortcut, `Gate` multiplies by one.
"""

from __future__ import annotations

import dataclasses
import math

__all__ = [
    "Activate",
    "AntiAliasedPool",
    "ChannelConvolution",
    "ChannelScale",
    "Convolution",
    "Dropout",
    "FixedMap",
    "Flatten",
    "Gate",
    "GlobalPool",
    "Layer",
    "Linear",
    "Named",
    "Node",
    "Norm",
    "Pool",
    "Residual",
    "Sequence",
    "Slices",
    "Squeeze",
    "Towers",
    "spatial_size",
]


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A convolution, square unless `kernel_width` is given; `padding` is `symmetric`, `same` or `valid`."""

    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    bias: bool = False
    padding: str = "symmetric"
    kernel_width: int | None = None

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width of the kernel, in pixels."""
        return self.kernel_size, self.kernel_size if self.kernel_width is None else self.kernel_width


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
    """A square pooling, `max` or `average`; the average leaves padding out."""

    kind: str
    stride: int
    padding: str
    kernel_size: int = 3


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
class Squeeze:
    """The average of each channel, (N, C, H, W) to (N, C, 1, 1)."""


@dataclasses.dataclass(frozen=True)
class ChannelConvolution:
    """One kernel convolved along the channels of a map (N, C, 1, 1), without bias (Wang et al. 2020,
    arXiv:1910.03151).
    """

    kernel_size: int


@dataclasses.dataclass(frozen=True)
class ChannelScale:
    """A learned factor per channel that begins at `initial` (LayerScale, Touvron et al. 2021, arXiv:2103.17239)."""

    channels: int
    initial: float


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
class Slices:
    """Named children side by side, each on the next `sizes[i]` channels, their outputs joined along the channels."""

    children: tuple[tuple[str, Node], ...]
    sizes: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Gate:
    """The input times what the children make of it, a factor per channel."""

    gate: Sequence


@dataclasses.dataclass(frozen=True)
class Residual:
    """A branch and its shortcut (None is the identity), added, then optionally normalised; `drop_path` is a
    probability. `before` feeds both.
    """

    branch: Sequence
    shortcut: Sequence | None
    drop_path: float
    norm: Norm | None
    before: Sequence | None = None


Layer = (
    Convolution
    | Norm
    | Activate
    | Pool
    | AntiAliasedPool
    | GlobalPool
    | Squeeze
    | ChannelConvolution
    | ChannelScale
    | FixedMap
    | Flatten
    | Dropout
    | Linear
)
Node = Layer | Sequence | Towers | Slices | Gate | Residual
Named = tuple[str, Node]


def spatial_size(size: int, kernel_size: int, stride: int = 1, dilation: int = 1, padding: str = "symmetric") -> int:
    """The side of a map after a convolution or pooling, in pixels; `same` and `symmetric` give ⌈size / stride⌉."""
    if padding == "valid":
        return (size - dilation * (kernel_size - 1) - 1) // stride + 1
    return math.ceil(size / stride)
