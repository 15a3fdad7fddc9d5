"""Reliability curves: how often a network is right, by how confident it is.

The diagram is that of DeGroot and Fienberg 1983, as Guo et al. 2017 (arXiv:1706.04599) draw it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablations.reporting import style
from xception.base import formatting as f

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ablations.analysis.calibration import CalibrationTables

__all__ = ["reliability_plot"]

SHOWN = 5  # curves: the baseline's and those of the variants whose calibration error differs most
FEWEST_IMAGES = 20  # of a bin, over all seeds; the accuracy of fewer is mostly chance


def reliability_plot(tables: CalibrationTables, *, data: str, width: float = style.COLUMN_WIDTH) -> Figure | None:
    """Return accuracy over confidence by bin, a curve for each of a few variants; None where no record keeps
    confidences. `data` says in the note what it was measured on.
    """
    summary = tables.summary
    if summary.empty:
        return None
    names = _chosen(tables)
    left_out = len(summary) - len(names)
    with style.context():
        labels = [f.wrapped(style.legible(name), int(11 * width)) for name in names]
        figure = style.new_figure(2.1 + 0.12 * sum(label.count("\n") + 1 for label in labels), width=width)
        axes = figure.subplots()
        axes.plot([0, 100], [0, 100], color=style.GREY, linewidth=0.7, linestyle="--", zorder=1)
        for place, (name, label) in enumerate(zip(names, labels, strict=True)):
            own = tables.bins[(tables.bins["variant"] == name) & (tables.bins["num_images"] >= FEWEST_IMAGES)]
            error = summary.loc[summary["variant"] == name, "calibration_error_mean"].iloc[0]
            axes.plot(
                100 * own["confidence_mean"],
                100 * own["accuracy"],
                color=style.PALETTE[place],
                linestyle=style.DASHES[place],
                marker=style.MARKERS[place],
                markersize=3.2,
                label=f"\u200a{label} (ECE {f.percent(error)} %)",
                zorder=3,
                clip_on=False,
            )
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 100)
        axes.set_xlabel("confidence (%)")
        axes.set_ylabel("accuracy (%)")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.1, 1.0), handlelength=2.6, borderaxespad=0.1)
        seeds = sorted(set(summary.loc[summary["variant"].isin(names), "n"]))
        more = (
            f" {left_out} more variants, which differ less from the baseline, are in calibration.csv."
            if left_out
            else ""
        )
        return style.finish(
            figure,
            title="Reliability: accuracy by confidence",
            note=f"{data} Each mark is a bin of confidence with {FEWEST_IMAGES} test images or more, over"
            f" n = {f.join_words(map(str, seeds))} seeds; below the dashed line a network is too confident.{more}",
        )


def _chosen(tables: CalibrationTables) -> list[str]:
    """The baselines first, then the variants whose calibration error differs most from its baseline's."""
    summary = tables.summary
    is_base = summary["variant"] == summary["baseline"]
    others = summary[~is_base]
    order = others["delta_mean"].astype(float).abs().fillna(0).sort_values(ascending=False, kind="stable").index
    ranked = [*summary.loc[is_base, "variant"], *others.loc[order, "variant"]]
    return [str(name) for name in ranked[:SHOWN]]
