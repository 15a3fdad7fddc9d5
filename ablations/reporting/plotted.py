"""The numbers behind each figure as frames, written as CSV beside it, so that a figure can be redrawn elsewhere.

Accuracies and differences are fractions, as in all files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablations.reporting.accuracy_plots import paired_differences
from ablations.reporting.factor_plots import factor_cells
from ablations.reporting.plot_rows import counted, references
from ablations.reporting.tables import curves_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["accuracies", "costs", "curves", "differences", "factors"]

_INTERVALS = ("delta_mean", "delta_ci_low", "delta_ci_high", "equivalence_ci_low", "equivalence_ci_high", "verdict")
_ACCURACY = ("test_accuracy_mean", "test_accuracy_ci_low", "test_accuracy_ci_high")


def differences(frame: pd.DataFrame, comparison: pd.DataFrame) -> pd.DataFrame:
    """Return one row per variant and pair of seeds, with the variant's mean and intervals in each."""
    pairs = paired_differences(counted(frame), references(frame))
    points = pairs.assign(difference=pairs["points"] / 100).drop(columns="points")
    return points.merge(comparison[["variant", *_INTERVALS]], on="variant", how="left", validate="many_to_one")


def accuracies(frame: pd.DataFrame, comparison: pd.DataFrame) -> pd.DataFrame:
    """Return one row per trial that ended, a diverged one at chance, with the variant's mean and interval in each."""
    done = counted(frame)
    points = done.assign(test_accuracy=done["percent"] / 100)[["variant", "seed", "status", "test_accuracy"]]
    own = comparison[["variant", *_ACCURACY, "verdict"]]
    return points.merge(own, on="variant", how="left", validate="many_to_one")


def curves(frame: pd.DataFrame) -> pd.DataFrame:
    """Return validation accuracy by variant, seed and epoch."""
    return curves_frame(frame)[["variant", "seed", "epoch", "val_accuracy"]]


def factors(frame: pd.DataFrame, rows: str, columns: str) -> pd.DataFrame:
    """Return one row per trial that ended, with its levels of two factors."""
    cells = factor_cells(frame, rows, columns)
    accuracy = cells.assign(test_accuracy=cells["percent"] / 100)
    return accuracy[[rows, columns, "variant", "seed", "test_accuracy"]]


def costs(comparison: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Return one row per variant with its costs and its accuracy."""
    return comparison[["variant", *names, *_ACCURACY, "verdict"]]
