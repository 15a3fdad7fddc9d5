"""Can small runs decide? The share of pairs of variants whose order at a smaller budget is that at the largest.

The term is that of Magnusson et al. 2025 (*DataDecide*, arXiv:2504.11393), on proxies for choosing pre-training data.
Here the unit is one pair of variants and one seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ablations.statistics.paired import Array

__all__ = ["DecisionAccuracy", "decision_accuracy"]

RESAMPLES = 2_000


@dataclass(frozen=True, kw_only=True)
class DecisionAccuracy:
    """Decision accuracy of each budget, shape (B,), the last being the largest; `low` and `high` bound it at 95 %.

    `gap` is the budget's decision accuracy minus that of one seed at the largest budget, with its own interval.
    `num_decisions` counts pairs × seeds.
    """

    accuracy: Array
    low: Array
    high: Array
    gap: Array
    gap_low: Array
    gap_high: Array
    num_decisions: int


def decision_accuracy(scores: ArrayLike, *, generator: np.random.Generator) -> DecisionAccuracy:
    """Return how often one seed at a budget orders two variants in the same way as the largest budget.

    `scores` has shape (B, V, n): budgets in increasing order, variants (the baseline among them), seeds. For seed i the
    truth is the order of the two means over all other seeds at the largest budget, so that the largest budget is judged
    by the same rule as the others. A tie counts one half. Intervals are percentiles of a bootstrap that draws seeds and
    pairs of variants.

    Raises:
        ValueError: fewer than two variants or fewer than three seeds, or a score is missing.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 3 or values.shape[1] < 2 or values.shape[2] < 3:
        raise ValueError(f"scores: shape {values.shape}; (budgets, 2 variants or more, 3 seeds or more) are needed")
    if np.isnan(values).any():
        raise ValueError("scores: every variant needs a score for every seed at every budget")
    num_seeds = values.shape[2]
    first, second = np.triu_indices(values.shape[1], 1)
    gaps = values[:, first] - values[:, second]  # (B, P, n)
    others = (gaps[-1].sum(axis=-1, keepdims=True) - gaps[-1]) / (num_seeds - 1)
    agreement = (np.sign(gaps) * np.sign(others) + 1) / 2
    pairs, seeds = agreement.shape[1:]
    drawn_pairs = generator.integers(0, pairs, (RESAMPLES, pairs))
    drawn_seeds = generator.integers(0, seeds, (RESAMPLES, seeds))
    samples = np.stack(
        [agreement[:, p][:, :, s].mean(axis=(1, 2)) for p, s in zip(drawn_pairs, drawn_seeds, strict=True)]
    )
    relative = samples - samples[:, -1:]
    accuracy = agreement.mean(axis=(1, 2))
    low, high = np.quantile(samples, (0.025, 0.975), axis=0)
    gap_low, gap_high = np.quantile(relative, (0.025, 0.975), axis=0)
    return DecisionAccuracy(
        accuracy=accuracy,
        low=low,
        high=high,
        gap=accuracy - accuracy[-1],
        gap_low=gap_low,
        gap_high=gap_high,
        num_decisions=pairs * seeds,
    )
