"""Which network of the whole family at the parameters of the one that the search begins with?

A slice of `family`: suggestions beyond 5 % of that size are rejected by closed forms, before anything is built, as
design spaces are sampled in Radosavovic et al. 2020 (arXiv:2003.13678).

    python -m search --space family_at_params --trials 100
"""

from __future__ import annotations

from search.design.space import Space
from search.spaces.family import DIMENSIONS, build

SPACE = Space(
    name="family_at_params",
    question="Which network of the whole family at the parameters of the one that the search begins with?",
    dimensions=DIMENSIONS,
    build=build,
    limits={"params": (0.95, 1.05)},
)
