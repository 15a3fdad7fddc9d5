"""Figures of replayed searches: regret over trials and over simulated hours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ablations.reporting import style
from search.benchmark.replay import Run, mean_interval, regret_at

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["regret_plot"]

_POINTS = 200


def regret_plot(runs: Sequence[Run], trials: int, *, title: str, note: str) -> Figure:
    """Return the mean regret in test accuracy of each method, over trials and over simulated hours, with 95 % t bands
    over repeats.

    On the clock a line ends where the first of its searches does.
    """
    methods = list(dict.fromkeys(run.method for run in runs))
    repeats = max(run.repeat for run in runs) - min(run.repeat for run in runs) + 1
    with style.context():
        figure = style.new_figure(4.3)
        panels = figure.subplots(2)
        axes = (
            ("spent", "trainings spent (whole ones)", 1.0, float(trials)),
            ("seconds", "simulated hours of training", 3600.0, None),
        )
        for panel, (over, label, unit, end) in zip(panels, axes, strict=True):
            for i, method in enumerate(methods):
                own = [run for run in runs if run.method == method]
                last = min(getattr(run, over)[-1] for run in own) if end is None else end
                first = max(getattr(run, over)[0] for run in own)
                places = np.linspace(first, max(last, first), _POINTS)
                table = np.array([100 * regret_at(run, places, over=over) for run in own])
                triples = np.array([mean_interval(column) for column in table.T])
                colour = style.PALETTE[i % len(style.PALETTE)]
                dashes = style.DASHES[(i + i // len(style.PALETTE)) % len(style.DASHES)]  # no two lines alike
                panel.fill_between(places / unit, triples[:, 1], triples[:, 2], color=colour, alpha=0.09, linewidth=0)
                name = style.legible(method)
                panel.plot(
                    places / unit,
                    triples[:, 0],
                    color=colour,
                    linestyle=dashes,
                    linewidth=1.1,
                    label=name,
                    drawstyle="steps-post",
                )
            panel.set_xlabel(label)
            panel.set_ylabel("regret (pp)")
            panel.set_ylim(bottom=0)
        panels[0].legend(
            loc="lower left", bbox_to_anchor=(-0.12, 1.0), ncols=3, handlelength=2.4, columnspacing=1, borderaxespad=0.1
        )
        method = (
            "Regret: best mean test accuracy less that of the pick by validation. Mean and 95 % t interval of"
            f" {repeats} searches."
        )
        return style.finish(figure, title=title, note=f"{note} {method}")
