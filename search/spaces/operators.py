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
from xception.network.operators import OPERATORS

_PLACEMENTS = ("after_convolution", "before_activation", "after_activation", "after_sum")


def _reading(field: str) -> tuple[When, ...]:
    """The condition that the chosen operator is affected by a field."""
    return (When("operator.kind", tuple(kind for kind, operator in OPERATORS.items() if field in operator.reads)),)


_TOWERS = tuple(kind for kind, operator in OPERATORS.items() if operator.towers > 1)
_INNER = tuple(kind for kind, operator in OPERATORS.items() if operator.between and kind not in _TOWERS)
_OTHERS = tuple(kind for kind in OPERATORS if kind not in _INNER)

DIMENSIONS: tuple[Dimension, ...] = (
    Choice(name="operator.kind", options=tuple(OPERATORS)),
    Choice(name="operator.kernel_size", options=(3, 5, 7), when=_reading("kernel_size")),
    Choice(name="operator.depth_multiplier", options=(1, 2), when=_reading("depth_multiplier")),
    Choice(name="operator.segments", options=(2, 4, 8), when=_reading("segments")),
    Choice(name="operator.expansion", options=(2, 4), when=_reading("expansion")),
    Choice(name="operator.asymmetric", options=(False, True), when=_reading("asymmetric")),
    Choice(
        name="operator.intermediate_activation",
        options=("none", "relu", "elu"),
        when=(When("operator.kind", _INNER),),
    ),
    # An Inception module has a norm and the network's activation after every convolution, or none inside its towers.
    Choice(name="operator.towers", options=("published", "linear"), when=(When("operator.kind", _TOWERS),)),
    # Without an activation of the config's choice between convolutions there is no norm either; towers have their own
    # dimension.
    Choice(name="norm.placement", options=(*_PLACEMENTS, "each_convolution"), when=(When("operator.kind", _INNER),)),
    Choice(name="norm.placement.regular", options=_PLACEMENTS, when=(When("operator.kind", _OTHERS),)),
    Choice(name="attention.kind", options=("none", "se", "eca")),
    Choice(name="activation", options=("relu", "leaky_relu", "elu", "silu", "gelu")),
    Choice(name="downsampling", options=("max_pool", "strided", "average_pool", "anti_aliased")),
)


def operator_changes(values: Mapping[str, Value]) -> dict[str, Any]:
    """Return the config fields of this space's dimensions."""
    operator = {name.partition(".")[2]: value for name, value in values.items() if name.startswith("operator.")}
    if operator.pop("towers", "linear") == "published":
        operator |= {"tower_norm": True, "tower_activation": values["activation"]}
    placement = values.get("norm.placement", values.get("norm.placement.regular"))
    return {
        "operator": operator,
        "norm.placement": placement,
        "attention.kind": values["attention.kind"],
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
