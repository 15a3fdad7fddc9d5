"""The convolution operators of the family: each is one function, with the config fields that it reads.

Chollet 2017 (arXiv:1610.02357), Figures 1 to 4 and 10; inverted bottlenecks follow Sandler et al. 2018
(arXiv:1801.04381), mixed kernels Tan and Le 2019 (arXiv:1907.09595), asymmetric kernels Szegedy et al. 2016
(arXiv:1512.00567, section 3.2). A function decorated with `operator` is a kind of `OperatorConfig`; its counts, its
stacking and its place in the search space follow from the nodes that it returns and from the decorator's arguments.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from xception.network.nodes import (
    Activate,
    Convolution,
    Named,
    Node,
    Norm,
    Pool,
    Sequence,
    Slices,
    Towers,
)

__all__ = ["OPERATORS", "Operator", "Surroundings", "operator"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What an operator is built from: its own settings and those of the network around it.

    `between` is the activation between the convolutions of the operator or "none", `normed_between` adds a norm there.
    `norm` is the network's norm, over any number of channels, or None. `divisor` divides the channels of every tower.
    """

    kernel_size: int = 3
    dilation: int = 1
    depth_multiplier: int = 1
    segments: int = 1
    expansion: int = 4
    mixed_kernels: tuple[int, ...] = (3, 5, 7)
    asymmetric: bool = False
    between: str = "none"
    normed_between: bool = False
    activation: str = "relu"
    norm: Norm | None = None
    padding: str = "symmetric"
    divisor: int = 1


Build = Callable[[Surroundings, int, int, int], Node]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operator:
    """An operator: its function from surroundings, channels, channels out and stride to a node of the graph.

    `reads` are the fields of `OperatorConfig` that have an effect on it, beyond those that affect every operator. It
    splits its output into `towers` of channels. `between`: the config may place layers between its convolutions;
    `activates`: it contains the network's activation; `pools`: it has a padded layer whatever its kernel.
    """

    build: Build
    reads: frozenset[str]
    towers: int
    between: bool
    activates: bool
    pools: bool


OPERATORS: dict[str, Operator] = {}


def operator(
    *reads: str, towers: int = 1, between: bool = True, activates: bool = False, pools: bool = False
) -> Callable[[Build], Build]:
    """List a function as the operator of its name."""

    def add(build: Build) -> Build:
        OPERATORS[build.__name__] = Operator(
            build=build, reads=frozenset(reads), towers=towers, between=between, activates=activates, pools=pools
        )
        return build

    return add


@operator("kernel_size", "dilation", "asymmetric", "depth_multiplier", "intermediate_activation")
def separable(s: Surroundings, channels: int, width: int, stride: int) -> Node:
    """Depthwise, then pointwise: the paper's."""
    inner = channels * s.depth_multiplier
    depthwise = _spatial(s, channels, inner, stride, groups=channels, bias=_biased(s))
    return Sequence((("depthwise", depthwise), *_between(s, inner), ("pointwise", _pointwise(s, inner, width))))


@operator("kernel_size", "dilation", "asymmetric", "intermediate_activation")
def pointwise_depthwise(s: Surroundings, channels: int, width: int, stride: int) -> Node:
    """Pointwise, then depthwise: the order within an Inception module, the extreme of Figure 4."""
    first = _pointwise(s, channels, width, bias=_biased(s))
    return Sequence(
        (("pointwise", first), *_between(s, width), ("depthwise", _spatial(s, width, width, stride, width)))
    )


@operator("kernel_size", "dilation", "asymmetric", "segments", "intermediate_activation")
def segmented(s: Surroundings, channels: int, width: int, stride: int) -> Node:
    """A 1×1 convolution, then spatial convolutions over equal segments of the channels (Figure 3)."""
    first = _pointwise(s, channels, width, bias=_biased(s))
    return Sequence(
        (("pointwise", first), *_between(s, width), ("spatial", _spatial(s, width, width, stride, s.segments)))
    )


@operator("kernel_size", "dilation", "asymmetric", between=False)
def regular(s: Surroundings, channels: int, width: int, stride: int) -> Node:
    """One spatial convolution over all channels."""
    return _spatial(s, channels, width, stride)


@operator(
    *("kernel_size", "dilation", "asymmetric", "intermediate_activation", "tower_activation", "tower_norm"),
    towers=4,
    pools=True,
)
def inception(s: Surroundings, channels: int, width: int, stride: int) -> Node:
    """Towers 1×1, 1×1→k×k, 1×1→k×k→k×k and average pool→1×1, a quarter of the channels each (Figure 1)."""
    one, three, double, pooled = _shares(width, 4, s.divisor)
    padding = s.padding if stride > 1 else "symmetric"
    last = (("pool", Pool("average", stride, padding)), ("pointwise", _pointwise(s, channels, pooled)))
    return Towers(
        (
            ("tower0", Sequence((("pointwise", _pointwise(s, channels, one, stride)),))),
            ("tower1", _tower(s, channels, three, stride, 1)),
            ("tower2", _tower(s, channels, double, stride, 2)),
            ("tower3", Sequence(last)),
        )
    )


