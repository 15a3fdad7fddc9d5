"""The figures of a study that a reader can explore: effects by seed, learning curves, accuracy against costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ablations.reporting import style
from ablations.reporting.accuracy_plots import paired_differences
from ablations.reporting.cost_plots import COSTS
from ablations.reporting.curve_plots import LABELS
from ablations.reporting.explore import CURRENT, Choice, Explorable, ExplorableFigure, Filter, colours
from ablations.reporting.plot_rows import counted, references, seed_offsets
from ablations.reporting.style import VERDICT_MARKS
from ablations.reporting.tables import curves_frame
from xception.base import formatting as f

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["axis_choice", "effect_layers", "explorable_study", "in_points", "marked", "pointed"]

_SHAPES = {"D": "diamond", "^": "triangle-up", "v": "triangle-down", "s": "square", "o": "circle"}
_SHORT = {"macs": "MACs", "params": "parameters", "latency_ms": "latency"}
ROW = 26  # pixels of a variant's row
FEW = 20  # rows that a window shows at once
SHOWN = (
    "variant",
    "n",
    "verdict",
    "said",
    "delta_mean",
    "delta_ci_low",
    "delta_ci_high",
    "equivalence_ci_low",
    "equivalence_ci_high",
    "colour",
    "shape",
)
KEY = 12  # characters of a key, as many as name a trial elsewhere


def explorable_study(frame: pd.DataFrame, comparison: pd.DataFrame) -> Explorable | None:
    """Return a study's figures, with filters by variant and seed; None where no trial has ended with a result."""
    ended = frame["status"].isin(["complete", "diverged"])
    if not ended.any():
        return None
    variants = [str(v) for v in comparison["variant"]]
    named = colours(variants)
    seeds = sorted({int(s) for s in frame.loc[ended, "seed"]})
    return Explorable(
        filters=(
            Filter(field="variant", title="Variants", values=variants, colours=[named[v] for v in variants]),
            Filter(field="seed", title="Seeds", values=seeds),
        ),
        figures=[*_effects(frame, comparison), *_curves(frame, named), *_costs(frame, comparison)],
    )


