"""The convolution operators of the family, each a function from channels, channels out and stride to a node of the
plan.

Chollet 2017 (arXiv:1610.02357), Figures 1 to 4 and 10. A new operator is one function, listed in `OPERATORS`, and a
kind of `OperatorConfig`.
"""

from __future__ import annotations

from collections.abc import Callable

from xception.network.config import XceptionConfig
from xception.network.config_parts import TOWERS, MaybeActivation
from xception.network.nodes import Activate, Convolution, Named, Node, Norm, Pool, Sequence, Towers

__all__ = ["OPERATORS", "norm_node", "operator"]

Operator = Callable[[XceptionConfig, int, int, int, MaybeActivation], Node]


def operator(
    config: XceptionConfig, channels: int, width: int, stride: int, intermediate: MaybeActivation | None = None
) -> Node:
    """The config's convolution operator from `channels` to `width`."""
    between = config.operator.inner_activation if intermediate is None else intermediate
    return OPERATORS[config.operator.kind](config, channels, width, stride, between)


def _separable(config: XceptionConfig, channels: int, width: int, stride: int, between: MaybeActivation) -> Node:
    inner = channels * config.operator.depth_multiplier
    depthwise = _spatial(config, channels, inner, stride, groups=channels, bias=_biased(config, between))
    return Sequence(
        (("depthwise", depthwise), *_between(config, inner, between), ("pointwise", _pointwise(config, inner, width)))
    )


def _pointwise_depthwise(
    config: XceptionConfig, channels: int, width: int, stride: int, between: MaybeActivation
) -> Node:
    first = _pointwise(config, channels, width, bias=_biased(config, between))
    return Sequence(
        (
            ("pointwise", first),
            *_between(config, width, between),
            ("depthwise", _spatial(config, width, width, stride, width)),
        )
    )


def _segmented(config: XceptionConfig, channels: int, width: int, stride: int, between: MaybeActivation) -> Node:
    first = _pointwise(config, channels, width, bias=_biased(config, between))
    spatial = _spatial(config, width, width, stride, config.operator.segments)
    return Sequence((("pointwise", first), *_between(config, width, between), ("spatial", spatial)))


def _regular(config: XceptionConfig, channels: int, width: int, stride: int, between: MaybeActivation) -> Node:
    return _spatial(config, channels, width, stride)


def _inception(config: XceptionConfig, channels: int, width: int, stride: int, between: MaybeActivation) -> Node:
    one, three, double, pooled = _shares(config, width)
    padding = config.padding if stride > 1 else "symmetric"
    return Towers(
        (
            ("tower0", Sequence((("pointwise", _pointwise(config, channels, one, stride)),))),
            ("tower1", _tower(config, channels, three, stride, between, 1)),
            ("tower2", _tower(config, channels, double, stride, between, 2)),
            (
                "tower3",
                Sequence(
                    (("pool", Pool("average", stride, padding)), ("pointwise", _pointwise(config, channels, pooled)))
                ),
            ),
        )
    )


def _simplified_inception(
    config: XceptionConfig, channels: int, width: int, stride: int, between: MaybeActivation
) -> Node:
    shares = _shares(config, width)
    return Towers(
        tuple((f"tower{i}", _tower(config, channels, share, stride, between, 1)) for i, share in enumerate(shares))
    )


def _tower(
    config: XceptionConfig, channels: int, width: int, stride: int, between: MaybeActivation, num_spatial: int
) -> Sequence:
    """A 1×1 convolution followed by spatial ones, the last with the stride."""
    children: list[Named] = [("pointwise", _pointwise(config, channels, width, bias=_biased(config, between)))]
    for i in range(num_spatial):
        last = i == num_spatial - 1
        children += [(f"{name}{i}", node) for name, node in _between(config, width, between)]
        bias = None if last else _biased(config, between)
        children.append((f"spatial{i}", _spatial(config, width, width, stride if last else 1, bias=bias)))
    return Sequence(tuple(children))


OPERATORS: dict[str, Operator] = {
    "separable": _separable,
    "pointwise_depthwise": _pointwise_depthwise,
    "segmented": _segmented,
    "regular": _regular,
    "inception": _inception,
    "simplified_inception": _simplified_inception,
}


def _shares(config: XceptionConfig, width: int) -> list[int]:
    """Channels of an operator's towers: as even as the channel divisor allows, the first ones larger."""
    count, divisor = TOWERS[config.operator.kind], config.channel_divisor
    units = width // divisor
    return [(units // count + (i < units % count)) * divisor for i in range(count)]


def _biased(config: XceptionConfig, between: MaybeActivation) -> bool:
    """Whether a convolution inside an operator needs a bias: only where no norm does its work and something follows
    it.
    """
    return config.norm.kind == "none" and between != "none"


def _spatial(
    config: XceptionConfig, channels: int, width: int, stride: int, groups: int = 1, bias: bool | None = None
) -> Convolution:
    kernel_size = config.operator.kernel_size
    padding = config.padding if stride > 1 and kernel_size > 1 else "symmetric"
    biased = config.norm.kind == "none" if bias is None else bias
    return Convolution(channels, width, kernel_size, stride, config.operator.dilation, groups, biased, padding)


def _pointwise(
    config: XceptionConfig, channels: int, width: int, stride: int = 1, bias: bool | None = None
) -> Convolution:
    return Convolution(
        channels, width, 1, stride, bias=config.norm.kind == "none" if bias is None else bias, padding="valid"
    )


def _between(config: XceptionConfig, channels: int, activation: MaybeActivation) -> list[Named]:
    """What lies between the convolutions of one operator."""
    own = config.operator.tower_norm
    normed = config.norm.placement == "each_convolution" if own is None else own
    norms: list[Named] = [("inner_norm", norm_node(config, channels))] if normed else []
    return norms if activation == "none" else [*norms, ("inner_activation", Activate(activation))]


def norm_node(config: XceptionConfig, channels: int, zero_init: bool = False) -> Norm:
    """The config's norm over `channels`; `zero_init` says that its scale begins at 0."""
    norm = config.norm
    return Norm(norm.kind, channels, norm.epsilon, norm.momentum, norm.groups, zero_init)
