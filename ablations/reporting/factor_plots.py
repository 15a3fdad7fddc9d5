"""Factorial studies: the mean accuracy of each combination of two factors, as a heat map and as lines that show an
interaction.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from ablations.reporting import style
from ablations.reporting.plot_rows import counted, data_note, draw_seeds, titled
from xception.base import formatting as f
from xception.base.drawing import load_matplotlib

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["factor_cells", "factor_heat_map", "factor_pairs", "interaction_plot"]


def factor_pairs(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the pairs of factors of which each has at least two levels in the frame; none where the study has no
    factors.
    """
    if "levels" not in frame:
        return []
    levels = [value for value in frame["levels"] if isinstance(value, dict)]
    names = [
        n for n in dict.fromkeys(n for value in levels for n in value) if len({str(v[n]) for v in levels if n in v}) > 1
    ]
    return list(itertools.combinations(names, 2))


def factor_heat_map(frame: pd.DataFrame, rows: str, columns: str, width: float = style.COLUMN_WIDTH) -> Figure:
    """Return a heat map of mean test accuracy over seeds (and over all other factors) for the levels of two factors.

    Raises:
        ValueError: no trial has a result with levels of both factors.
    """
    load_matplotlib()
    import seaborn as sns

    cells = factor_cells(frame, rows, columns)
    means = cells.groupby([rows, columns], sort=False)["percent"].mean().unstack(columns, sort=False)
    counts = cells.groupby([rows, columns], sort=False)["percent"].size()
    with style.context():
        figure = style.new_figure(0.65 + 0.34 * len(means), width=width)
        axes = figure.subplots()
        sns.heatmap(
            means,
            ax=axes,
            cmap="cividis",
            annot=True,
            fmt=".2f",
            annot_kws={"fontsize": 6.5 if means.shape[1] <= 5 else 5},
            linewidths=0.6,
            linecolor="white",
            cbar_kws={"label": "test accuracy (%)", "shrink": 0.9, "aspect": 14},
        )
        axes.grid(visible=False)
        axes.set_xlabel(f.wrapped(style.legible(columns), 40))
        axes.set_ylabel(f.wrapped(style.legible(rows), 20))
        axes.set_xticklabels(
            [f.wrapped(style.legible(t.get_text()), max(6, 30 // means.shape[1])) for t in axes.get_xticklabels()],
            rotation=0,
        )
        axes.set_yticklabels([f.wrapped(style.legible(t.get_text()), 14) for t in axes.get_yticklabels()], rotation=0)
        n = f"n = {counts.min()}" + ("" if counts.min() == counts.max() else f" to {counts.max()}")
        return style.finish(
            figure,
            title=titled(frame, f"{rows} by {columns}"),
            note=(
                f"{data_note(frame)} Means over all trials of a cell, {n} each; intervals are in the interaction plot."
            ),
        )


def interaction_plot(frame: pd.DataFrame, across: str, lines: str, width: float = style.COLUMN_WIDTH) -> Figure:
    """Return accuracy across the levels of one factor, a line for each level of another: parallel lines show no
    interaction.

    Raises:
        ValueError: no trial has a result with levels of both factors.
    """
    from scipy import stats

    cells = factor_cells(frame, across, lines)
    positions = {level: i for i, level in enumerate(dict.fromkeys(cells[across]))}
    groups = list(dict.fromkeys(cells[lines]))
    with style.context():
        figure = style.new_figure(2.1 + 0.13 * -(-len(groups) // 2), width=width)
        axes = figure.subplots()
        shifts = np.linspace(-0.12, 0.12, len(groups)) if len(groups) > 1 else np.zeros(1)
        for i, (group, shift) in enumerate(zip(groups, shifts, strict=True)):
            own = cells[cells[lines] == group]
            colour, marker = style.PALETTE[i % len(style.PALETTE)], style.MARKERS[i % len(style.MARKERS)]
            draw_seeds(axes, own[across].map(positions) + shift, own["percent"], own["status"] == "diverged", size=7)
            at: list[float] = []
            means: list[float] = []
            ends: list[tuple[float, float]] = []
            for level, values in own.groupby(across, sort=False)["percent"]:
                count = len(values)
                at.append(positions[str(level)] + shift)
                means.append(float(values.mean()))
                half = float(stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / count**0.5) if count > 1 else np.nan
                ends.append((min(half, means[-1]), min(half, 100 - means[-1])))  # an accuracy is 0 to 100 %
            axes.errorbar(
                at,
                means,
                yerr=np.array(ends).T,
                color=colour,
                marker=marker,
                markersize=4,
                linewidth=1.1,
                elinewidth=0.8,
                capsize=1.5,
                linestyle=style.DASHES[i % len(style.DASHES)],
                label=f"\u200a{f.wrapped(style.legible(group), 22)}",
                zorder=3,
            )
        axes.set_xticks(
            list(positions.values()), [f.wrapped(style.legible(p), max(6, 44 // len(positions))) for p in positions]
        )
        axes.set_xlim(-0.4, len(positions) - 0.6)
        axes.set_xlabel(f.wrapped(style.legible(across), 40))
        axes.set_ylabel("test accuracy (%)")
        style.within_percent(axes, "y")
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.1, 1.0),
            ncols=2,
            title=style.legible(lines),
            title_fontsize=6.5,
            alignment="left",
            handlelength=2.6,
            borderaxespad=0.1,
        )
        sizes = cells.groupby([across, lines])["percent"].size()
        n = f"n = {sizes.min()}" + ("" if sizes.min() == sizes.max() else f" to {sizes.max()}")
        return style.finish(
            figure,
            title=titled(frame, f"{lines} across {across}"),
            note=f"{data_note(frame)} {n} trials per mark; bars: 95 % confidence intervals of the means (Student t).",
        )


def factor_cells(frame: pd.DataFrame, *factors: str) -> pd.DataFrame:
    """Return the trials that ended, with a column for the level of each factor.

    Raises:
        ValueError: no trial has levels of all of them.
    """
    done = counted(frame)
    for name in factors:
        done[name] = [str(v[name]) if isinstance(v, dict) and name in v else None for v in done["levels"]]
    done = done.dropna(subset=list(factors))
    if done.empty:
        raise ValueError(f"frame: no trial has levels of {f.join_words(factors)}; at least one")
    return done