def pointed(mark: Mapping[str, Any], titles: Mapping[str, str], encoding: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mark and its encoding; pointing at it shows the columns with their titles, and a screen reader says
    them.
    """
    said = " + '; ' + ".join(f"'{title}: ' + datum.{name}" for name, title in titles.items())
    shown = [{"field": name, "title": title} for name, title in titles.items()]
    return {"mark": {**mark, "clip": True, "description": {"expr": said}}, "encoding": {**encoding, "tooltip": shown}}


def marked(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the `colour` and the `shape` of its verdicts."""
    marks = table["verdict"].map(VERDICT_MARKS.__getitem__)
    ink = {style.INK: CURRENT}
    return table.assign(
        colour=[ink.get(mark.colour, mark.colour) for mark in marks], shape=[_SHAPES[mark.marker] for mark in marks]
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
                {"type": "point", "filled": True, "size": 90, "opacity": 1},
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


def _effects(frame: pd.DataFrame, comparison: pd.DataFrame) -> Iterator[ExplorableFigure]:
    pairs = paired_differences(counted(frame), references(frame))
    if pairs.empty:
        return
    pairs = pairs.merge(_keys(frame), on=["variant", "seed"], how="left")
    pairs = pairs.assign(
        offset=18 * seed_offsets(pairs["seed"]) / 0.26 / 2,
        status=["diverged" if diverged else "complete" for diverged in pairs["diverged"]],
        shape=["cross" if diverged else "circle" for diverged in pairs["diverged"]],
        colour=[style.VERMILION if diverged else style.SKY for diverged in pairs["diverged"]],
    ).drop(columns="diverged")
    told = comparison[(comparison["verdict"] != "baseline") & comparison["delta_mean"].notna()]
    effects = marked(in_points(told))
    effects = effects[list(SHOWN)]
    margins = [100 * float(one) for one in told["delta_margin"].dropna().unique()]
    layers = effect_layers("variant", margins if len(margins) == 1 else [])
    points = {
        "data": {"name": "pairs"},
        "params": [{"name": "brush", "select": {"type": "interval", "encodings": ["x"]}}],
        **pointed(
            {"type": "point", "filled": True, "size": 36, "yOffset": {"expr": "datum.offset"}},
            {
                "variant": "Variant",
                "seed": "Seed",
                "key": "Key",
                "points": "Difference (pp)",
                "status": "Status of the pair",
            },
            {
                "x": {"field": "points", "type": "quantitative"},
                "y": {"field": "variant", "type": "nominal"},
                "color": {"field": "colour", "type": "nominal", "scale": None},
                "shape": {"field": "shape", "type": "nominal", "scale": None},
            },
        ),
    }
    yield ExplorableFigure(
        title="Effects by seed",
        note="Each point is a pair of trials with the same seed. Effects and intervals (95 % thin, 90 % thick) stay"
        " those of all seeds, whatever is switched off; grey band: ±δ.",
        replaces=("differences",),
        zoom=("x",),
        domains={"encoding.y.scale.domain": "variant"},
        row=ROW,
        data={"pairs": pairs, "effects": effects},
        spec={
            "description": "Paired differences from the baseline by variant.",
            "encoding": {
                "x": {
                    "type": "quantitative",
                    "title": "difference from the baseline (pp)",
                    "scale": {"zero": False},
                    "axis": {"orient": "top" if len(told) > FEW else "bottom"},
                },
                "y": {"type": "nominal", "title": None, "scale": {}, "axis": {"labelLimit": 220, "grid": False}},
            },
            "layer": [*layers[:-3], points, *layers[-3:]],
        },
    )


def _curves(frame: pd.DataFrame, named: dict[str, str]) -> Iterator[ExplorableFigure]:
    curves = curves_frame(frame)
    values = [name for name in LABELS if curves[name].notna().any()]
    if not values:
        return
    places = {name: place for place, name in enumerate(named)}
    num_colours = len(style.PALETTE)
    number = {"type": "quantitative", "scale": {}}
    shown = curves.assign(
        variant=curves["variant"].astype(str),
        key=curves["key"].astype(str).str[:KEY],
        epoch=curves["epoch"].astype(int),
        colour=curves["variant"].astype(str).map(named),
        dash=[places[str(name)] // num_colours % 4 for name in curves["variant"]],
        **{name: curves[name].astype(float) * (100 if name == "val_accuracy" else 1) for name in values},
    )
    yield ExplorableFigure(
        title="Learning curves",
        note="A line for each trial.",
        replaces=("learning_curves",),
        data={"curves": shown[["variant", "seed", "key", "epoch", *values, "colour", "dash"]]},
        choices=(
            Choice(
                title="Value",
                options={LABELS[name]: {"encoding.y.field": name, "encoding.y.title": LABELS[name]} for name in values},
            ),
            axis_choice("y"),
            axis_choice("x", "Epochs"),
        ),
        spec={
            "description": "Learning curves, a line for each trial.",
            "height": 320,
            "data": {"name": "curves"},
            "encoding": {
                "x": {
                    "field": "epoch",
                    "title": "epoch",
                    **number,
                    "axis": {"tickMinStep": 1, "format": "d", "grid": False},
                },
                "y": {"field": values[0], "title": LABELS[values[0]], **number},
                "color": {"field": "colour", "type": "nominal", "scale": None},
            },
            "layer": [
                {
                    "mark": {"type": "line", "strokeWidth": 1.3, "clip": True, "aria": False},
                    "encoding": {
                        "detail": [{"field": "variant"}, {"field": "seed"}],
                        "strokeDash": {
                            "field": "dash",
                            "type": "ordinal",
                            "legend": None,
                            "scale": {"domain": [0, 1, 2, 3], "range": [[1, 0], [5, 3], [2, 2], [8, 2, 2, 2]]},
                        },
                    },
                },
                {
                    "params": [{"name": "brush", "select": {"type": "interval"}}],
                    **pointed(
                        {"type": "point", "filled": True, "size": 22},
                        {
                            "variant": "Variant",
                            "seed": "Seed",
                            "key": "Key",
                            "epoch": "Epoch",
                            **{name: LABELS[name] for name in values},
                        },
                        {},
                    ),
                },
            ],
        },
    )


def _costs(frame: pd.DataFrame, comparison: pd.DataFrame) -> Iterator[ExplorableFigure]:
    shown = comparison[comparison["test_accuracy_mean"].notna()]
    costs = [name for name in COSTS if name in shown and shown[name].nunique() > 1]
    if not costs:
        return
    means = marked(shown).assign(
        variant=shown["variant"].astype(str),
        **{name: 100 * shown[f"test_accuracy_{name}"].astype(float) for name in ("mean", "ci_low", "ci_high")},
    )[["variant", "n", "verdict", "mean", "ci_low", "ci_high", *costs, "colour", "shape"]]
    done = counted(frame).assign(variant=lambda rows: rows["variant"].astype(str))
    trials = done[["variant", "seed", "key", "status", "percent"]].merge(means[["variant", *costs]], on="variant")
    trials = trials.assign(
        key=trials["key"].astype(str).str[:KEY],
        shape=["cross" if status == "diverged" else "circle" for status in trials["status"]],
    )
    titles = {str(name): COSTS[name] for name in costs}
    colour, shape = ({"field": name, "type": "nominal", "scale": None} for name in ("colour", "shape"))
    transform = [
        {"calculate": f"datum.{costs[0]}", "as": "cost"},
        {"filter": "isValid(datum.cost)"},
    ]
    best = {
        "window": [{"op": "max", "field": "mean", "as": "best"}],
        "frame": [None, 0],
        "sort": [{"field": "cost"}, {"field": "mean", "order": "descending"}],
    }
    options = {
        titles[name]: {
            **{f"layer.{layer}.transform.0.calculate": f"datum.{name}" for layer in range(4)},
            "encoding.x.title": titles[name],
        }
        for name in map(str, costs)
    }
    yield ExplorableFigure(
        title="Accuracy against costs",
        note="Large marks: means with 95 % intervals over all seeds; small: trials. Dashed: the front of the means that"
        " are switched on.",
        replaces=[f"accuracy_{name}" for name in costs],
        data={"means": means, "trials": trials},
        choices=(Choice(title="Cost", options=options), axis_choice("x", "Cost axis", first="log")),
        spec={
            "description": "Test accuracy against costs by variant.",
            "height": 320,
            "encoding": {
                "x": {
                    "type": "quantitative",
                    "title": titles[str(costs[0])],
                    "scale": {"nice": False, "padding": 24},
                    "axis": {"format": "~s", "grid": False},
                },
                "y": {"type": "quantitative", "title": "test accuracy (%)", "scale": {"zero": False}},
            },
            "layer": [
                {
                    "data": {"name": "means"},
                    "transform": [*transform, best, {"filter": "datum.mean >= datum.best"}],
                    "mark": {
                        "type": "line",
                        "interpolate": "step-after",
                        "color": CURRENT,
                        "strokeDash": [4, 3],
                        "strokeWidth": 1,
                        "aria": False,
                        "clip": True,
                    },
                    "encoding": {"x": {"field": "cost"}, "y": {"field": "mean"}},
                },
                {
                    "data": {"name": "trials"},
                    "transform": transform,
                    "params": [{"name": "brush", "select": {"type": "interval"}}],
                    **pointed(
                        {"type": "point", "filled": True, "size": 26, "color": style.SKY},
                        {
                            "variant": "Variant",
                            "seed": "Seed",
                            "key": "Key",
                            "percent": "Test accuracy (%)",
                            "status": "Status",
                        },
                        {"x": {"field": "cost"}, "y": {"field": "percent"}, "shape": shape},
                    ),
                },
                {
                    "data": {"name": "means"},
                    "transform": transform,
                    "mark": {"type": "rule", "strokeWidth": 1.2, "aria": False, "clip": True},
                    "encoding": {
                        "x": {"field": "cost"},
                        "y": {"field": "ci_low"},
                        "y2": {"field": "ci_high"},
                        "color": colour,
                    },
                },
                {
                    "data": {"name": "means"},
                    "transform": transform,
                    **pointed(
                        {"type": "point", "filled": True, "size": 90, "opacity": 1},
                        {
                            "variant": "Variant",
                            "mean": "Mean test accuracy (%)",
                            "n": "Seeds",
                            "verdict": "Verdict",
                            **{str(name): _SHORT[str(name)] for name in costs},
                        },
                        {"x": {"field": "cost"}, "y": {"field": "mean"}, "color": colour, "shape": shape},
                    ),
                },
            ],
        },
    )


def axis_choice(channel: str, title: str = "Axis", *, first: str = "linear") -> Choice:
    """Return the choice between a linear and a logarithmic axis."""
    at = f"encoding.{channel}.scale"
    options = {"linear": {f"{at}.type": "linear", f"{at}.zero": False}, "log": {f"{at}.type": "log"}}
    return Choice(title=title, options={kind: options[kind] for kind in sorted(options, key=lambda one: one != first)})


def _keys(frame: pd.DataFrame) -> pd.DataFrame:
    """The first characters of each trial's key."""
    own = frame[["variant", "seed", "key"]].drop_duplicates(["variant", "seed"])
    return own.assign(key=own["key"].astype(str).str[:KEY])
