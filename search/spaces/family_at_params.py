"""Which network of the whole family at the parameters of the one that the search begins with?

A slice of `family`: every suggestion is brought to that size by its width, so the width is no dimension here. A network
that no width brings within 5 % is replaced by a neighbour. Design spaces are compared at equal size as in Radosavovic
et al. 2020 (arXiv:2003.13678).

    python -m search --space family_at_params --trials 100
"""

from __future__ import annotations

from collections.abc import Mapping

from search.design.space import Space, Value
from search.spaces import family
from xception.network.config import XceptionConfig


def build(base: XceptionConfig, values: Mapping[str, Value]) -> XceptionConfig:
    """Return the network for the values at the widths of the one that the search begins with."""
    return family.build(base, {**values, "width": 1.0})


SPACE = Space(
    name="family_at_params",
    question="Which network of the whole family at the parameters of the one that the search begins with?",
    dimensions=tuple(dimension for dimension in family.DIMENSIONS if dimension.name != "width"),
    build=build,
    limits={"params": (0.95, 1.05)},
    version=2,
)
