"""Which network of the whole family: depth, width, operators, shortcuts, norms and activations together?

The union of the other spaces with the kinds of shortcuts (Chollet 2017, arXiv:1610.02357, Figure 9, has those of the
paper and none), stochastic depth, and one width for the whole network.

    python -m search --space family --trials 200 --objectives val_accuracy,macs --sampler nsga2
"""

from __future__ import annotations

from collections.abc import Mapping

from search.design.space import Choice, Dimension, Integer, Real, Space, Value, When, changed, scaled_widths
from search.spaces.operators import DIMENSIONS as OPERATORS
from search.spaces.operators import operator_changes
from xception.network.config import XceptionConfig
from xception.network.operators import OPERATORS as KINDS

_HAS_MODULES = (When("middle.modules", tuple(range(1, 13))),)
_NO_MODULES = (When("middle.modules", (0,)),)
_WITH_TOWERS = tuple(kind for kind, operator in KINDS.items() if operator.towers > 1)
_WITHOUT_TOWERS = tuple(kind for kind in KINDS if kind not in _WITH_TOWERS)


def _operators() -> tuple[Dimension, ...]:
    """The operators' dimensions without `after_sum`, which needs shortcuts."""
    out: list[Dimension] = []
    for dimension in OPERATORS:
        if isinstance(dimension, Choice) and dimension.name.startswith("norm.placement"):
            options = tuple(option for option in dimension.options if option != "after_sum")
            out.append(Choice(name=dimension.name, options=options, when=dimension.when))
        else:
            out.append(dimension)
    return tuple(out)


DIMENSIONS: tuple[Dimension, ...] = (
    Real(name="width", low=0.5, high=2.0, log=True),
    Integer(name="entry.convolutions", low=1, high=3),
    Integer(name="middle.modules", low=0, high=12),
    Integer(name="middle.convolutions", low=1, high=4, when=_HAS_MODULES),
    Choice(name="exit.tail", options=(True, False)),
    Choice(name="residual.kind", options=("projection", "identity", "none"), when=_HAS_MODULES),
    # If every module changes the shape, there are no shortcuts without projection.
    Choice(name="residual.kind.without_middle", options=("projection", "none"), when=_NO_MODULES),
    Choice(
        name="residual.stochastic_depth",
        options=(0.0, 0.1, 0.2),
        when=(When("residual.kind", ("projection", "identity")),),
    ),
    *_operators(),
    # Each tower of an Inception module is normalised separately, and narrow ones have too few channels for groups.
    Choice(name="norm.kind", options=("batch", "group", "layer"), when=(When("operator.kind", _WITHOUT_TOWERS),)),
    Choice(name="norm.kind.towers", options=("batch", "layer"), when=(When("operator.kind", _WITH_TOWERS),)),
)


def build(base: XceptionConfig, values: Mapping[str, Value]) -> XceptionConfig:
    """Return the network for the values; widths stay multiples of 8, which the groups and segments divide."""
    changes = operator_changes(values) | scaled_widths(base, float(values["width"]))
    if base.entry is not None:
        changes["entry.convolutions"] = values["entry.convolutions"]
    if base.exit is not None and not values["exit.tail"]:
        changes["exit.tail_widths"] = ()
    modules = values["middle.modules"]
    changes["middle"] = (
        {"modules": modules, "convolutions": values["middle.convolutions"]} if modules else {"modules": 0}
    )
    changes["residual"] = {
        "kind": values.get("residual.kind", values.get("residual.kind.without_middle")),
        "stochastic_depth": values.get("residual.stochastic_depth", 0.0),
    }
    kind = values.get("norm.kind", values.get("norm.kind.towers"))
    changes["norm"] = {"kind": kind, "placement": changes.pop("norm.placement")}
    if kind == "batch":
        changes["norm"] |= {"epsilon": base.norm.epsilon, "momentum": base.norm.momentum}
    return changed(base, changes)


def build_at_own_widths(base: XceptionConfig, values: Mapping[str, Value]) -> XceptionConfig:
    """Return the network for the values at the widths of the initial network of the search."""
    return build(base, {**values, "width": 1.0})


def at_equal(cost: str, words: str) -> Space:
    """Return the slice of the family at the `cost` (`macs` or `params`) of the initial network, within 5 %.

    Every suggestion is adjusted to that size by its width, so the width is not a dimension.
    """
    return Space(
        name=f"family_at_{cost}",
        question=f"Which network of the whole family at the {words} of the one that the search begins with?",
        dimensions=tuple(dimension for dimension in DIMENSIONS if dimension.name != "width"),
        build=build_at_own_widths,
        limits={cost: (0.95, 1.05)},
        version=2,
    )


SPACE = Space(
    name="family",
    question="Which network of the whole family: depth, width, operators, shortcuts, norms and activations together?",
    dimensions=DIMENSIONS,
    build=build,
)
