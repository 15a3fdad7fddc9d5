"""Figures of replayed searches: regret over trials and over simulated hours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ablations.reporting import style
from search.benchmark.replay import Run, mean_interval, regret_at

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["regret_plot"]

_POINTS = 200
_MOST_COLUMNS = 4


def regret_plot(runs: Sequence[Run], trials: int, *, title: str, note: str) -> Figure:
    """Return the mean regret in test accuracy of each method, over trials and over simulated hours, with 95 % t bands
    over repeats: a panel for each method, with the means of all others in grey and of the first one dashed.

    Over simulated hours a line ends where its first search ends.
    """
    methods = list(dict.fromkeys(run.method for run in runs))
    repeats = max(run.repeat for run in runs) - min(run.repeat for run in runs) + 1
    per_axis = -(-len(methods) // _MOST_COLUMNS)
    columns = -(-len(methods) // per_axis)
    axes = (
        ("spent", "trainings spent (whole ones)", 1.0, float(trials)),
        ("seconds", "simulated hours of training", 3600.0, None),
    )
    with style.context():
        figure = style.new_figure(0.5 + 2.1 * per_axis, width=style.FULL_WIDTH)
        grid = figure.subplots(2 * per_axis, columns, sharey=True, squeeze=False)
        for half, (over, label, unit, end) in enumerate(axes):
            curves = {name: _curve([r for r in runs if r.method == name], over, end) for name in methods}
            panels = grid[half * per_axis : (half + 1) * per_axis].flat
            for place, panel in enumerate(panels):
                if place >= len(methods):
                    panel.set_axis_off()
                    continue
                for name, (at, means) in curves.items():
                    if name != methods[place]:
                        first = name == methods[0]
                        panel.plot(
                            at / unit,
                            means[:, 0],
                            color=style.INK if first else style.GREY,
                            linestyle="--" if first else "-",
                            linewidth=0.9 if first else 0.4,
                            alpha=1.0 if first else 0.6,
                            zorder=3 if first else 2,
                            drawstyle="steps-post",
                        )
                at, means = curves[methods[place]]
                panel.fill_between(at / unit, means[:, 1], means[:, 2], color=style.BLUE, alpha=0.16, linewidth=0)
                panel.plot(at / unit, means[:, 0], color=style.BLUE, linewidth=1.4, zorder=4, drawstyle="steps-post")
                panel.set_title(style.legible(methods[place]), pad=2)
                panel.set_ylim(bottom=0)
                if place % columns == 0:
                    panel.set_ylabel("regret (pp)")
                if place + columns >= len(methods):
                    panel.set_xlabel(label)
        method = (
            "Regret: best mean test accuracy less that of the pick by validation. Blue: mean and 95 % t interval of"
            f" {repeats} searches with the method that the panel names; dashed: {methods[0]}; grey: the others."
        )
        return style.finish(figure, title=title, note=f"{note} {method}")


def _curve(own: Sequence[Run], over: str, end: float | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places on an axis, (P,), and mean and interval of a method's regret there in points, (P, 3)."""
    last = min(getattr(run, over)[-1] for run in own) if end is None else end
    first = max(getattr(run, over)[0] for run in own)
    places = np.linspace(first, max(last, first), _POINTS)
    table = np.array([100 * regret_at(run, places, over=over) for run in own])
    return places, np.array([mean_interval(column) for column in table.T])
