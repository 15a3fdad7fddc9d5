"""Figures of searches: the best so far, the front and its hypervolume over time, the importance of parameters, and
comparisons of whole spaces.

A frame of trials has one row per trial in the order in which they ended, a column for each objective and, where not
every trial is complete, `status`. The distribution over a space is that of Radosavovic et al. 2020 (arXiv:2003.13678),
Figure 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ablations.reporting import style
from ablations.reporting.cost_plots import scaled_axis
from ablations.statistics.pareto import growing_hypervolumes, pareto_front
from xception.base import formatting as f
from xception.base.drawing import load_matplotlib

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "front_over_time",
    "history_plot",
    "hypervolume_plot",
    "importance_plot",
    "space_distribution",
]

UNITS = {
    "val_accuracy": "validation accuracy (%)",
    "test_accuracy": "test accuracy (%)",
    "macs": "MACs per image",
    "params": "trainable parameters",
    "latency_ms": "latency (ms)",
    "train_seconds": "training time (s)",
}
Array = NDArray[np.float64]


def history_plot(
    trials: pd.DataFrame, objective: str, *, maximise: bool = True, title: str = "Search history", note: str = ""
) -> Figure:
    """Return each trial's value in order, and the best so far as a line; a trial that did not complete is a cross at
    the lower edge.

    Raises:
        ValueError: the objective is not a column, or no trial is complete.
    """
    load_matplotlib()
    import seaborn as sns

    done, order = _done(trials, [objective])
    values = _shown(done, objective)
    best = np.maximum.accumulate(values) if maximise else np.minimum.accumulate(values)
    with style.context():
        figure = style.new_figure(2.2)
        axes = figure.subplots()
        sns.scatterplot(
            x=order,
            y=values,
            ax=axes,
            s=10,
            color=style.SKY,
            edgecolor=style.BLUE,
            linewidth=0.3,
            legend=False,
            zorder=2,
        )
        axes.plot(order, best, drawstyle="steps-post", color=style.INK, linewidth=1.2, zorder=3)
        lost = np.setdiff1d(np.arange(1, len(trials) + 1), order)
        axes.plot(
            lost,
            np.zeros(len(lost)),
            marker="x",
            markersize=3,
            color=style.VERMILION,
            linestyle="none",
            clip_on=False,
            transform=axes.get_xaxis_transform(),
        )
        _whole_trials(axes)
        axes.set_ylabel(_label(objective))
        crosses = f" Crosses: {len(lost)} trials that did not complete." if len(lost) else ""
        return style.finish(
            figure,
            title=title,
            note=f"{note} n = {len(done)} trials, each a point; line: best so far.{crosses}".strip(),
        )


def front_over_time(
    trials: pd.DataFrame,
    objectives: tuple[str, str],
    *,
    maximise: tuple[bool, bool],
    title: str = "Front over time",
    note: str = "",
) -> Figure:
    """Return all trials in the plane of two objectives (the second along x), with the Pareto front after a quarter,
    half and all.

    Raises:
        ValueError: an objective is not a column, or no trial is complete.
    """
    load_matplotlib()
    import seaborn as sns

    done, _ = _done(trials, objectives)
    y, x = _shown(done, objectives[0]), _shown(done, objectives[1])
    with style.context():
        figure = style.new_figure(2.4)
        axes = figure.subplots()
        sns.scatterplot(
            x=x, y=y, ax=axes, s=9, color="#c9dcea", edgecolor=style.GREY, linewidth=0.25, legend=False, zorder=1
        )
        stops = sorted({max(1, round(len(done) * part)) for part in (0.25, 0.5, 1.0)})
        looks = list(zip((style.SKY, style.GREEN, style.INK), (":", "--", "-"), ("^", "s", "o"), strict=True))[
            -len(stops) :
        ]
        for stop, (colour, dashes, marker) in zip(stops, looks, strict=True):
            points = np.column_stack([x[:stop] * (-1 if maximise[1] else 1), y[:stop] * (-1 if maximise[0] else 1)])
            front = _front(points)
            axes.plot(
                x[front],
                y[front],
                drawstyle="steps-post",
                color=colour,
                linestyle=dashes,
                marker=marker,
                markersize=3,
                linewidth=1.1,
                label=f"after {stop} trial{'s' if stop > 1 else ''}",
                zorder=3,
            )
        scaled_axis(axes, x, "x", counts=objectives[1] in ("macs", "params"))
        axes.set_xlabel(_label(objectives[1]))
        axes.set_ylabel(_label(objectives[0]))
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.1, 1.0), ncols=3, handlelength=2.2, columnspacing=1, borderaxespad=0.1
        )
        return style.finish(
            figure, title=title, note=f"{note} n = {len(done)} trials, each a point; lines: Pareto fronts.".strip()
        )


def hypervolume_plot(
    trials: pd.DataFrame,
    objectives: Sequence[str],
    *,
    maximise: Sequence[bool],
    title: str = "Hypervolume",
    note: str = "",
) -> Figure:
    """Return the hypervolume of the front after each trial, relative to that of the box of all trials.

    The reference point is the worst value of each objective among the trials, the unit the box from there to the best
    values.

    Raises:
        ValueError: an objective is not a column, or no trial is complete.
    """
    done, order = _done(trials, objectives)
    signs = np.where(np.asarray(maximise), -1.0, 1.0)
    losses = done[list(objectives)].to_numpy(dtype=float) * signs
    low, high = losses.min(axis=0), losses.max(axis=0)
    scaled = (losses - low) / np.where(high > low, high - low, 1.0)
    volumes = growing_hypervolumes(scaled)
    with style.context():
        figure = style.new_figure(1.8)
        axes = figure.subplots()
        axes.plot(order, volumes, drawstyle="steps-post", color=style.INK, marker="o", markersize=2.2)
        _whole_trials(axes)
        axes.set_ylim(0, 1.03)
        axes.set_ylabel("hypervolume (share of box)")
        over = f.join_words(_label(o) for o in objectives)
        return style.finish(
            figure,
            title=title,
            note=f"{note} n = {len(done)} trials; over {over}; reference: the worst of each.".strip(),
        )


def importance_plot(
    importances: Mapping[str, float], *, objective: str, title: str = "Parameter importance", note: str = ""
) -> Figure:
    """Return the share of each search parameter in the variation of an objective, the largest on top.

    Raises:
        ValueError: there are no importances.
    """
    load_matplotlib()
    import seaborn as sns

    if not importances:
        raise ValueError("importances: none given; at least one parameter")
    names = sorted(importances, key=lambda n: -importances[n])[:25]
    labels = [f.wrapped(style.legible(n), 28) for n in names]
    lines = max(label.count("\n") + 1 for label in labels)
    with style.context():
        figure = style.new_figure(0.5 + (0.1 * lines + 0.07) * len(labels))
        axes = figure.subplots()
        sns.barplot(
            x=[importances[n] for n in names],
            y=np.arange(len(names)),
            orient="h",
            ax=axes,
            color=style.SKY,
            edgecolor=style.BLUE,
            linewidth=0.5,
            width=0.65,
        )
        axes.set_yticks(range(len(names)), labels, fontsize=6 if lines > 1 else None)
        for row, name in enumerate(names):
            axes.text(importances[name], row, f" {importances[name]:.2f}", va="center", fontsize=6)
        axes.margins(x=0.14)
        axes.grid(visible=False, axis="y")
        axes.set_ylabel("")
        axes.set_xlabel(f"importance for {_label(objective).split(' (')[0]}\n(share of variation)")
        more = f" {len(names)} largest of {len(importances)}." if len(names) < len(importances) else ""
        return style.finish(figure, title=title, note=(note + more).strip())


def space_distribution(
    trials: pd.DataFrame,
    *,
    by: str = "space",
    value: str = "val_accuracy",
    title: str = "Design spaces",
    note: str = "",
    band: bool = False,
) -> Figure:
    """Return the share of networks of each space whose error is below e, for all e: the further left a line, the better
    the space; with a 95 % `band` by the inequality of Dvoretzky, Kiefer and Wolfowitz.

    Raises:
        ValueError: a column is missing, or no trial is complete.
    """
    load_matplotlib()
    import seaborn as sns

    done, _ = _done(trials, [value])
    if by not in done:
        raise ValueError(f"trials: no column {by!r}; columns: {', '.join(map(str, trials.columns))}")
    groups = list(dict.fromkeys(done[by].astype(str)))
    with style.context():
        figure = style.new_figure(1.9 + 0.13 * len(groups))
        axes = figure.subplots()
        for i, group in enumerate(groups):
            errors = 100 * (1 - done.loc[done[by].astype(str) == group, value].to_numpy(dtype=float))
            numbers = f"n = {len(errors)}, best {errors.min():.1f}, median {np.median(errors):.1f}"
            label = f"\u200a{f.wrapped(style.legible(group), 40)} ({numbers})"
            sns.ecdfplot(
                x=errors,
                ax=axes,
                color=style.PALETTE[i % len(style.PALETTE)],
                linestyle=style.DASHES[i % len(style.DASHES)],
                linewidth=1.3,
                label=label,
            )
            if band:
                places = np.sort(errors)
                shares = np.arange(1, len(places) + 1) / len(places)
                half = np.sqrt(np.log(2 / 0.05) / (2 * len(places)))
                axes.fill_between(
                    places,
                    np.clip(shares - half, 0, 1),
                    np.clip(shares + half, 0, 1),
                    step="post",
                    color=style.PALETTE[i % len(style.PALETTE)],
                    alpha=0.12,
                    linewidth=0,
                )
            axes.plot(
                errors,
                np.full(len(errors), -0.03 - 0.03 * i),
                "|",
                markersize=3,
                markeredgewidth=0.4,
                color=style.PALETTE[i % len(style.PALETTE)],
            )
        axes.set_xlabel(f"{_label(value).replace('accuracy', 'error')}")
        axes.set_ylabel("cumulative probability")
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
        axes.legend(loc="lower left", bbox_to_anchor=(-0.12, 1.0), handlelength=2.4, borderaxespad=0.1, fontsize=6)
        return style.finish(
            figure,
            title=title,
            note=f"{note} Empirical distribution functions{', 95 % bands' if band else ''}; ticks: networks.".strip(),
        )


def _front(points: Array) -> list[int]:
    """Indices of the points (N, 2), to be minimised, that no other dominates, by increasing first coordinate."""
    return pareto_front(list(points[:, 0]), list(-points[:, 1]))


def _done(trials: pd.DataFrame, objectives: Sequence[str]) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """The complete trials, and the number of each, counted from 1 over all."""
    absent = [o for o in objectives if o not in trials]
    if absent:
        raise ValueError(f"trials: no column {', '.join(absent)}; columns: {', '.join(map(str, trials.columns))}")
    keep = trials[list(objectives)].notna().all(axis=1).to_numpy(dtype=bool)
    if "status" in trials:
        keep = keep & (trials["status"] == "complete").to_numpy(dtype=bool)
    if not keep.any():
        raise ValueError(f"trials: none of {len(trials)} is complete; a figure needs at least one")
    return trials[keep], np.flatnonzero(keep) + 1


def _shown(trials: pd.DataFrame, objective: str) -> Array:
    return trials[objective].to_numpy(dtype=float) * (100 if objective.endswith("accuracy") else 1)


def _label(objective: str) -> str:
    return UNITS.get(objective, style.legible(objective))


def _whole_trials(axes: Axes) -> None:
    load_matplotlib()
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel("trial")
