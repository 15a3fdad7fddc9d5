"""Variants whose size no width matches, by their distance from the baseline's curve of accuracy over MACs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ablations import statistics as st
from ablations.analysis.effect_rows import EFFECT_COLUMNS, effect_row
from ablations.analysis.measurements import Measurements, measure
from ablations.reporting.markup import Cell, Column, DisplayTable
from ablations.reporting.tables import write_table
from xception.base import formatting as f

__all__ = ["display_distances", "distances", "write_distances"]

COLUMNS = ("variant", "baseline", "macs", *EFFECT_COLUMNS)


def distances(frame: pd.DataFrame, widths: Sequence[str], variants: Sequence[str] | None = None) -> pd.DataFrame:
    """Return how far each variant lies above the curve of its baseline, which was trained at several widths; one row
    per variant.

    `widths` names the rows that are the baseline at another width; the baseline itself belongs to its curve. `variants`
    are those to compare with it: all others of the frame unless given. Columns: `variant`, `baseline`, `macs`, `n`
    (seeds), `mean` (a fraction of test accuracy), simultaneous `low` and `high` (95 %) with
    `equivalence_low` and `equivalence_high` (90 %) inside them, `p_adjusted`, `verdict` against ±margin, and
    `sentence`. Where trials are still missing on either side of a
    variant's size, its numbers are NaN and n is 0.

    Raises:
        ValueError: a width or variant is not in the frame, or a variant is larger or smaller than all widths.
    """
    wanted = (
        frame
        if variants is None
        else frame[frame["variant"].isin([*widths, *variants]) | frame["is_baseline"].astype(bool)]
    )
    measured = measure(wanted, "fixed")
    unknown = [name for name in (*widths, *(variants or ())) if name not in measured.variants]
    if unknown:
        raise ValueError(
            f"widths: {unknown[0]!r} is not allowed; variants of the frame: {', '.join(measured.variants)}"
        )
    macs = np.array([float(measured.constant(variant, "macs")) for variant in measured.variants])
    on_curve = np.array([index == 0 or variant in widths for index, variant in enumerate(measured.variants)])
    others = np.flatnonzero(~on_curve)
    values = np.array([_from_curve(measured, int(k), macs, on_curve) for k in others]).reshape(
        len(others), len(measured.seeds)
    )
    decisions = st.decide(values, measured.margin, grid=measured.grid)
    rows = []
    for row, k in enumerate(others):
        rows.append(
            {"variant": measured.variants[k], "baseline": measured.variants[0], "macs": macs[k]}
            | effect_row(decisions, row, measured.margin)
        )
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS)).astype({"macs": "Int64"})


def write_distances(
    frame: pd.DataFrame, curves: Sequence[Mapping[str, Any]], folder: Path, *, study: str
) -> pd.DataFrame:
    """Write `distances.csv`, `.md` and `.tex` for the curves of a plan into a folder, and return the distances.

    `frame` has the rows of widths too; a curve names its `baseline`, `widths` and `variants`.
    """
    parts = []
    for curve in curves:
        names = [curve["baseline"], *curve["widths"], *curve["variants"]]
        parts.append(distances(frame[frame["variant"].isin(names)], curve["widths"], curve["variants"]))
    table = pd.concat(parts, ignore_index=True)
    write_table(folder, "distances", table, display_distances(table, curves), study=study)
    return table


def display_distances(table: pd.DataFrame, curves: Sequence[Mapping[str, Any]]) -> DisplayTable:
    """Return the distances for display, in percentage points."""
    rows = []
    for row in table.to_dict("records"):
        texts = (
            str(row["variant"]),
            f.count(row["macs"]),
            str(row["n"]),
            f.points(row["mean"]),
            f.interval(row["low"], row["high"], signed=True),
            f.interval(row["equivalence_low"], row["equivalence_high"], signed=True),
            str(row["verdict"]),
        )
        rows.append(tuple(Cell(text=text, order=text) for text in texts))
    titles = ("Variant", "MACs", "n", "Above the baseline's curve (pp)", "95 % interval (pp)", "90 % interval (pp)")
    widths = f.join_words(name for curve in curves for name in curve["widths"])
    return DisplayTable(
        caption="No width brings these variants to their baseline's size, so each is compared, seed by seed, with the"
        " baseline's accuracy at the variant's own MACs: linear over log MACs between the widths that the baseline was"
        f" trained at ({widths}, and its own).",
        columns=(*(Column(title=t, numeric=t != "Variant") for t in titles), Column(title="Verdict", numeric=False)),
        rows=tuple(rows),
    )


def _from_curve(measured: Measurements, index: int, macs: np.ndarray, on_curve: np.ndarray) -> np.ndarray:
    """The distance of one variant per seed; NaN if the curve or the variant has no trial yet."""
    known = on_curve & np.isfinite(macs)
    if not np.isfinite(macs[index]) or (
        known.sum() < on_curve.sum() and not macs[known].min() <= macs[index] <= macs[known].max()
    ):
        return np.full(len(measured.seeds), np.nan)
    return st.vertical_distance(macs[index], measured.accuracy[index], macs[known], measured.accuracy[known]).per_seed
