"""The marks of interactive figures: their tooltips, effects with their intervals, and kinds of axes.

The colour is that of the variant, as beside its name in the filter; the shape of a mean is that of its verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ablations.reporting.explore import CURRENT, Choice
from ablations.reporting.style import VERDICT_MARKS
from xception.base import formatting as f

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KEY", "SHAPES_SAID", "axis_choice", "effect_layers", "in_points", "marked", "pointed"]

KEY = 12  # characters of a key, as many as name a trial elsewhere
SHAPES_SAID = (
    "The shape of a mean shows its verdict: triangle up, helps; triangle down, hurts; square, no meaningful effect;"
    " circle, inconclusive; diamond, baseline."
)
_SHAPES = {"D": "diamond", "^": "triangle-up", "v": "triangle-down", "s": "square", "o": "circle"}


def pointed(mark: Mapping[str, Any], titles: Mapping[str, str], encoding: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mark and its encoding, with the columns and their titles as its tooltip and for screen readers."""
    said = " + '; ' + ".join(f"'{title}: ' + datum.{name}" for name, title in titles.items())
    shown = [{"field": name, "title": title} for name, title in titles.items()]
    return {"mark": {**mark, "clip": True, "description": {"expr": said}}, "encoding": {**encoding, "tooltip": shown}}


def marked(table: pd.DataFrame, named: Mapping[str, str]) -> pd.DataFrame:
    """Return the table with the `colour` of its variants, as `named`, and the `shape` of its verdicts."""
    return table.assign(
        colour=[named[str(name)] for name in table["variant"]],
        shape=[_SHAPES[VERDICT_MARKS[verdict].marker] for verdict in table["verdict"]],
    )


def effect_layers(rows: str, margins: list[float]) -> list[dict[str, Any]]:
    """Return the layers of a forest of `effects`, one row for each value of the column: ±δ (in points) as a band where
    there is one, zero, both intervals and the mean.
    """
    y = {"field": rows, "type": "nominal"}
    colour = {"field": "colour", "type": "nominal", "scale": None}
    band: list[dict[str, Any]] = [
        {
            "data": {"values": [{}]},
            "mark": {"type": "rect", "color": CURRENT, "opacity": 0.12, "aria": False, "clip": True},
            "encoding": {"x": {"datum": -margin}, "x2": {"datum": margin}},
        }
        for margin in margins
    ]
    shown = {"variant": "Variant", rows: rows.capitalize(), "said": "Effect and 95 % interval (pp)"}
    return [
        *band,
        {
            "data": {"values": [{}]},
            "mark": {"type": "rule", "color": CURRENT, "aria": False, "clip": True},
            "encoding": {"x": {"datum": 0}},
        },
        *(
            {
                "data": {"name": "effects"},
                "mark": {"type": "rule", "strokeWidth": width, "aria": False, "clip": True},
                "encoding": {
                    "y": y,
                    "x": {"field": f"{ends}_low", "type": "quantitative"},
                    "x2": {"field": f"{ends}_high"},
                    "color": colour,
                },
            }
            for ends, width in (("delta_ci", 1.2), ("equivalence_ci", 4))
        ),
        {
            "data": {"name": "effects"},
            **pointed(
                {"type": "point", "filled": True, "size": 110, "opacity": 1},
                {**shown, "n": "Pairs", "verdict": "Verdict"},
                {
                    "y": y,
                    "x": {"field": "delta_mean", "type": "quantitative"},
                    "color": colour,
                    "shape": {"field": "shape", "type": "nominal", "scale": None},
                },
            ),
        },
    ]


def in_points(table: pd.DataFrame) -> pd.DataFrame:
    """Return effects and intervals in percentage points, with `said`: the effect and its 95 % interval in words."""
    names = ("delta_mean", "delta_ci_low", "delta_ci_high", "equivalence_ci_low", "equivalence_ci_high")
    said = [
        f"{f.points(row['delta_mean'])} {f.interval(row['delta_ci_low'], row['delta_ci_high'], signed=True)}"
        for row in table.to_dict("records")
    ]
    return table.assign(**{name: 100 * table[name].astype(float) for name in names}, said=said)


def axis_choice(channel: str, title: str = "Axis", *, first: str = "linear") -> Choice:
    """Return the choice between a linear and a logarithmic axis."""
    at = f"encoding.{channel}.scale"
    options: dict[str, dict[str, Any]] = {
        "linear": {f"{at}.type": "linear", f"{at}.zero": False},
        "log": {f"{at}.type": "log"},
    }
    return Choice(title=title, options={kind: options[kind] for kind in sorted(options, key=lambda one: one != first)})