@operator(
    *("kernel_size", "dilation", "asymmetric", "intermediate_activation", "tower_activation", "tower_norm"), towers=3
)
def simplified_inception(s: Surroundings, channels: int, width: int, stride: int) -> Node:
    """Three towers 1×1→k×k, a third of the channels each (Figure 2)."""
    shares = _shares(width, 3, s.divisor)
    return Towers(tuple((f"tower{i}", _tower(s, channels, share, stride, 1)) for i, share in enumerate(shares)))


@operator("kernel_size", "dilation", "asymmetric", "expansion", between=False, activates=True)
def inverted_bottleneck(s: Surroundings, channels: int, width: int, stride: int) -> Node:
    """A 1×1 convolution to `expansion` times the channels, depthwise, and a linear 1×1 convolution: MobileNetV2's.

    The network's norm and activation follow the first two.
    """
    wide = channels * s.expansion
    followed = dataclasses.replace(s, between=s.activation, normed_between=True)
    return Sequence(
        (
            ("expand", _pointwise(s, channels, wide, bias=_biased(followed))),
            *((f"expand_{name}", node) for name, node in _between(followed, wide)),
            ("depthwise", _spatial(s, wide, wide, stride, groups=wide, bias=_biased(followed))),
            *_between(followed, wide),
            ("pointwise", _pointwise(s, wide, width)),
        )
    )


@operator("dilation", "mixed_kernels", "intermediate_activation", pools=True)
def mixed_separable(s: Surroundings, channels: int, width: int, stride: int) -> Node:
    """Depthwise with kernels of several sizes, each on an equal share of the channels, then pointwise (MixConv)."""
    sizes = _shares(channels, len(s.mixed_kernels), 1)
    parts = tuple(
        (
            f"kernel{kernel_size}",
            _spatial(dataclasses.replace(s, kernel_size=kernel_size), size, size, stride, groups=size, bias=_biased(s)),
        )
        for kernel_size, size in zip(s.mixed_kernels, sizes, strict=True)
    )
    depthwise = Slices(parts, tuple(sizes))
    return Sequence((("depthwise", depthwise), *_between(s, channels), ("pointwise", _pointwise(s, channels, width))))


def _tower(s: Surroundings, channels: int, width: int, stride: int, num_spatial: int) -> Sequence:
    """A 1×1 convolution followed by spatial ones, the last with the stride."""
    children: list[Named] = [("pointwise", _pointwise(s, channels, width, bias=_biased(s)))]
    for i in range(num_spatial):
        last = i == num_spatial - 1
        children += [(f"{name}{i}", node) for name, node in _between(s, width)]
        bias = None if last else _biased(s)
        children.append((f"spatial{i}", _spatial(s, width, width, stride if last else 1, bias=bias)))
    return Sequence(tuple(children))


def _shares(width: int, count: int, divisor: int) -> list[int]:
    """Channels of an operator's towers: as even as the divisor allows, the first ones larger."""
    units = width // divisor
    return [(units // count + (i < units % count)) * divisor for i in range(count)]


def _biased(s: Surroundings) -> bool:
    """Whether a convolution inside an operator needs a bias: where no norm has one and an activation follows."""
    return s.norm is None and s.between != "none"


def _spatial(
    s: Surroundings, channels: int, width: int, stride: int, groups: int = 1, bias: bool | None = None
) -> Node:
    """A spatial convolution; an asymmetric one is 1×k, then k×1 with the stride."""
    padding = s.padding if stride > 1 and s.kernel_size > 1 else "symmetric"
    biased = s.norm is None if bias is None else bias
    if not s.asymmetric:
        return Convolution(channels, width, s.kernel_size, stride, s.dilation, groups, biased, padding)
    row = Convolution(channels, width, 1, 1, s.dilation, groups, kernel_width=s.kernel_size)
    column = Convolution(width, width, s.kernel_size, stride, s.dilation, groups, biased, padding, kernel_width=1)
    return Sequence((("row", row), ("column", column)))


def _pointwise(s: Surroundings, channels: int, width: int, stride: int = 1, bias: bool | None = None) -> Convolution:
    return Convolution(channels, width, 1, stride, bias=s.norm is None if bias is None else bias, padding="valid")


def _between(s: Surroundings, channels: int) -> list[Named]:
    """The layers between the convolutions of one operator."""
    norms: list[Named] = []
    if s.normed_between and s.norm is not None:
        norms.append(("inner_norm", dataclasses.replace(s.norm, channels=channels)))
    return norms if s.between == "none" else [*norms, ("inner_activation", Activate(s.between))]
