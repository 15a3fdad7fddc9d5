"""Factorial designs: main effects and interactions as per-seed contrasts.

Each effect is one number per seed, so the paired t machinery applies unchanged and no variance is pooled across cells.
A main effect is the change when a factor moves from its reference level to another, averaged over the levels of all
other factors; an interaction of two is by how much that change differs when the second factor moves too (a difference
of differences), again averaged.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ablations.statistics.paired import Array

__all__ = ["Contrast", "contrasts", "per_seed"]


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """One effect: the factors that move, each from its reference to a level, and the weight (cells,) of every cell in
    it.
    """

    factors: tuple[str, ...]
    levels: tuple[Any, ...]
    weights: tuple[float, ...]

    @property
    def name(self) -> str:
        """The effect as it is shown: `residual=none × norm=pre`."""
        return " × ".join(f"{factor}={level}" for factor, level in zip(self.factors, self.levels, strict=True))


def contrasts(cells: Sequence[Mapping[str, Any]], reference: Mapping[str, Any], order: int = 2) -> tuple[Contrast, ...]:
    """Return the contrasts of a full factorial up to interactions of `order` factors, main effects first.

    `cells` are the factor levels of each cell and `reference` those of the baseline.

    Raises:
        ValueError: the cells are not each combination of the levels once, or the reference is not one of them.
    """
    factors = tuple(reference)
    if not factors:
        raise ValueError("reference: no factors are not allowed; at least one")
    for cell in (*cells, reference):
        if set(cell) != set(factors):
            raise ValueError(
                f"cells: factors {', '.join(sorted(cell)) or 'none'} are not allowed; {', '.join(sorted(factors))}"
            )
    levels = {factor: list(dict.fromkeys(cell[factor] for cell in cells)) for factor in factors}
    have = [tuple(cell[factor] for factor in factors) for cell in cells]
    want = list(itertools.product(*(levels[factor] for factor in factors)))
    wrong = [combination for combination in want if have.count(combination) != 1]
    if wrong:
        shown = ", ".join(f"{factor}={level}" for factor, level in zip(factors, wrong[0], strict=True))
        raise ValueError(
            f"cells: {have.count(wrong[0])} cells with {shown} are not allowed; exactly one of each combination"
        )
    if tuple(reference[factor] for factor in factors) not in have:
        raise ValueError(f"reference: {dict(reference)!r} is not allowed; one of the cells")

    found = []
    for size in range(1, min(order, len(factors)) + 1):
        for moving in itertools.combinations(factors, size):
            others = [len(levels[factor]) for factor in factors if factor not in moving]
            for target in itertools.product(*([level for level in levels[f] if level != reference[f]] for f in moving)):
                weights = tuple(
                    _weight(cell, moving, target, reference) / np.prod(others, dtype=float) for cell in cells
                )
                found.append(Contrast(factors=moving, levels=target, weights=tuple(map(float, weights))))
    return tuple(found)


def per_seed(contrast: Contrast, values: ArrayLike) -> Array:
    """Return the contrast in each seed (n,) from the cells' values (cells, n); NaN where a cell it needs is missing."""
    y, weights = np.asarray(values, dtype=np.float64), np.asarray(contrast.weights)
    used = weights != 0
    return np.asarray(weights[used] @ y[used])


def _weight(cell: Mapping[str, Any], moving: Sequence[str], target: Sequence[Any], reference: Mapping[str, Any]) -> int:
    weight = 1
    for factor, level in zip(moving, target, strict=True):
        weight *= 1 if cell[factor] == level else -1 if cell[factor] == reference[factor] else 0
    return weight
