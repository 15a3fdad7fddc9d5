"""What figures with one row per variant share: names that fit, room for them, and notes on what is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ablations.records.record import chance_accuracy
from ablations.reporting import style
from ablations.reporting.captions import data_sentence
from xception.base import formatting as f
from xception.base.drawing import load_matplotlib

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = [
    "CROWDED",
    "Rows",
    "counted",
    "data_note",
    "draw_seeds",
    "intervals_note",
    "lay_out",
    "marks_note",
    "references",
    "seed_offsets",
    "seeds_note",
    "set_rows",
    "titled",
]

CROWDED = 40  # more rows cannot all be named at a readable size
NAME_WIDTH = 24  # characters


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Variants from top to bottom with their labels, and the height in inches that they need."""

    variants: tuple[str, ...]
    labels: tuple[str, ...]
    height: float
    crowded: bool

    def positions(self) -> dict[str, int]:
        """Return the y position of each variant, 0 at the top."""
        return {name: row for row, name in enumerate(self.variants)}


def counted(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of trials that have ended, accuracy in percent as `percent`: a diverged one is drawn at chance.

    Raises:
        ValueError: no trial is complete or diverged.
    """
    done = frame[frame["status"].isin(["complete", "diverged"])]
    if done.empty:
        raise ValueError("frame: no trial has ended with a result; a figure needs at least one")
    chance = done["num_classes"].astype(float).map(chance_accuracy)
    return done.assign(percent=100 * done["test_accuracy"].astype(float).where(done["status"] == "complete", chance))


def references(frame: pd.DataFrame) -> dict[str, str]:
    """Return the baseline that each other variant is compared with: that of the column `reference`, else the only one
    there is.
    """
    baselines = list(dict.fromkeys(frame.loc[frame["is_baseline"].astype(bool), "variant"].astype(str)))
    variants = [str(v) for v in dict.fromkeys(frame["variant"]) if str(v) not in baselines]
    if "reference" in frame and frame["reference"].notna().all():
        given = dict(zip(frame["variant"].astype(str), frame["reference"].astype(str), strict=True))
        return {variant: given[variant] for variant in variants}
    return dict.fromkeys(variants, baselines[0]) if baselines else {}


def draw_seeds(axes: Axes, x: ArrayLike, y: ArrayLike, diverged: ArrayLike, *, size: float) -> None:
    """Draw each seed as a point, a diverged one as a cross."""
    load_matplotlib()
    import seaborn as sns

    crosses, x, y = np.asarray(diverged, dtype=bool), np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    sns.scatterplot(
        x=x[~crosses],
        y=y[~crosses],
        ax=axes,
        s=size,
        color=style.SKY,
        edgecolor=style.BLUE,
        linewidth=0.3,
        alpha=0.9,
        zorder=2,
        legend=False,
    )
    axes.plot(
        x[crosses],
        y[crosses],
        marker="x",
        markersize=size**0.5,
        markeredgewidth=0.7,
        color=style.VERMILION,
        linestyle="none",
        zorder=2,
    )


def lay_out(comparison: pd.DataFrame, variants: Sequence[str], *, order_by: str) -> Rows:
    """Return the rows of a figure: in the order given, or by value where they are too many to be named."""
    crowded = len(variants) > CROWDED
    table = comparison.set_index("variant").loc[list(variants)]
    if crowded:
        values = table[order_by].astype(float).fillna(-np.inf)
        ordered = values.sort_values(ascending=False, kind="stable").index
        return Rows(variants=tuple(ordered), labels=(), height=min(9.0, 0.045 * len(variants) + 0.5), crowded=True)
    usual = table["n"].max()
    labels = []
    for name, row in table.iterrows():
        remarks = [f"n = {int(row['n'])}"] if row["n"] != usual else []
        remarks += [
            f"{int(row[c])} {w}" for c, w in (("num_diverged", "diverged"), ("num_failed", "failed")) if row[c] > 0
        ]
        labels.append(
            "\n".join([f.wrapped(style.legible(name), NAME_WIDTH), *([f"({', '.join(remarks)})"] if remarks else [])])
        )
    tallest = max(label.count("\n") + 1 for label in labels)
    height = max(0.6, len(labels) * max(0.2, 0.115 * tallest + 0.05)) + 0.42
    return Rows(variants=tuple(variants), labels=tuple(labels), height=height, crowded=False)


def set_rows(axes: Axes, rows: Rows, baseline: str | None) -> None:
    """Name the rows on the y axis, the first on top; of too many, only the baseline is named."""
    axes.set_ylim(len(rows.variants) - 0.5, -0.5)
    if rows.crowded:
        at = rows.positions()
        axes.set_yticks(
            [at[baseline]] if baseline in at else [],
            [f.wrapped(style.legible(baseline), NAME_WIDTH)] if baseline in at else [],
        )
        axes.set_ylabel(f"{len(rows.variants)} variants, best on top")
    else:
        axes.set_yticks(range(len(rows.labels)), list(rows.labels))
        axes.set_ylabel("")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def seed_offsets(seeds: pd.Series[int], spread: float = 0.26) -> np.ndarray:
    """Return a small vertical offset for each seed, the same in every row, so that equal values do not hide each other.

    None is near 0, where the intervals are drawn.
    """
    known = sorted(seeds.unique())
    above, below = len(known) - len(known) // 2, len(known) // 2
    lanes = [*-np.linspace(spread, spread / 2, above), *np.linspace(spread / 2, spread, below)]
    at = dict(zip(known, lanes, strict=True))
    return np.array([at[s] for s in seeds])


def seeds_note(comparison: pd.DataFrame) -> str:
    """Return "n = 5 seeds" or the range where variants differ."""
    low, high = int(comparison["n"].min()), int(comparison["n"].max())
    if low == high:
        return f"n = {low} {'seed' if low == 1 else 'seeds'}"
    return f"n = {low} to {high} seeds"


def marks_note(comparison: pd.DataFrame) -> str:
    """Return what the marks of the verdicts that occur stand for."""
    signs = {"baseline": "◆", "helps": "▲", "hurts": "▼", "no meaningful effect": "■", "inconclusive": "○"}
    counts = comparison["verdict"].value_counts()
    shown = [
        f"{signs[v]}\N{NO-BREAK SPACE}{v}" + (f" ({counts[v]})" if len(comparison) > CROWDED else "")
        for v in signs
        if v in counts
    ]
    return f"Marks: {', '.join(shown)}."


def titled(frame: pd.DataFrame, text: str) -> str:
    """Return the text behind the name of the study, where the frame holds one study."""
    studies = frame["study"].unique()
    return f"{studies[0]}: {text}" if len(studies) == 1 else text[:1].upper() + text[1:]


def data_note(frame: pd.DataFrame) -> str:
    """Return which data and scale a figure shows, and what a cross stands for where there is one."""
    crosses = (
        " Crosses: diverged trials, drawn at chance, in no mean or interval."
        if (frame["status"] == "diverged").any()
        else ""
    )
    return data_sentence(frame) + crosses


def intervals_note(comparison: pd.DataFrame) -> str:
    """Return how the intervals of the differences were made."""
    others = comparison[comparison["verdict"] != "baseline"]
    if others["delta_ci_low"].isna().all():
        return ""
    together = "" if len(others) == 1 else f", simultaneous over {len(others)} comparisons"
    looks = " and all looks" if "stopped" in others and others["stopped"].notna().any() else ""
    return f"; thin bars: 95 % intervals, thick bars: 90 %, by paired t{together}{looks}"
