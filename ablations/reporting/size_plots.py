"""Accuracy over MACs of a baseline at several widths, with the variants that are compared with this curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ablations.analysis.measurements import measure
from ablations.reporting import style
from ablations.reporting.cost_plots import COSTS, scaled_axis
from ablations.reporting.plot_labels import name_points
from ablations.reporting.plot_rows import counted, data_note, draw_seeds, titled
from ablations.reporting.style import VERDICT_MARKS
from xception.base import formatting as f

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["size_plot"]

POINTS_ALONG = 80  # of the line, for names to keep clear of


def size_plot(
    frame: pd.DataFrame, curve: Mapping[str, Any], distances: pd.DataFrame, width: float = style.COLUMN_WIDTH
) -> Figure | None:
    """Return the figure of one curve; None where fewer than two of its widths have a result.

    `curve` names its `baseline`, `widths` and `variants`, all in the frame; `distances` has the variants' distances
    from the curve, with verdicts.
    """
    part = frame[frame["variant"].isin([curve["baseline"], *curve["widths"], *curve["variants"]])]
    measured = measure(part, "fixed")
    macs = np.array([float(measured.constant(variant, "macs")) for variant in measured.variants])
    means = np.array([100 * float(np.nanmean(row)) if np.isfinite(row).any() else np.nan for row in measured.accuracy])
    shown = np.isfinite(macs) & np.isfinite(means)
    is_width = np.array([name == curve["baseline"] or name in curve["widths"] for name in measured.variants])
    line = np.flatnonzero(shown & is_width)
    if len(line) < 2:
        return None
    line = line[np.argsort(macs[line])]
    verdicts = dict(zip(distances["variant"], distances["verdict"], strict=True))
    done = counted(part)
    with style.context():
        figure = style.new_figure(2.3, width=width)
        axes = figure.subplots()
        places = dict(zip(measured.variants, macs, strict=True))
        draw_seeds(axes, done["variant"].map(places), done["percent"], done["status"] == "diverged", size=9)
        axes.plot(macs[line], means[line], color=style.INK, linewidth=0.9, zorder=2)
        for index in np.flatnonzero(shown):
            mark = VERDICT_MARKS["baseline" if is_width[index] else str(verdicts[measured.variants[index]])]
            if not is_width[index]:
                below = float(np.interp(np.log(macs[index]), np.log(macs[line]), means[line]))
                axes.plot([macs[index]] * 2, [below, means[index]], color=mark.colour, linewidth=1.2, zorder=3)
            axes.plot(
                macs[index],
                means[index],
                linestyle="none",
                marker=mark.marker,
                markersize=4.5,
                color=mark.colour,
                zorder=4,
                markerfacecolor=mark.colour if mark.filled else "white",
                markeredgewidth=0.6,
                markeredgecolor=style.INK if mark.filled else mark.colour,
            )
        scaled_axis(axes, macs[shown], "x", counts=True)
        axes.set_xlabel(COSTS["macs"])
        axes.set_ylabel("test accuracy (%)")
        axes.margins(x=0.12, y=0.14)
        style.within_percent(axes, "y")
        summary = f.join_words(
            f"{row['variant']} {f.points(row['mean'])} pp ({row['verdict']})" for row in distances.to_dict("records")
        )
        note = (
            f"{data_note(part)} Line: {curve['baseline']} at several widths, mean over seeds; vertical: distance of a"
            f" variant from it at the variant's own MACs: {summary}."
        )
        style.finish(figure, title=titled(part, "accuracy at equal MACs"), note=note)
        order = list(np.flatnonzero(shown))
        along = [
            (float(x), float(np.interp(np.log(x), np.log(macs[line]), means[line])))
            for x in np.geomspace(macs[line[0]], macs[line[-1]], POINTS_ALONG)
        ]
        name_points(axes, [(macs[i], means[i]) for i in order], [measured.variants[i] for i in order], along)
        return figure
