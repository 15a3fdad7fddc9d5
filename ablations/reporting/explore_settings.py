"""Interactive effects with several rows for a variant: a study in several settings, or at fixed and tuned recipes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ablations.reporting.explore import Choice, Explorable, ExplorableFigure, Filter, colours
from ablations.reporting.explore_marks import SHAPES_SAID, axis_choice, effect_layers, in_points, marked, pointed
from xception.base import formatting as f

if TYPE_CHECKING:
    from ablations.analysis.settings import SettingsComparison

__all__ = ["explorable_settings", "explorable_tuning"]

ROW = 24  # pixels
INTERVALS = ("delta_mean", "delta_ci_low", "delta_ci_high", "equivalence_ci_low", "equivalence_ci_high")
SHOWN = ("variant", "row", "n", "verdict", "said", *INTERVALS, "colour", "shape")
THIN_AND_THICK = "Thin bars: 95 % intervals, thick: 90 %; grey band: ±δ."


def explorable_settings(result: SettingsComparison) -> Explorable | None:
    """Return the effects in every setting and over each budget, with filters by variant and by each field; None where
    no setting has an effect.
    """
    effects = result.effects[result.effects["exists"] & result.effects["delta_mean"].notna()]
    if effects.empty:
        return None
    names = [str(name) for name in dict.fromkeys(result.effects["variant"])]
    named = colours(names)
    fields = [one.name for one in result.fields]
    table = marked(in_points(effects), named).assign(
        variant=effects["variant"].astype(str),
        row=[f"{row['variant']}: {', '.join(str(row[name]) for name in fields)}" for row in effects.to_dict("records")],
        **{_column(name): effects[name] for name in fields},
    )
    pooled = _pooled(result, named)
    filters = [Filter(field="variant", title="Variants", values=names, colours=[named[name] for name in names])]
    for one in result.fields:
        if len(one.values) > 1:
            values = [value if one.is_numeric else str(value) for value in one.values]
            filters.append(Filter(field=_column(one.name), title=one.name, values=values))
    rows = table[[*SHOWN, *map(_column, fields)]]
    order = [row for name in names for part in (table, pooled) for row in part.loc[part["variant"] == name, "row"]]
    forest = _forest(
        pd.concat([rows, pooled], ignore_index=True) if len(pooled) else rows,
        order,
        _margins(effects),
        title="Effects in every setting",
        note=f"Rows: variant, {', '.join(fields)}. {THIN_AND_THICK} Both hold together over variants × settings."
        + (" Pooled: thick, the mean over the settings; thin, another setting like these." if len(pooled) else "")
        + f" {SHAPES_SAID}",
        replaces=("settings",),
    )
    return Explorable(filters=filters, figures=[forest, *_over_budgets(result, table, fields)])


def explorable_tuning(table: pd.DataFrame, margin: float | None) -> Explorable | None:
    """Return each variant's effect at the fixed recipe and at its tuned one, from the table of both side by side; None
    where there is none.
    """
    parts = []
    for recipe in ("fixed", "tuned"):
        own = table[(table[f"{recipe}_verdict"] != "baseline") & table[f"{recipe}_delta_mean"].notna()]
        columns = {name: own[f"{recipe}_{name}"] for name in ("n", *INTERVALS, "verdict")}
        part = pd.DataFrame({"variant": own["variant"].astype(str), "recipe": recipe, **columns})
        parts.append(part.assign(row=[f"{name}: {recipe} recipe" for name in part["variant"]]))
    effects = pd.concat(parts, ignore_index=True)
    if effects.empty:
        return None
    names = list(dict.fromkeys(effects["variant"]))
    named = colours(names)
    shown = marked(in_points(effects), named)[[*SHOWN, "recipe"]]
    order = [row for name in names for row in effects.loc[effects["variant"] == name, "row"]]
    return Explorable(
        filters=(
            Filter(field="variant", title="Variants", values=names, colours=[named[name] for name in names]),
            Filter(field="recipe", title="Recipes", values=["fixed", "tuned"]),
        ),
        figures=[
            _forest(
                shown,
                order,
                [] if margin is None else [margin],
                title="At the fixed recipe and at tuned ones",
                note=f"Each difference is from the baseline at its own recipe. {THIN_AND_THICK} {SHAPES_SAID}",
            )
        ],
    )


def _forest(
    rows: pd.DataFrame,
    order: Sequence[str],
    margins: Sequence[float],
    *,
    title: str,
    note: str,
    replaces: Sequence[str] = (),
) -> ExplorableFigure:
    layers = effect_layers("row", [100 * margin for margin in margins] if len(margins) == 1 else [])
    layers[-1]["params"] = [{"name": "brush", "select": {"type": "interval", "encodings": ["x"]}}]
    return ExplorableFigure(
        title=title,
        note=note,
        replaces=replaces,
        zoom=("x",),
        row=ROW,
        row_field="row",
        data={"effects": rows},
        spec={
            "description": f"{title}, in percentage points.",
            "encoding": {
                "x": {"type": "quantitative", "title": "difference from the baseline (pp)", "scale": {"zero": False}},
                "y": {
                    "type": "nominal",
                    "title": None,
                    "sort": list(order),
                    "scale": {},
                    "axis": {"labelLimit": 320, "grid": False},
                },
            },
            "layer": layers,
        },
    )


def _pooled(result: SettingsComparison, named: dict[str, str]) -> pd.DataFrame:
    """The pooled effect of each variant that has one, as a row of the forest."""
    own = result.answers[result.answers["pooled_mean"].notna()]
    columns = {
        name: 100 * own[other].astype(float)
        for name, other in zip(
            INTERVALS,
            ("pooled_mean", "new_ci_low", "new_ci_high", "pooled_ci_low", "pooled_ci_high"),
            strict=True,
        )
    }
    said = [
        f"{f.points(row['pooled_mean'])} {f.interval(row['pooled_ci_low'], row['pooled_ci_high'], signed=True)}; in"
        f" another setting {f.interval(row['new_ci_low'], row['new_ci_high'], signed=True)}"
        for row in own.to_dict("records")
    ]
    variants = own["variant"].astype(str)
    return pd.DataFrame(
        {
            "variant": variants,
            "row": [f"{name}: pooled" for name in variants],
            "n": own["num_settings"],
            "verdict": "pooled",
            "said": said,
            **columns,
            "colour": [named[name] for name in variants],
            "shape": "diamond",
        }
    )


def _over_budgets(result: SettingsComparison, table: pd.DataFrame, fields: Sequence[str]) -> Iterator[ExplorableFigure]:
    """The figure of effects over each field of numbers, a line for each variant and each value of the other fields."""
    numeric = [one.name for one in result.fields if one.is_numeric and len(one.values) > 1]
    if not numeric:
        return
    first = numeric[0]
    options: dict[str, dict[str, Any]] = {
        name: {
            "encoding.x.field": _column(name),
            "encoding.x.title": name,
            "layer.1.encoding.detail": [{"field": _column(other)} for other in ("variant", *fields) if other != name],
        }
        for name in numeric
    }
    x = {"field": _column(first), "type": "quantitative", "title": first, "scale": {"nice": False, "padding": 24}}
    titles = {"variant": "Variant", "row": "Setting", "said": "Effect and 95 % interval (pp)", "n": "Pairs"}
    colour = {"field": "colour", "type": "nominal", "scale": None}
    yield ExplorableFigure(
        title="Effects over a budget",
        note="A line for each variant, and for each value of the other fields. Bars: 95 % intervals that hold together"
        f" over variants × settings. {SHAPES_SAID}",
        replaces=[f"effect_{name.replace('.', '_')}" for name in numeric],
        data={"effects": table[[*SHOWN, *map(_column, fields)]]},
        choices=(Choice(title="Budget", options=options), axis_choice("x", "Budget axis", first="log")),
        spec={
            "description": "Effects over a budget, a line for each variant.",
            "height": 320,
            "data": {"name": "effects"},
            "encoding": {
                "x": {**x, "axis": {"grid": False, "values": sorted({*table[_column(first)]})}},
                "y": {
                    "field": "delta_mean",
                    "type": "quantitative",
                    "title": "difference from the baseline (pp)",
                    "scale": {"zero": False},
                },
                "color": colour,
            },
            "layer": [
                {
                    "mark": {"type": "rule", "strokeWidth": 1.2, "aria": False, "clip": True},
                    "encoding": {"y": {"field": "delta_ci_low"}, "y2": {"field": "delta_ci_high"}},
                },
                {
                    "mark": {"type": "line", "strokeWidth": 1.3, "aria": False, "clip": True},
                    "encoding": {"detail": options[first]["layer.1.encoding.detail"]},
                },
                {
                    "params": [{"name": "brush", "select": {"type": "interval"}}],
                    **pointed(
                        {"type": "point", "filled": True, "size": 80, "opacity": 1},
                        {**titles, "verdict": "Verdict"},
                        {"shape": {"field": "shape", "type": "nominal", "scale": None}},
                    ),
                },
            ],
        },
    )


def _margins(effects: pd.DataFrame) -> list[float]:
    return [float(one) for one in np.unique(effects["delta_margin"].dropna().astype(float))]


def _column(name: str) -> str:
    """A column's name without dots, which Vega reads as a path."""
    return name.replace(".", "_") if name == "variant" else f"of_{name.replace('.', '_')}"
