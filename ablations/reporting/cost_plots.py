"""Accuracy against costs (MACs, parameters, latency) with the Pareto front, and latency against MACs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from ablations.reporting import style
from ablations.reporting.captions import busy_sentence
from ablations.reporting.plot_labels import key_note, name_points
from ablations.reporting.plot_rows import counted, data_note, draw_seeds, marks_note, seeds_note, titled
from ablations.reporting.style import VERDICT_MARKS
from ablations.statistics.pareto import pareto_front
from xception.base import formatting as f
from xception.base.drawing import load_matplotlib

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COSTS", "cost_plot", "latency_plot", "scaled_axis"]

Cost = Literal["macs", "params", "latency_ms"]
COSTS: dict[Cost, str] = {
    "macs": "MACs per image (convolutions and linear layers)",
    "params": "trainable parameters",
    "latency_ms": "latency (ms, batch 1, float32)",
}
NAMED = 12  # points; more names do not fit into a column


def cost_plot(frame: pd.DataFrame, comparison: pd.DataFrame, cost: Cost, width: float = style.COLUMN_WIDTH) -> Figure:
    """Return a figure of test accuracy against a cost: each seed a point, means with intervals, the Pareto front of the
    means.

    Raises:
        ValueError: no variant has both a result and this cost.
    """
    done = counted(frame)
    table = comparison[comparison[cost].notna() & comparison["test_accuracy_mean"].notna()].reset_index(drop=True)
    if table.empty:
        raise ValueError(f"comparison: no variant has both test accuracy and {cost}; at least one")
    x, y = table[cost].astype(float).to_numpy(), 100 * table["test_accuracy_mean"].astype(float).to_numpy()
    front = pareto_front(list(x), list(y))
    seeds = done[done["variant"].isin(table["variant"])]
    with style.context():
        figure = style.new_figure(2.3, width=width)
        axes = figure.subplots()
        small = len(table) > NAMED
        where = dict(zip(table["variant"], x, strict=True))
        draw_seeds(
            axes, seeds["variant"].map(where), seeds["percent"], seeds["status"] == "diverged", size=4 if small else 9
        )
        _means(axes, table, x, y, small=small)
        axes.plot(x[front], y[front], drawstyle="steps-post", color=style.INK, linewidth=0.8, linestyle="--", zorder=1)
        scaled_axis(axes, x, "x", counts=cost != "latency_ms")
        axes.set_xlabel(COSTS[cost])
        axes.set_ylabel("test accuracy (%)")
        axes.margins(x=0.09, y=0.12)
        style.within_percent(axes, "y")
        base = [int(i) for i in np.flatnonzero(table["verdict"] == "baseline")]
        chosen = sorted({*front, *base} if small else range(len(table)), key=lambda i: x[i])[: 2 * NAMED]
        dashed = "; dashed: Pareto front of the means" if len(front) > 1 else ""
        bars = (
            "; bars: 95 % confidence intervals of the means (Student t)"
            if table["test_accuracy_ci_low"].notna().any()
            else ""
        )
        note = f"{data_note(frame)} {seeds_note(table)}{dashed}{bars}. {marks_note(table)}"
        lines = _along(x[front], y[front]) + [
            (x[i], y[i] + part * (100 * edge - y[i]))
            for i in range(len(x))
            for part in np.linspace(0, 1, 6)
            for edge in table[["test_accuracy_ci_low", "test_accuracy_ci_high"]].to_numpy(dtype=float)[i]
            if np.isfinite(edge)
        ]
        return _named(
            figure,
            axes,
            table,
            x,
            y,
            chosen,
            lines,
            title=titled(frame, f"accuracy against {_word(cost)}"),
            note=note + (" Named: the front and the baseline." if small else ""),
        )


def latency_plot(frame: pd.DataFrame, comparison: pd.DataFrame, width: float = style.COLUMN_WIDTH) -> Figure:
    """Return a figure of latency against MACs, one point per variant; MACs mislead for points off the common line.

    Raises:
        ValueError: no variant has both MACs and latency.
    """
    table = comparison[comparison["macs"].notna() & comparison["latency_ms"].notna()].reset_index(drop=True)
    if table.empty:
        raise ValueError("comparison: no variant has both macs and latency_ms; at least one")
    x, y = table["macs"].astype(float).to_numpy(), table["latency_ms"].astype(float).to_numpy()
    devices = f.join_words(sorted({str(d) for d in table["latency_device"].dropna()}))
    with style.context():
        figure = style.new_figure(2.3, width=width)
        axes = figure.subplots()
        small = len(table) > NAMED
        _means(axes, table, x, y, small=small, bars=False)
        lines: list[tuple[float, float]] = []
        for at, row in enumerate(table.to_dict("records")):
            low, high = row.get("latency_ci_low_ms"), row.get("latency_ci_high_ms")
            if low is not None and high is not None and f.is_number(low) and f.is_number(high):
                lines += [(x[at], float(y_at)) for y_at in np.linspace(float(low), float(high), 24)]
                axes.plot(
                    [x[at]] * 2, [float(low), float(high)], color=style.INK, linewidth=0.4 if small else 0.8, zorder=3
                )
        scaled_axis(axes, x, "x", counts=True)
        ends = np.array([at for _, at in lines])
        scaled_axis(axes, np.concatenate([y, ends[ends > 0]]), "y")
        axes.set_xlabel(COSTS["macs"])
        axes.set_ylabel("latency (ms)")
        axes.margins(x=0.09, y=0.12)
        chosen = sorted(
            (
                {int(y.argmin()), int(y.argmax()), *map(int, np.flatnonzero(table["verdict"] == "baseline"))}
                if small
                else range(len(table))
            ),
            key=lambda i: x[i],
        )
        note = (
            f"{data_note(frame)} Latency: median and its 95 % interval, eager float32 inference, batch 1,"
            f" channels-last{', on ' + devices if devices else ''}."
            f" {' '.join([*busy_sentence(table), marks_note(table)])}"
        )
        title = titled(frame, "latency against MACs")
        return _named(figure, axes, table, x, y, chosen, lines, title=title, note=note)


def _means(axes: Axes, table: pd.DataFrame, x: np.ndarray, y: np.ndarray, *, small: bool, bars: bool = True) -> None:
    for i, row in table.iterrows():
        mark = VERDICT_MARKS[str(row["verdict"])]
        at = int(str(i))
        if bars and f.is_number(row["test_accuracy_ci_low"]):
            axes.plot(
                [x[at]] * 2,
                [100 * row["test_accuracy_ci_low"], 100 * row["test_accuracy_ci_high"]],
                color=mark.colour,
                linewidth=0.4 if small else 0.9,
                zorder=3,
            )
        axes.plot(
            [x[at]],
            [y[at]],
            linestyle="none",
            marker=mark.marker,
            markersize=2.2 if small else 4.5,
            color=mark.colour,
            zorder=4,
            markerfacecolor=mark.colour if mark.filled else "white",
            markeredgewidth=0.6,
            markeredgecolor=style.INK if mark.filled and not small else mark.colour,
        )


def _named(
    figure: Figure,
    axes: Axes,
    table: pd.DataFrame,
    x: np.ndarray,
    y: np.ndarray,
    chosen: Sequence[int],
    lines: Sequence[tuple[float, float]],
    *,
    title: str,
    note: str,
) -> Figure:
    """Name the chosen points: by their names where these fit, else by numbers with a key in the note."""
    names = [str(table["variant"].iloc[i]) for i in chosen]
    at, others = [(x[i], y[i]) for i in chosen], [(x[i], y[i]) for i in range(len(x)) if i not in set(chosen)]
    height = figure.get_figheight()
    style.finish(figure, title=title, note=note)
    if name_points(axes, at, names, [*others, *lines]):
        return figure
    figure.set_figheight(height)
    style.finish(figure, title=title, note=f"{note}\n{key_note(names)}")
    numbers = [str(i) for i in range(1, len(names) + 1)]
    if not name_points(axes, at, numbers, [*others, *lines]):
        name_points(axes, at, numbers)  # in a crowd a number may cover other variants' marks, never another number
    return figure


def _along(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """Points along the steps of a front, for names to keep clear of."""
    out: list[tuple[float, float]] = []
    for i in range(len(x) - 1):
        out += [(float(v), float(y[i])) for v in np.linspace(x[i], x[i + 1], 40)]
        out += [(float(x[i + 1]), float(v)) for v in np.linspace(y[i], y[i + 1], 20)]
    return out


def scaled_axis(axes: Axes, values: np.ndarray, axis: Literal["x", "y"], *, counts: bool = False) -> None:
    """Set an axis logarithmic from a factor of ten on, with round ticks, else linear with few; counts get SI
    prefixes.
    """
    load_matplotlib()
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    one = axes.xaxis if axis == "x" else axes.yaxis
    if values.min() > 0 and values.max() / values.min() >= 10:
        (axes.set_xscale if axis == "x" else axes.set_yscale)("log")
        span = values.max() / values.min()
        one.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if span < 50 else (1.0, 3.0) if span < 500 else (1.0,)))
        one.set_minor_formatter(NullFormatter())
        one.set_major_formatter(FuncFormatter(lambda value, _: f.count(value) if counts else f"{value:g}"))
    else:
        one.set_major_locator(MaxNLocator(4))
        if counts:
            one.set_major_formatter(FuncFormatter(lambda value, _: f.count(value)))


def _word(cost: Cost) -> str:
    return {"macs": "MACs", "params": "parameters", "latency_ms": "latency"}[cost]
