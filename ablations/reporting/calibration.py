"""Calibration in a results folder and on its page: the table of expected calibration errors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ablations.analysis.calibration import CalibrationTables, calibration_tables
from ablations.reporting.markup import Cell, Column, DisplayTable
from ablations.reporting.tables import write_table
from xception.base import formatting as f
from xception.train.confidence import NUM_BINS

if TYPE_CHECKING:
    import pandas as pd

    from ablations.records.record import StoredPlan

__all__ = ["display_calibration", "without_calibration", "write_calibration"]

NAMED = 12  # variants in a sentence


def write_calibration(plan: StoredPlan, frame: pd.DataFrame, folder: Path) -> CalibrationTables:
    """Write `calibration.csv`, `.md` and `.tex` into a folder, the header of the CSV alone where no record keeps
    confidences; return the tables.
    """
    tables = calibration_tables(frame)
    write_table(folder, "calibration", tables.summary, display_calibration(tables), study=plan.study)
    return tables


def display_calibration(tables: CalibrationTables) -> DisplayTable | None:
    """Return the calibration for display; None if no record keeps confidences."""
    if tables.summary.empty:
        return None
    rows = []
    for row in tables.summary.to_dict("records"):
        is_base = row["variant"] == row["baseline"]
        ends = (row["delta_ci_low"], row["delta_ci_high"])
        rows.append(
            (
                Cell(text=str(row["variant"]), order=str(row["variant"])),
                _number(row["calibration_error_mean"], f.percent(row["calibration_error_mean"])),
                Cell(text=f.interval(row["calibration_error_ci_low"], row["calibration_error_ci_high"])),
                _number(row["overconfidence_mean"], f.points(row["overconfidence_mean"])),
                _number(row["delta_mean"], "–" if is_base else f.points(row["delta_mean"])),
                Cell(text="–" if is_base else f.interval(*ends, signed=True)),
                _number(row["n"], str(row["n"])),
            )
        )
    titles = (
        "ECE (%)",
        "95 % interval (%)",
        "Confidence − accuracy (pp)",
        "Δ ECE (pp)",
        "95 % interval of Δ (pp)",
        "n",
    )
    return DisplayTable(
        caption="Expected calibration error (ECE) on the test set: the mean distance between confidence and accuracy"
        f" in {NUM_BINS} bins of equal width, weighted by their images. Confidence is the softmax probability of the"
        " predicted class. Means over n seeds; Δ is the mean of the per-seed differences from the baseline, with"
        " intervals that hold together over all variants, and over all looks of --seeds auto. A finite test set makes"
        " every ECE larger than it is, so compare them with one another.",
        columns=(Column(title="Variant", numeric=False), *(Column(title=title) for title in titles)),
        rows=tuple(rows),
    )


def without_calibration(tables: CalibrationTables) -> str:
    """Return the sentence on variants of which no record keeps confidences; empty where there are none."""
    if not tables.without:
        return ""
    why = "they have not run yet, did not complete, or were trained before confidences were kept"
    if tables.summary.empty:
        return f"The records of this study hold no confidences ({why}), so there is no calibration to show."
    more = f" and {len(tables.without) - NAMED} more" if tables.without[NAMED:] else ""
    names = f.join_words(tables.without[:NAMED]) + more
    return f"Not in this part: {names}. Their records hold no confidences ({why})."


def _number(order: object, text: str) -> Cell:
    return Cell(text=text, order=float(order) if f.is_number(order) else None)  # type: ignore[arg-type]
