"""What kept predictions add to a results folder and its page: four tables as files, and a part of each on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.analysis.predictions import PredictionTables, prediction_tables
from ablations.reporting.markup import Cell, Column, DisplayTable
from ablations.reporting.tables import write_table
from xception.base import formatting as f

if TYPE_CHECKING:
    import pandas as pd

    from ablations.records.record import StoredPlan

__all__ = ["display_predictions", "shown_examples", "without_predictions", "write_predictions"]

LISTED = 60  # rows of a table on the page; the files have all
CELLS = 20


def write_predictions(plan: StoredPlan, frame: pd.DataFrame, folder: Path) -> PredictionTables:
    """Write `classes`, `confusion`, `agreement` and `examples` of a plan into a folder: all rows as `.csv`, the
    displayed ones as `.md` and `.tex`. If no record keeps predictions, the CSV files have headers alone. Return the
    tables.
    """
    data = plan.description.data
    tables = prediction_tables(frame, data[0].get("class_names", ()) if len(data) == 1 else ())
    shown = _displayed(tables, {})
    for name in ("classes", "agreement", "confusion", "examples"):
        write_table(folder, name, getattr(tables, name), shown.get(name), study=plan.study)
    return tables


def display_predictions(
    tables: PredictionTables, thumbnails: Mapping[tuple[str, int], str] | None = None
) -> list[DisplayTable]:
    """Return the predictions for display; nothing if no record keeps any. `thumbnails` are pictures of test
    images by variant and number.
    """
    return list(_displayed(tables, thumbnails or {}).values())


def shown_examples(examples: pd.DataFrame) -> pd.DataFrame:
    """Return the test images that are displayed, first those whose correctness changes in most seeds."""
    most = examples.assign(size=(examples["num_only_variant"] - examples["num_only_baseline"]).abs())
    return most.sort_values("size", ascending=False, kind="stable").head(CELLS)


def _displayed(tables: PredictionTables, thumbnails: Mapping[tuple[str, int], str]) -> dict[str, DisplayTable]:
    if tables.agreement.empty:
        return {}
    shown = {
        "classes": _classes(tables),
        "agreement": _agreement(tables.agreement),
        "confusion": _confusion(tables.confusion),
        "examples": _examples(tables.examples, thumbnails),
    }
    return {name: table for name, table in shown.items() if table.rows}


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
    some = "" if len(part) == len(whole) else f" Shown are the {LISTED} with the smallest p; classes.csv has all."
    return _table(
        f"Test accuracy by class (the share of its images that are recognised), beside the baseline's of the same n"
        f" seeds. The 95 % intervals hold together over all {tables.family} rows"
        f"{_on_looks(tables)}{_on_absent(tables.absent)}{some}",
        ("Variant", "Class"),
        ("Images", "Baseline (%)", "Variant (%)", "Δ (pp)", "95 % interval (pp)", "n"),
        rows,
    )


def _on_looks(tables: PredictionTables) -> str:
    if not tables.is_sequential:
        return ", at a number of seeds fixed in advance."
    return (
        " and all looks of --seeds auto, like those of the effects; only the seeds up to the look at which a variant"
        " stopped are read."
    )


def _on_absent(classes: Sequence[str]) -> str:
    """A sentence on classes without a test image."""
    if not classes:
        return ""
    names = f.join_words(classes[:12]) + (f" and {len(classes) - 12} more" if classes[12:] else "")
    has = "class has" if len(classes) == 1 else "classes have"
    return f" {len(classes)} {has} no test image, and so no row: {names}."


def _agreement(agreement: pd.DataFrame) -> DisplayTable:
    titles = ("same_seed", "other_seed", "variant_seeds", "baseline_seeds")
    rows = [
        (*_words(row, "variant", "baseline"), *(_percent(row[name]) for name in titles), Cell(text=str(row["n"])))
        for row in agreement.to_dict("records")
    ]
    return _table(
        "Agreement: the share of test images to which two networks assign the same class, right or wrong. A variant"
        " that agrees with its baseline as often as two seeds of the baseline agree with each other differs from it no"
        " more than another seed does.",
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
        f"Confusions that change most, in percent of the images of the true class, means over seeds: the {len(rows)}"
        " largest changes, chosen for their size and without intervals; confusion.csv has the whole matrices.",
        ("Variant", "True class", "Taken for"),
        ("Baseline (%)", "Variant (%)", "Δ (pp)"),
        rows,
    )


def _examples(examples: pd.DataFrame, thumbnails: Mapping[tuple[str, int], str]) -> DisplayTable:
    rows = []
    for row in shown_examples(examples).to_dict("records"):
        image = int(row["image"])
        rows.append(
            (
                *_words(row, "variant", "true_class_name"),
                Cell(text=str(image), order=image, picture=thumbnails.get((str(row["variant"]), image), "")),
                *(Cell(text=str(row[name]), order=row[name]) for name in ("num_only_variant", "num_only_baseline")),
                Cell(text=str(row["n"]), order=row["n"]),
            )
        )
    return _table(
        f"Test images that one of the two gets right and the other wrong in most seeds: the first {len(rows)}, by their"
        " place in the test set (from 0); examples.csv has more. Some change by chance alone.",
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
