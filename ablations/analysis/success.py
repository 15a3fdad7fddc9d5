"""Success rates of training, with an interval: shares of runs that neither diverge nor collapse.

A run has collapsed where its final validation accuracy is not above chance: at or below the 99 % quantile of the number
of images that random guessing classifies correctly (binomial).
"""

from __future__ import annotations

import math
from typing import Any

from scipy import stats

from ablations.analysis.measurements import Measurements
from ablations.records.record import chance_accuracy

__all__ = ["has_collapsed", "success"]

LEVEL = 0.99


def has_collapsed(row: dict[str, Any]) -> bool:
    """Return whether a completed trial's validation accuracy is within what guessing reaches; False where unknown."""
    accuracy, images, classes = (_number(row.get(name)) for name in ("val_accuracy", "num_val", "num_classes"))
    if row["status"] != "complete" or math.isnan(accuracy + images + classes) or classes < 2:
        return False
    return bool(accuracy * images <= stats.binom.ppf(LEVEL, round(images), chance_accuracy(classes)) + 1e-9)


def success(measured: Measurements, variant: str) -> dict[str, Any]:
    """Return `num_collapsed`, `success_rate` and its 95 % Clopper–Pearson interval, among the trials that have ended.

    A success has neither diverged nor collapsed; failed trials (an exception) are not counted.
    """
    rows = [row for row in measured.of(variant) if row["status"] in ("complete", "diverged")]
    collapsed = sum(has_collapsed(row) for row in rows)
    if not rows:
        return {"num_collapsed": 0}
    successes = sum(row["status"] == "complete" for row in rows) - collapsed
    interval = stats.binomtest(successes, len(rows)).proportion_ci(0.95, method="exact")
    return {
        "num_collapsed": collapsed,
        "success_rate": successes / len(rows),
        "success_ci_low": float(interval.low),
        "success_ci_high": float(interval.high),
    }


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
