"""Orders drawn from a seed, the same in every version of numpy and torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["drawn_order"]


def drawn_order(num: int, seed: int, purpose: int = 0) -> NDArray[np.int64]:
    """Return 0 … num−1 in an order drawn from a seed.

    The order is that of the raw 64-bit stream of PCG64, which numpy guarantees, where `Generator.permutation` may
    change.
    """
    return np.argsort(np.random.PCG64([seed, purpose]).random_raw(num), kind="stable")
