"""Predicted classes of several seeds on the same examples: accuracy by class, confusion, agreement, changed examples.

Accuracy by class is recall: the share of the examples of a class that are predicted correctly. Agreement is the share
of examples that two networks give the same class, right or wrong; between two architectures it is informative only
relative to the agreement between two seeds of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ablations.statistics.paired import Array

__all__ = [
    "Agreement",
    "ChangedExamples",
    "agreement",
    "changed_examples",
    "class_accuracy",
    "confusion_shares",
]

Classes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Shares of examples with the same predicted class, means over pairs of networks; NaN where there is no such pair.

    `same_seed` and `other_seed` are between a variant and its baseline, `variant_seeds` and `baseline_seeds` between
    two seeds of one of them.
    """

    same_seed: float
    other_seed: float
    variant_seeds: float
    baseline_seeds: float


@dataclass(frozen=True, kw_only=True)
class ChangedExamples:
    """The number of seeds in which each example (examples,) is right only with the variant or only the baseline."""

    only_variant: NDArray[np.int64]
    only_baseline: NDArray[np.int64]


def class_accuracy(predicted: Classes, labels: Classes, num_classes: int) -> Array:
    """Return the accuracy of (seeds, examples) in each class, (num_classes, seeds); NaN where no example has it."""
    sizes = np.bincount(labels, minlength=num_classes).astype(np.float64)
    right = np.array([np.bincount(labels[row == labels], minlength=num_classes) for row in predicted], dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(right.T / np.where(sizes > 0, sizes, np.nan)[:, np.newaxis])


def confusion_shares(predicted: Classes, labels: Classes, num_classes: int) -> Array:
    """Return the shares of each true class (rows) that are predicted as each class (columns), means over seeds
    (seeds, examples); a row is NaN where no example has its class.
    """
    cells = (labels * num_classes + predicted).ravel()
    counts = np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes).astype(np.float64)
    sizes = counts.sum(axis=1, keepdims=True)
    return np.asarray(counts / np.where(sizes > 0, sizes, np.nan))


def agreement(variant: Classes, baseline: Classes) -> Agreement:
    """Return the agreement of predictions (seeds, examples), those of row i of both being of the same seed."""
    seeds = range(len(variant))
    return Agreement(
        same_seed=_mean_share([(variant[i], baseline[i]) for i in seeds]),
        other_seed=_mean_share([(variant[i], baseline[j]) for i in seeds for j in seeds if i != j]),
        variant_seeds=_mean_share(list(combinations(variant, 2))),
        baseline_seeds=_mean_share(list(combinations(baseline, 2))),
    )


def changed_examples(variant: NDArray[np.bool_], baseline: NDArray[np.bool_]) -> ChangedExamples:
    """Return which examples one of two (seeds, examples) of correctness gets right and the other wrong."""
    return ChangedExamples(
        only_variant=(variant & ~baseline).sum(axis=0), only_baseline=(baseline & ~variant).sum(axis=0)
    )


def _mean_share(pairs: list[tuple[Classes, Classes]]) -> float:
    return float(np.mean([(a == b).mean() for a, b in pairs])) if pairs else float("nan")
