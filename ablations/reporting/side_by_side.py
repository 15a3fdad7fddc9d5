"""A study at the fixed recipe and at tuned ones, side by side, with the budget spent on tuning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ablations.reporting.markup import Cell, Column, DisplayTable
from xception.base import formatting as f

__all__ = ["display_side_by_side", "side_by_side"]

_COMPARED = (
    *("n", "test_accuracy_mean", "delta_mean", "delta_ci_low", "delta_ci_high"),
    *("equivalence_ci_low", "equivalence_ci_high", "p_adjusted", "verdict"),
)


def side_by_side(fixed: pd.DataFrame, tuned: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Return one row per variant: its comparison at the fixed recipe and at tuned ones, the recipes found, and the
    trials spent.

    `fixed` and `tuned` are comparisons of the same variants, `trials` has one row per tuning trial, of the replicate
    with its `seed`. The recipe shown is the median over replicates. Accuracies and differences are fractions; the tuned
    differences are from the tuned baseline.
    """
    ranked = trials.sort_values("val_accuracy", ascending=False, kind="stable")
    each = ranked.groupby(["variant", "seed"]).first()[["learning_rate", "weight_decay"]]
    best = each.groupby("variant").median()
    spent = trials.groupby("variant").size()
    parts = [
        table.set_index("variant")[list(_COMPARED)].add_prefix(f"{name}_")
        for name, table in (("fixed", fixed), ("tuned", tuned))
    ]
    found = best[["learning_rate", "weight_decay"]].assign(tuning_trials=spent)
    return parts[0].join(parts[1]).join(found).reset_index()


def display_side_by_side(table: pd.DataFrame) -> DisplayTable:
    """Return the table for display, in percent and percentage points."""
    rows = [
        {
            "Variant": row["variant"],
            **{
                f"{title}, {name} recipe": text
                for name in ("fixed", "tuned")
                for title, text in (
                    ("Test accuracy (%)", f.percent(row[f"{name}_test_accuracy_mean"])),
                    ("Δ (pp)", _effect(row, name)),
                    ("Verdict", row[f"{name}_verdict"]),
                )
            },
            "Learning rate, median": f"{row['learning_rate']:.3g}",
            "Weight decay, median": f"{row['weight_decay']:.2g}",
            "Tuning trials": str(row["tuning_trials"]),
        }
        for row in table.to_dict("records")
    ]
    words = ("Variant", "Verdict")
    return DisplayTable(
        caption="Each variant at the fixed recipe and at recipes tuned for it: every variant, the baseline included,"
        " has the same number of tuning trials over learning rate and weight decay, on validation data. Differences are"
        " from the baseline at its own recipe, with a 95 % interval; the recipes are medians over replicates.",
        columns=tuple(Column(title=title, numeric=not title.startswith(words)) for title in rows[0]),
        rows=tuple(tuple(Cell(text=text, order=text) for text in row.values()) for row in rows),
    )


def _effect(row: Mapping[Any, Any], name: str) -> str:
    if row[f"{name}_verdict"] == "baseline":
        return "–"
    return (
        f"{f.points(row[f'{name}_delta_mean'])}"
        f" {f.interval(row[f'{name}_delta_ci_low'], row[f'{name}_delta_ci_high'], signed=True)}"
    )
