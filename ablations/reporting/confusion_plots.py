"""Confusion matrices: the baseline's, and how each variant's differs from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ablations.reporting import style
from xception.base import formatting as f
from xception.base.drawing import load_matplotlib

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MOST_CLASSES", "confusion_plot"]

MOST_CLASSES = 20  # with more, cells are too small to read
SHOWN = 5  # variants, those first whose matrix differs most
SIDE, AROUND = 1.55, 0.75  # inches of a panel at most, and of the names and the scale beside it
WIDE = 6.0  # inches of a figure with three panels side by side


def confusion_plot(confusion: pd.DataFrame, *, data: str, width: float = style.FULL_WIDTH) -> Figure | None:
    """Return the confusion matrix of the first baseline and the differences of its variants' from it; None without
    cells, or with more than 20 classes.

    `confusion` is that of `ablations.analysis.predictions`; `data` says in the note what it was measured on.
    """
    own = confusion[confusion["baseline"] == confusion["baseline"].iloc[0]] if len(confusion) else confusion
    classes = dict(sorted({*_classes(own, "true_class"), *_classes(own, "predicted_class")}))
    if not classes or len(classes) > MOST_CLASSES:
        return None
    changes = {str(name): _matrix(part, "difference", classes) for name, part in own.groupby("variant", sort=False)}
    names = sorted(changes, key=lambda name: -float(np.nansum(np.abs(changes[name]))))[:SHOWN]
    first = own[own["variant"] == own["variant"].iloc[0]]
    load_matplotlib()
    with style.context():
        across = min(2 if width < WIDE or len(names) == 3 else 3, len(names) + 1)
        down = -(-(len(names) + 1) // across)
        side = min(SIDE, width / across - AROUND)
        figure = style.new_figure(down * (side + AROUND) + 0.2, width=width)
        axes = list(np.ravel(figure.subplots(down, across, squeeze=False)))
        baseline = str(own["baseline"].iloc[0])
        _draw(figure, axes[0], _matrix(first, "baseline_share", classes), list(classes.values()), baseline, None)
        most = max(0.1, *(float(np.nanmax(np.abs(changes[name]))) for name in names))
        for place, name in zip(axes[1:], names, strict=False):
            _draw(figure, place, changes[name], list(classes.values()), f"{name} − {baseline}", most)
        for place in axes[len(names) + 1 :]:
            place.set_axis_off()
        left_out = len(changes) - len(names)
        more = f" {left_out} more variants, which change less, are in confusion.csv." if left_out else ""
        seeds = sorted(set(own["n"]))
        return style.finish(
            figure,
            title="Confusion: the baseline's matrix, and what changes",
            note=f"Rows: true class; columns: predicted class. In percent of the images of the true class, means over"
            f" n = {f.join_words(map(str, seeds))} seeds; differences in percentage points.{more} {data}",
        )


def _classes(confusion: pd.DataFrame, column: str) -> set[tuple[int, str]]:
    return {(int(c), str(n)) for c, n in zip(confusion[column], confusion[f"{column}_name"], strict=True)}


def _matrix(part: pd.DataFrame, column: str, classes: dict[int, str]) -> np.ndarray:
    """The cells in percent; empty ones of a class that occurs are 0, and a class that does not occur is NaN."""
    places = {number: place for place, number in enumerate(classes)}
    out = np.zeros((len(classes), len(classes)))
    rows = part["true_class"].map(places)
    out[rows, part["predicted_class"].map(places)] = 100 * part[column]
    absent = [place for number, place in places.items() if number not in set(part["true_class"])]
    out[absent] = np.nan
    return out


def _draw(figure: Figure, axes: Axes, matrix: np.ndarray, names: list[str], title: str, most: float | None) -> None:
    if most is None:
        image = axes.imshow(matrix, cmap="cividis", vmin=0, vmax=100)
    else:
        image = axes.imshow(matrix, cmap="PuOr_r", vmin=-most, vmax=most)
    axes.grid(visible=False)
    axes.set_title(f.wrapped(style.legible(title), 30), fontsize=6)
    labels = [style.legible(name if len(name) <= 12 else f"{name[:11]}…") for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=90, fontsize=5)
    axes.set_yticks(range(len(names)), labels, fontsize=5)
    bar = figure.colorbar(image, ax=axes, shrink=0.75, aspect=14)
    bar.ax.tick_params(labelsize=5)
