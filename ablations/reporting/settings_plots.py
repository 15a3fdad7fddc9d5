"""A study in several settings: effects by setting, effects over a budget, and how well small budgets decide."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ablations.reporting import style
from ablations.reporting.style import VERDICT_MARKS
from xception.base import formatting as f
from xception.base.drawing import load_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ablations.analysis.settings import SettingsComparison

__all__ = ["decision_plot", "effect_over_budget", "settings_forest"]

ROW, HEAD, GAP = 0.155, 0.24, 0.05  # inches for one setting, for the head of a block and after it
HEAD_WIDTH, NAME_WIDTH = 18.5, 9.0  # characters per inch of the figure's width
MOST_PANELS = 6
CLOSE = 1.15  # ratio of training times
EXTRAPOLATION = 2.0  # drawn this many times beyond the largest budget
BARS = "bars: 95 % (thin) and 90 % (thick) intervals, simultaneous over variants × settings"


def settings_forest(
    result: SettingsComparison, *, title: str, note: str, width: float = 0.72 * style.FULL_WIDTH
) -> Figure:
    """Return a forest plot: one block per variant with its sentence, one row per setting, the pooled effect below."""
    rows = result.effects
    answers = {str(row["variant"]): row for row in result.answers.to_dict("records")}
    labels, heads, y = [], [], 0.0
    load_matplotlib()
    from matplotlib.transforms import blended_transform_factory

    with style.context():
        figure = style.new_figure(1.0, width=width)
        axes = figure.subplots()
        margin = rows["delta_margin"].dropna().unique()
        if len(margin) == 1:
            axes.axvspan(-100 * margin[0], 100 * margin[0], color=style.BAND, zorder=0, linewidth=0)
        axes.axvline(0, color=style.INK, linewidth=0.8, zorder=1)
        for variant, block in rows.groupby("variant", sort=False):
            sentence = str(answers[str(variant)]["sentence"])
            heads.append(
                (y, "\n".join(textwrap.wrap(style.legible(f"{variant}: {sentence}"), int(HEAD_WIDTH * width))))
            )
            y += (HEAD + 0.1 * heads[-1][1].count("\n")) / ROW
            for row in block.to_dict("records"):
                _effect_bars(axes, y, row)
                name = style.legible(f.wrapped(str(row["setting"]), int(NAME_WIDTH * width)))
                labels.append((y, name))
                y += 1 + 0.6 * name.count("\n")
            pooled = answers[str(variant)]
            if f.is_number(pooled["pooled_mean"]):
                _pooled_mark(axes, y, pooled)
                labels.append((y, "pooled; dashed: a new setting"))
                y += 1
            y += GAP / ROW
        axes.set_ylim(y - 0.2, -0.8)
        axes.set_yticks([at for at, _ in labels], [text for _, text in labels])
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        for at, text in heads:
            axes.text(
                0.012,
                at - 0.5,
                text,
                transform=blended_transform_factory(figure.transFigure, axes.transData),
                fontweight="bold",
                va="top",
                fontsize=6.3,
                in_layout=False,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
                zorder=5,
            )
        axes.set_xlabel(f.wrapped("paired difference from the baseline (pp)", int(NAME_WIDTH * width)))
        figure.set_figheight(y * ROW + 0.45)
        band = f"; grey band: ±δ = ±{f.percent(margin[0])} pp" if len(margin) == 1 else ""
        return style.finish(figure, title=title, note=f"{note} {_pairs(rows)}; {BARS}{band}.")


def _pairs(rows: pd.DataFrame) -> str:
    n = rows.loc[rows["exists"], "n"]
    return f"n = {n.min()}{'' if n.min() == n.max() else f' to {n.max()}'} pairs per setting"


def _effect_bars(axes: Axes, y: float, row: Mapping[Hashable, Any]) -> None:
    if not row["exists"]:
        axes.text(0.02, y, "not possible here", transform=axes.get_yaxis_transform(), va="center", color=style.GREY)
        return
    mark = VERDICT_MARKS[str(row["verdict"])]
    for name, width in (("delta_ci", 0.9), ("equivalence_ci", 2.2)):
        ends = [100 * float(row[f"{name}_{side}"]) for side in ("low", "high")]
        if np.isfinite(ends).all():
            axes.plot(ends, [y, y], color=mark.colour, linewidth=width, solid_capstyle="butt", zorder=3)
    axes.plot(
        [100 * float(row["delta_mean"])],
        [y],
        marker=mark.marker,
        color=mark.colour,
        markerfacecolor=mark.colour if mark.filled else "white",
        linestyle="none",
        markersize=4.2,
        zorder=4,
    )


def _pooled_mark(axes: Axes, y: float, row: Mapping[Hashable, Any]) -> None:
    mean, low, high, new_low, new_high = (
        100 * float(row[name])
        for name in ("pooled_mean", "pooled_ci_low", "pooled_ci_high", "new_ci_low", "new_ci_high")
    )
    axes.plot([new_low, new_high], [y, y], color=style.INK, linewidth=0.8, linestyle=(0, (3, 2)), zorder=2)
    axes.fill([low, mean, high, mean], [y, y - 0.3, y, y + 0.3], color=style.INK, zorder=3)


def effect_over_budget(
    result: SettingsComparison, field: str, *, title: str, note: str, width: float | None = None
) -> Figure:
    """Return a figure of each variant's effect over one budget, with its band; what lies beyond the largest is dotted.

    Raises:
        ValueError: the field is no budget of these settings.
    """
    budget = next((one for one in result.fields if one.name == field and one.is_numeric), None)
    if budget is None or len(budget.values) < 2:
        raise ValueError(f"field: {field!r} is not allowed; a numeric field with two values or more")
    others = [one.name for one in result.fields if one.name != field and len(one.values) > 1]
    variants = list(dict.fromkeys(result.effects["variant"]))[:MOST_PANELS]
    columns = min(len(variants), 3 if width is None or width > 1.5 * style.COLUMN_WIDTH else 2)
    num_rows = -(-len(variants) // columns)
    with style.context():
        own_width = style.COLUMN_WIDTH if columns == 1 else style.FULL_WIDTH
        figure = style.new_figure(1.9 * num_rows + 0.2, width=width or own_width)
        panels = figure.subplots(num_rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        for axes, variant in zip(panels, variants, strict=False):
            own = result.effects[(result.effects["variant"] == variant) & result.effects["exists"]]
            _budget_panel(axes, own, field, others)
            axes.set_title(f.wrapped(style.legible(variant), 34), loc="left")
        for axes in panels[len(variants) :]:
            axes.set_visible(False)
        figure.supylabel("difference from the baseline (pp)", fontsize=7)
        for axes in panels[: len(variants)][-columns:]:
            axes.set_xlabel(field)
        left_out = len(set(result.effects["variant"])) - len(variants)
        more = f" {left_out} more variants are in settings.csv." if left_out else ""
        text = (
            "Bands: 95 % intervals, simultaneous over variants × settings; grey: ±δ; dotted: extrapolated, decides"
            " nothing."
        )
        return style.finish(figure, title=title, note=f"{note} {text}{more}")


def _budget_panel(axes: Axes, own: pd.DataFrame, field: str, others: list[str]) -> None:
    margin = own["delta_margin"].dropna().unique()
    if len(margin) == 1:
        axes.axhspan(-100 * margin[0], 100 * margin[0], color=style.BAND, zorder=0, linewidth=0)
    axes.axhline(0, color=style.INK, linewidth=0.8, zorder=1)
    lines = [("", own)] if not others else [(_name(key), part) for key, part in own.groupby(others, sort=False)]
    for number, (name, part) in enumerate(lines):
        part = part.sort_values(field)
        x = part[field].to_numpy(dtype=np.float64)
        mean, low, high = (
            100 * part[c].to_numpy(dtype=np.float64) for c in ("delta_mean", "delta_ci_low", "delta_ci_high")
        )
        colour = style.PALETTE[(number + 1) % len(style.PALETTE)]
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(x, mean, color=colour, marker=style.MARKERS[number % len(style.MARKERS)], markersize=3.5)
        slope = np.polyfit(np.log2(x), mean, 1) if len(x) > 1 else None
        if slope is not None:
            ends = np.array([x[-1], EXTRAPOLATION * x[-1]])
            axes.plot(ends, mean[-1] + slope[0] * np.log2(ends / x[-1]), color=colour, linestyle=":", linewidth=0.8)
        if name:
            offset = (2, -9 if len(x) > 1 and mean[1] > mean[0] else 4)  # on the side that the line leaves free
            axes.annotate(name, (x[0], mean[0]), xytext=offset, textcoords="offset points", fontsize=6, color=colour)
    axes.set_xscale("log", base=2)
    values = sorted(set(own[field]))
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()


def _name(key: object) -> str:
    return style.legible(", ".join(str(part) for part in key) if isinstance(key, tuple) else str(key))


def decision_plot(result: SettingsComparison, *, title: str, note: str, width: float = style.COLUMN_WIDTH) -> Figure:
    """Return a figure of decision accuracy over the training time of one trial.

    Raises:
        ValueError: there are no budgets to compare.
    """
    load_matplotlib()
    from matplotlib.ticker import FuncFormatter, LogLocator

    rows = result.decisions
    if rows.empty:
        raise ValueError("decisions: none; a budget with two values, two variants and three seeds are needed")
    with style.context():
        figure = style.new_figure(2.1, width=width)
        axes = figure.subplots()
        axes.axhline(50, color=style.GREY, linewidth=0.7, linestyle="--")
        for number, ((field, where), part) in enumerate(rows.groupby(["field", "where"], sort=False)):
            part = part.sort_values("train_seconds")
            colour = style.PALETTE[(number + 1) % len(style.PALETTE)]
            x, y = part["train_seconds"].to_numpy(), 100 * part["accuracy"].to_numpy()
            x = x * 1.03**number  # so that bars of two lines do not hide each other
            errors = 100 * np.stack([part["accuracy"] - part["ci_low"], part["ci_high"] - part["accuracy"]])
            axes.errorbar(x, y, errors, color=colour, marker=style.MARKERS[number % len(style.MARKERS)], elinewidth=0.8)
            axes.lines[-1].set_label(_name(f"{field}, {where}" if where else field))
            for text, left, top in _labels(part["value"].tolist(), x.tolist(), y.tolist()):
                offset = (4, -8 if number % 2 else 4)
                axes.annotate(text, (left, top), xytext=offset, textcoords="offset points", fontsize=6, color=colour)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.minorticks_off()
        num_lines = len(rows.groupby(["field", "where"]))
        axes.set_ylim(min(45, 100 * rows["ci_low"].min() - 3) - 8 * num_lines, 106)  # room for the legend
        axes.margins(x=0.1)
        axes.legend(loc="lower left")
        axes.set_xlabel("training time of one trial (s)")
        axes.set_ylabel("order of two variants as at the\nlargest budget (% of pairs × seeds)")
        text = (
            "Bars: 95 % bootstrap over seeds and pairs of variants. Dashed: a coin. The truth for a seed is the"
            " order of the other seeds' means at the largest budget."
        )
        return style.finish(figure, title=title, note=f"{note} {text}")


def _labels(values: Sequence[float], x: Sequence[float], y: Sequence[float]) -> list[tuple[str, float, float]]:
    """Return texts with their places; budgets whose points are too close for two texts share one."""
    labels: list[tuple[str, float, float]] = []
    for value, left, top in zip(values, x, y, strict=True):
        if labels and left < CLOSE * labels[-1][1] and top == labels[-1][2]:
            labels[-1] = (f"{labels[-1][0]}, {value:g}", *labels[-1][1:])
        else:
            labels.append((f"{value:g}", left, top))
    return labels
