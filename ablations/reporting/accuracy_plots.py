"""Every seed's accuracy, and every seed's difference from the baseline, with intervals and verdicts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ablations.reporting import style
from ablations.reporting.plot_rows import (
    counted,
    data_note,
    draw_seeds,
    intervals_note,
    lay_out,
    marks_note,
    references,
    seed_offsets,
    seeds_note,
    set_rows,
    titled,
)
from ablations.reporting.style import VERDICT_MARKS
from xception.base import formatting as f

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["forest_plot", "paired_differences", "strip_plot"]


def strip_plot(frame: pd.DataFrame, comparison: pd.DataFrame, width: float = style.COLUMN_WIDTH) -> Figure:
    """Return a figure of test accuracy, one row per variant: each seed a point, the mean a mark, its interval a bar.

    Raises:
        ValueError: no trial has a result.
    """
    done = counted(frame)
    rows = lay_out(comparison, list(comparison["variant"]), order_by="test_accuracy_mean")
    at, table = rows.positions(), comparison.set_index("variant")
    rows_of = table.to_dict("index")
    base = comparison.loc[comparison["verdict"] == "baseline", "variant"]
    baseline = str(base.iloc[0]) if len(base) == 1 else None
    with style.context():
        figure = style.new_figure(rows.height, width=width)
        axes = figure.subplots()
        if baseline is not None and f.is_number(middle := table["test_accuracy_mean"].to_dict()[baseline]):
            axes.axvline(100 * middle, color=style.GREY, linewidth=0.7, linestyle="--", zorder=1)
        draw_seeds(
            axes,
            done["percent"],
            done["variant"].map(at) + seed_offsets(done["seed"]),
            done["status"] == "diverged",
            size=4 if rows.crowded else 11,
        )
        for name in rows.variants:
            row = rows_of[name]
            _summary(axes, at[name], row, "test_accuracy", str(row["verdict"]), small=rows.crowded)
        set_rows(axes, rows, baseline)
        axes.set_xlabel("test accuracy (%)")
        style.within_percent(axes, "x")
        bars = (
            "; bars: 95 % confidence interval of the mean (Student t)"
            if comparison["test_accuracy_ci_low"].notna().any()
            else ""
        )
        line = f"; dashed: mean of {baseline}" if baseline is not None and len(rows.variants) > 1 else ""
        return style.finish(
            figure,
            title=titled(frame, "test accuracy, every seed a point"),
            note=(
                f"{data_note(frame)}"
                f" {seeds_note(comparison)}{bars}{line}.{_absent(rows.variants, table, 'test_accuracy_mean')}"
                f" {marks_note(comparison)}"
            ),
        )


def forest_plot(frame: pd.DataFrame, comparison: pd.DataFrame, width: float = style.COLUMN_WIDTH) -> Figure:
    """Return a figure of paired differences from the baseline: each pair a point, mean, both intervals, ±δ as a band,
    verdicts in words.

    Raises:
        ValueError: no trial has a result, or there is nothing to compare.
    """
    others = comparison[comparison["verdict"] != "baseline"]
    baselines = references(frame)
    if others.empty or not baselines:
        raise ValueError(
            f"comparison: {len(comparison)} variant without another to compare with; a baseline and at least one other"
        )
    differences = paired_differences(counted(frame), baselines)
    if differences.empty:
        raise ValueError(
            "frame: no seed has a result in both the baseline and another variant; a figure of differences needs one"
        )
    rows = lay_out(comparison, list(others["variant"]), order_by="delta_mean")
    at, table = rows.positions(), comparison.set_index("variant")
    rows_of = table.to_dict("index")
    margins = others["delta_margin"].dropna().unique()
    with style.context():
        figure = style.new_figure(rows.height, width=width)
        axes = figure.subplots()
        if len(margins) == 1:
            axes.axvspan(-100 * margins[0], 100 * margins[0], color=style.BAND, zorder=0, linewidth=0)
        axes.axvline(0, color=style.INK, linewidth=0.8, zorder=1)
        draw_seeds(
            axes,
            differences["points"],
            differences["variant"].map(at) + seed_offsets(differences["seed"]),
            differences["diverged"],
            size=3 if rows.crowded else 9,
        )
        for name in rows.variants:
            row = rows_of[name]
            _summary(axes, at[name], row, "delta", str(row["verdict"]), small=rows.crowded)
            if not rows.crowded:
                axes.text(
                    1.03,
                    at[name],
                    f.wrapped(str(row["verdict"]), 14),
                    transform=axes.get_yaxis_transform(),
                    va="center",
                    fontsize=6.3,
                    color=style.INK,
                    fontweight="bold" if row["verdict"] in ("helps", "hurts") else "normal",
                )
        set_rows(axes, rows, None)
        from_what = (
            style.legible(_short(next(iter(baselines.values()))))
            if len(set(baselines.values())) == 1
            else "its own baseline"
        )
        axes.set_xlabel(f.wrapped(f"difference from {from_what} (pp)", 46))
        band = f"; grey band: ±δ = ±{f.percent(margins[0])} pp" if len(margins) == 1 else ""
        return style.finish(
            figure,
            title=titled(frame, "paired differences, every pair a point"),
            note=f"{data_note(frame)} {seeds_note(others).replace('seed', 'pair')}{intervals_note(comparison)}{band}."
            + _absent(rows.variants, table, "delta_mean")
            + (f" {marks_note(others)}" if rows.crowded else ""),
        )


def paired_differences(done: pd.DataFrame, baselines: Mapping[str, str]) -> pd.DataFrame:
    """Return `variant`, `seed`, `points` (the difference from its baseline with the same seed, in pp) and `diverged`
    (either trial).
    """
    part = done[["variant", "seed", "percent", "status"]]
    own = part[part["variant"].isin(list(baselines))].assign(baseline=lambda rows: rows["variant"].map(baselines))
    pairs = own.merge(part.rename(columns={"variant": "baseline"}), on=["baseline", "seed"], suffixes=("", "_baseline"))
    either = (pairs["status"] == "diverged") | (pairs["status_baseline"] == "diverged")
    return pairs.assign(points=pairs["percent"] - pairs["percent_baseline"], diverged=either)[
        ["variant", "seed", "points", "diverged"]
    ]


def _summary(axes: Axes, y: float, row: dict[Hashable, Any], name: str, verdict: str, *, small: bool) -> None:
    """Draw mean and intervals of one row (fractions, shown in percent or points): 95 % thin, and of a difference 90 %
    thick.
    """
    if not f.is_number(row[f"{name}_mean"]):
        return
    mark = VERDICT_MARKS[verdict]
    bars = [(f"{name}_ci", 0.5 if small else 0.9)]
    if name == "delta":
        bars.append(("equivalence_ci", 1.1 if small else 2.6))
    for ends, width in bars:
        low, high = (100 * float(row[f"{ends}_{end}"]) for end in ("low", "high"))
        if np.isfinite(low) and np.isfinite(high):
            axes.plot([low, high], [y, y], color=mark.colour, linewidth=width, zorder=3, solid_capstyle="butt")
    axes.plot(
        [100 * float(row[f"{name}_mean"])],
        [y],
        marker=mark.marker,
        markersize=2 if small else 4.5,
        color=mark.colour,
        markeredgecolor=mark.colour if small else (style.INK if mark.filled else mark.colour),
        markerfacecolor=mark.colour if mark.filled else "white",
        markeredgewidth=0.5 if mark.filled else 1,
        zorder=4,
        linestyle="none",
    )


def _absent(variants: tuple[str, ...], table: pd.DataFrame, value: str) -> str:
    """A sentence on variants that have a row and nothing to show in it."""
    empty = int(table.loc[list(variants), value].isna().sum())
    return f" {empty} of {len(variants)} rows empty: nothing to show." if empty else ""


def _short(name: object, width: int = 40) -> str:
    text = str(name)
    return text if len(text) <= width else text[: width - 1] + "…"
