"""Which network of the whole family at the parameters of the initial network of the search?

A network that is not within 5 % of that size at any width is replaced by a neighbour. Design spaces are compared at
equal size as in Radosavovic et al. 2020 (arXiv:2003.13678).

    python -m search --space family_at_params --trials 100
"""

from __future__ import annotations

from search.spaces.family import at_equal

SPACE = at_equal("params", "parameters")
