"""What kept predictions add to a results folder and its page: three tables as CSV, and what people read of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.analysis.predictions import PredictionTables, prediction_tables
from ablations.reporting.markup import Cell, Column, DisplayTable
from ablations.reporting.tables import csv_text
from xception.base import formatting as f
from xception.base.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from ablations.records.record import StoredPlan

__all__ = ["display_predictions", "without_predictions", "write_predictions"]

LISTED = 60  # rows of a table on the page; the files have all
CELLS = 20


def write_predictions(plan: StoredPlan, frame: pd.DataFrame, folder: Path) -> PredictionTables:
    """Write `classes.csv`, `confusion.csv`, `agreement.csv` and `examples.csv` of a plan into a folder, with their
    headers alone where no record keeps predictions; return the tables.
    """
    data = plan.description.data
    tables = prediction_tables(frame, data[0].get("class_names", ()) if len(data) == 1 else ())
    for name in ("classes", "confusion", "agreement", "examples"):
        write_atomically(folder / f"{name}.csv", csv_text(getattr(tables, name)))
    return tables


def display_predictions(tables: PredictionTables) -> list[DisplayTable]:
    """Return what people read of the predictions; nothing where no record keeps any."""
    if tables.agreement.empty:
        return []
    shown = [_classes(tables), _agreement(tables.agreement)]
    for table, display in ((tables.confusion, _confusion), (tables.examples, _examples)):
        made = display(table)
        if made.rows:
            shown.append(made)
    return shown


def without_predictions(tables: PredictionTables) -> str:
    """Return the sentence about variants of which no pair of records keeps predictions; empty where there are none."""
    if not tables.without:
        return ""
    why = "they have not run yet, did not complete, or are from before predictions were kept"
    if tables.agreement.empty:
        return f"The records of this study hold no predictions to compare ({why}), so this part is empty."
    names = f.join_words(tables.without[:12]) + (f" and {len(tables.without) - 12} more" if tables.without[12:] else "")
    return f"Not in this part: {names}. No pair of records with the baseline holds predictions ({why})."


def _classes(tables: PredictionTables) -> DisplayTable:
    whole = tables.classes
    part = whole if len(whole) <= LISTED else whole.sort_values("p_adjusted", kind="stable").head(LISTED).sort_index()
    rows = [
        (
            *_words(row, "variant", "class_name"),
            Cell(text=str(row["num_images"]), order=row["num_images"]),
            _percent(row["baseline_accuracy_mean"]),
            _percent(row["accuracy_mean"]),
            _points(row["delta_mean"]),
            Cell(text=f.interval(row["delta_ci_low"], row["delta_ci_high"], signed=True), order=row["delta_ci_low"]),
            Cell(text=str(row["n"]), order=row["n"]),
        )
        for row in part.to_dict("records")
    ]
    some = "" if len(part) == len(whole) else f" Here are the {LISTED} with the least p; all are in classes.csv."
    return _table(
        f"Test accuracy by class (the share of its images that are recognised), beside the baseline's of the same n"
        f" seeds. The 95 % intervals hold together over all {tables.family} rows, at a number of seeds fixed in"
        f" advance.{some}",
        ("Variant", "Class"),
        ("Images", "Baseline (%)", "Variant (%)", "Δ (pp)", "95 % interval (pp)", "n"),
        rows,
    )


def _agreement(agreement: pd.DataFrame) -> DisplayTable:
    titles = ("same_seed", "other_seed", "variant_seeds", "baseline_seeds")
    rows = [
        (*_words(row, "variant", "baseline"), *(_percent(row[name]) for name in titles), Cell(text=str(row["n"])))
        for row in agreement.to_dict("records")
    ]
    return _table(
        "Agreement: the share of test images that two networks give the same class, right or wrong. A variant that"
        " agrees with its baseline as much as two seeds of the baseline do differs from it no more than another seed.",
        ("Variant", "Baseline"),
        ("With the baseline, same seed (%)", "Other seed (%)", "Variant's own seeds (%)", "Baseline's seeds (%)", "n"),
        rows,
    )


def _confusion(confusion: pd.DataFrame) -> DisplayTable:
    wrong = confusion[confusion["true_class"] != confusion["predicted_class"]]
    order = wrong["difference"].abs().sort_values(ascending=False, kind="stable").index[:CELLS]
    rows = [
        (
            *_words(row, "variant", "true_class_name", "predicted_class_name"),
            _percent(row["baseline_share"]),
            _percent(row["share"]),
            _points(row["difference"]),
        )
        for row in wrong.loc[order].to_dict("records")
    ]
    return _table(
        f"Confusions that change most, in percent of the images of the true class, means over seeds: the first"
        f" {len(rows)}, chosen for their size and without an interval; confusion.csv has the whole matrices.",
        ("Variant", "True class", "Taken for"),
        ("Baseline (%)", "Variant (%)", "Δ (pp)"),
        rows,
    )


def _examples(examples: pd.DataFrame) -> DisplayTable:
    most = examples.assign(size=(examples["num_only_variant"] - examples["num_only_baseline"]).abs())
    part = most.sort_values("size", ascending=False, kind="stable").head(CELLS)
    rows = [
        (
            *_words(row, "variant", "true_class_name"),
            *(
                Cell(text=str(row[name]), order=row[name])
                for name in ("image", "num_only_variant", "num_only_baseline")
            ),
            Cell(text=str(row["n"]), order=row["n"]),
        )
        for row in part.to_dict("records")
    ]
    return _table(
        f"Test images that change sides in most seeds: the first {len(rows)}, by their place in the test set (from 0);"
        " examples.csv has more. Some change by chance alone.",
        ("Variant", "True class"),
        ("Image", "Right with the variant only (seeds)", "Right with the baseline only (seeds)", "n"),
        rows,
    )


def _table(
    caption: str, words: tuple[str, ...], numbers: tuple[str, ...], rows: list[tuple[Cell, ...]]
) -> DisplayTable:
    columns = (*(Column(title=t, numeric=False) for t in words), *(Column(title=t) for t in numbers))
    return DisplayTable(caption=caption, columns=columns, rows=tuple(rows))


def _words(row: Mapping[Any, Any], *names: str) -> tuple[Cell, ...]:
    return tuple(Cell(text=str(row[name]), order=str(row[name])) for name in names)


def _percent(value: float) -> Cell:
    return Cell(text=f.percent(value), order=value if f.is_number(value) else None)


def _points(value: float) -> Cell:
    return Cell(text=f.points(value), order=value if f.is_number(value) else None)
