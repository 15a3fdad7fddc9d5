"""Learning curves: the mean over seeds with the band from the lowest to the highest, every seed a thin line.

The shape is that of Figures 6, 9 and 10 of Chollet 2017 (arXiv:1610.02357).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ablations.reporting import style
from ablations.reporting.captions import data_sentence
from ablations.reporting.plot_rows import references, titled
from ablations.reporting.tables import curves_frame
from xception.base import formatting as f
from xception.base.drawing import load_matplotlib

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["learning_curves"]

Value = Literal["val_accuracy", "val_loss", "train_loss"]
LABELS: dict[Value, str] = {
    "val_accuracy": "validation accuracy (%)",
    "val_loss": "validation loss (nats)",
    "train_loss": "training loss (nats)",
}
TOGETHER = 4  # variants in one axes; more get a panel each
PANELS = 12
PANEL_WIDTH = 1.1  # inches


def learning_curves(
    frame: pd.DataFrame, comparison: pd.DataFrame, value: Value = "val_accuracy", width: float = style.COLUMN_WIDTH
) -> Figure:
    """Return a figure of a value by epoch: up to four variants in one axes, more in small panels against the baseline.

    A run that diverged ends in a cross. Of more than twelve variants those with the largest differences are shown.

    Raises:
        ValueError: no trial has a curve.
    """
    curves = curves_frame(frame)
    curves = curves[curves[value].notna()]
    if curves.empty:
        raise ValueError(f"frame: no trial has a curve of {value}; at least one")
    curves = curves.assign(
        shown=curves[value].astype(float) * (100 if value == "val_accuracy" else 1), epoch=curves["epoch"].astype(int)
    )
    broken = set(frame.loc[frame["status"] == "diverged", "key"])
    names = [v for v in comparison["variant"] if v in set(curves["variant"])]
    seeds = curves.groupby("variant")["seed"].nunique()
    baselines = references(frame)
    others = [n for n in names if n in baselines] or names
    with style.context():
        if len(names) <= TOGETHER:
            figure = _together(curves, names, broken, value, width)
        else:
            figure = _panels(curves, _most_different(others, comparison), baselines, broken, value, width)
        note = (
            f"{data_sentence(frame)} n = {seeds.min()}{'' if seeds.min() == seeds.max() else f' to {seeds.max()}'}"
            f" {'seed' if seeds.max() == 1 else 'seeds'}; bold line: mean over seeds; band: lowest to highest seed;"
            f" thin lines: each seed{'; a cross ends a run that diverged' if broken & set(curves['key']) else ''}."
        )
        if len(names) > TOGETHER:
            grey = set(baselines.values())
            note += f" Dashed grey: {grey.pop() if len(grey) == 1 else 'the baseline of each'}."
        if len(others) > PANELS:
            note += f" {PANELS} of {len(others)} variants: those with the largest differences from the baseline."
        return style.finish(figure, title=titled(frame, LABELS[value].split(" (")[0] + " by epoch"), note=note)


def _together(curves: pd.DataFrame, names: list[str], broken: set[str], value: Value, width: float) -> Figure:
    figure = style.new_figure(2.2, width=width)
    axes = figure.subplots()
    for name, colour, dashes in zip(names, style.PALETTE, style.DASHES, strict=False):
        _draw(axes, curves[curves["variant"] == name], broken, colour, dashes, label=f.wrapped(style.legible(name), 46))
    _axes(axes, curves)
    axes.set_xlabel("epoch")
    axes.set_ylabel(LABELS[value])
    one = any(len(n) > 20 for n in names)
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.1, 1.0), ncols=1 if one else 2, handlelength=2.6, borderaxespad=0.1
    )
    figure.set_figheight(2.0 + 0.13 * sum(f.wrapped(n, 46).count("\n") + 1 for n in names) / (1 if one else 2))
    return figure


def _most_different(others: list[str], comparison: pd.DataFrame) -> list[str]:
    """The variants that get a panel, in their order: all, or those with the largest differences."""
    size = comparison.set_index("variant")["delta_mean"].astype(float).abs().fillna(-np.inf)
    largest = set(sorted(others, key=lambda n: -size[n])[:PANELS])
    return [n for n in others if n in largest]


def _panels(
    curves: pd.DataFrame, others: list[str], baselines: dict[str, str], broken: set[str], value: Value, width: float
) -> Figure:
    columns = min(len(others), max(3, int(width / PANEL_WIDTH)))
    lines = {n: f.wrapped(style.legible(n), int(19 * width / columns / PANEL_WIDTH)) for n in others}
    rows = -(-len(others) // columns)
    tallest = max(text.count("\n") + 1 for text in lines.values())
    # a single row must still be as high as the label of its axis is long
    figure = style.new_figure(max(rows * (0.72 + 0.1 * tallest) + 0.35, 1.75), width=width)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(others):
            axes.set_axis_off()
            continue
        _draw(axes, curves[curves["variant"] == baselines.get(others[place])], broken, style.GREY, "--")
        _draw(axes, curves[curves["variant"] == others[place]], broken, style.BLUE, "-")
        axes.set_title(lines[others[place]], fontsize=5.4, pad=2, linespacing=1.0)
        _axes(axes, curves, few=True)
        if place + columns >= len(others):
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("epoch")
            axes.xaxis.label.set_visible(True)
    figure.supylabel(LABELS[value], fontsize=7)
    return figure


def _draw(
    axes: Axes, curves: pd.DataFrame, broken: set[str], colour: str, dashes: object, label: str | None = None
) -> None:
    """Mean, band and each seed of one variant; a diverged run counts in neither mean nor band and ends in a cross."""
    load_matplotlib()
    import seaborn as sns

    whole = curves[~curves["key"].isin(broken)]
    for key, one in curves.groupby("key", sort=False):
        axes.plot(
            one["epoch"],
            one["shown"],
            color=colour,
            linewidth=0.4,
            alpha=0.45,
            zorder=2,
            marker="." if len(one) == 1 else None,
            markersize=2,
        )
        if key in broken:
            axes.plot(
                one["epoch"].iloc[-1:],
                one["shown"].iloc[-1:],
                marker="x",
                color=colour,
                markersize=4,
                linestyle="none",
                zorder=4,
            )
    if len(whole):
        sns.lineplot(
            data=whole,
            x="epoch",
            y="shown",
            estimator="mean",
            errorbar=("pi", 100),
            color=colour,
            linestyle=dashes,
            ax=axes,
            err_kws={"alpha": 0.16, "linewidth": 0},
            linewidth=1.3,
            zorder=3,
            legend=False,
            marker="o" if whole["epoch"].nunique() == 1 else None,
        )
    if label is not None:
        axes.plot(
            [],
            [],
            color=colour,
            linestyle=dashes,
            linewidth=1.3,
            label=label if not label.startswith("_") else f"\u200a{label}",
        )


def _axes(axes: Axes, curves: pd.DataFrame, *, few: bool = False) -> None:
    load_matplotlib()
    from matplotlib.ticker import MaxNLocator

    axes.set(xlabel="", ylabel="")
    axes.xaxis.set_major_locator(MaxNLocator(3 if few else 6, integer=True))
    epochs = sorted(set(curves["epoch"]))
    if len(epochs) == 1:
        axes.set_xticks(epochs)
    axes.yaxis.set_major_locator(MaxNLocator(3 if few else 5))
    if few:
        axes.tick_params(labelsize=5.5)
