"""Which operator, and what stands where around it?

Chollet 2017 (arXiv:1610.02357), Figures 1 to 4 (from Inception modules to depthwise separable convolutions) and Figure
10 (nothing between depthwise and pointwise), with kernel size, norm placement, activation and downsampling.

    python -m search --space operators --trials 100
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search.design.space import Choice, Dimension, Space, Value, When, changed
from xception.network.config import XceptionConfig

_INNER = ("separable", "pointwise_depthwise", "segmented")
_TOWERS = ("inception", "simplified_inception")
_KINDS = (*_INNER, "regular", *_TOWERS)
_PLACEMENTS = ("after_convolution", "before_activation", "after_activation", "after_sum")

DIMENSIONS: tuple[Dimension, ...] = (
    Choice(name="operator.kind", options=_KINDS),
    Choice(name="operator.kernel_size", options=(3, 5, 7)),
    Choice(name="operator.depth_multiplier", options=(1, 2), when=(When("operator.kind", ("separable",)),)),
    Choice(name="operator.segments", options=(2, 4, 8), when=(When("operator.kind", ("segmented",)),)),
    Choice(
        name="operator.intermediate_activation",
        options=("none", "relu", "elu"),
        when=(When("operator.kind", _INNER),),
    ),
    # An Inception module has a norm and the network's activation after every convolution, or none inside its towers.
    Choice(name="operator.towers", options=("published", "linear"), when=(When("operator.kind", _TOWERS),)),
    # A regular operator has nothing between convolutions for a norm to follow; towers have a dimension of their own.
    Choice(name="norm.placement", options=(*_PLACEMENTS, "each_convolution"), when=(When("operator.kind", _INNER),)),
    Choice(name="norm.placement.regular", options=_PLACEMENTS, when=(When("operator.kind", ("regular", *_TOWERS)),)),
    Choice(name="activation", options=("relu", "leaky_relu", "elu", "silu", "gelu")),
    Choice(name="downsampling", options=("max_pool", "strided", "average_pool", "anti_aliased")),
)


def operator_changes(values: Mapping[str, Value]) -> dict[str, Any]:
    """Return the fields that the dimensions of this space stand for."""
    operator = {name.partition(".")[2]: value for name, value in values.items() if name.startswith("operator.")}
    if operator.pop("towers", "linear") == "published":
        operator |= {"tower_norm": True, "tower_activation": values["activation"]}
    placement = values.get("norm.placement", values.get("norm.placement.regular"))
    return {
        "operator": operator,
        "norm.placement": placement,
        "activation": values["activation"],
        "downsampling": values["downsampling"],
        "exit.tail_intermediate_activation": None,
    }


def build(base: XceptionConfig, values: Mapping[str, Value]) -> XceptionConfig:
    """Return the network with other operators; the aligned Xceptions' exception for the tail is dropped."""
    return changed(base, operator_changes(values))


SPACE = Space(
    name="operators",
    question="Which operator, and what stands where around it?",
    dimensions=DIMENSIONS,
    build=build,
)
