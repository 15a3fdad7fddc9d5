"""The figures of a study that a reader can explore: effects by seed, learning curves, accuracy against costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ablations.reporting import style
from ablations.reporting.accuracy_plots import paired_differences
from ablations.reporting.curve_plots import LABELS
from ablations.reporting.explore import Choice, Explorable, ExplorableFigure, Filter, colours
from ablations.reporting.explore_costs import cost_figures
from ablations.reporting.explore_marks import KEY, SHAPES_SAID, axis_choice, effect_layers, in_points, marked, pointed
from ablations.reporting.plot_rows import counted, references, seed_offsets
from ablations.reporting.tables import curves_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["explorable_study"]

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


def explorable_study(
    frame: pd.DataFrame, comparison: pd.DataFrame, more: Sequence[ExplorableFigure] = ()
) -> Explorable | None:
    """Return a study's figures and `more` of them, with filters by variant and seed; None where no trial has ended with
    a result.
    """
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
        figures=[
            *_effects(frame, comparison, named),
            *_curves(frame, named),
            *cost_figures(frame, comparison, named),
            *more,
        ],
    )


def _effects(frame: pd.DataFrame, comparison: pd.DataFrame, named: Mapping[str, str]) -> Iterator[ExplorableFigure]:
    pairs = paired_differences(counted(frame), references(frame))
    if pairs.empty:
        return
    pairs = pairs.merge(_keys(frame), on=["variant", "seed"], how="left")
    pairs = pairs.assign(
        offset=18 * seed_offsets(pairs["seed"]) / 0.26 / 2,
        status=["diverged" if diverged else "complete" for diverged in pairs["diverged"]],
        shape=["cross" if diverged else "circle" for diverged in pairs["diverged"]],
        colour=pairs["variant"].astype(str).map(named),
    ).drop(columns="diverged")
    compared = comparison[(comparison["verdict"] != "baseline") & comparison["delta_mean"].notna()]
    effects = marked(in_points(compared), named)
    effects = effects[list(SHOWN)]
    margins = [100 * float(one) for one in compared["delta_margin"].dropna().unique()]
    layers = effect_layers("variant", margins if len(margins) == 1 else [])
    points = {
        "data": {"name": "pairs"},
        "params": [{"name": "brush", "select": {"type": "interval", "encodings": ["x"]}}],
        **pointed(
            {"type": "point", "filled": True, "size": 36, "opacity": 0.55, "yOffset": {"expr": "datum.offset"}},
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
        note="Each point is a pair of trials with the same seed. Effects and intervals (95 % thin, 90 % thick)"
        " are always those of all seeds, whatever is switched off; grey band: ±δ."
        f" {SHAPES_SAID}",
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
                    "axis": {"orient": "top" if len(compared) > FEW else "bottom"},
                },
                "y": {"type": "nominal", "title": None, "scale": {}, "axis": {"labelLimit": 220, "grid": False}},
            },
            "layer": [*layers[:-3], points, *layers[-3:]],
        },
    )


def _curves(frame: pd.DataFrame, named: Mapping[str, str]) -> Iterator[ExplorableFigure]:
    curves = curves_frame(frame)
    values = [name for name in LABELS if curves[name].notna().any()]
    if not values:
        return
    places = {name: place for place, name in enumerate(named)}
    num_colours = len(style.PALETTE)
    number = {"type": "quantitative", "scale": {}}
    last = int(curves["epoch"].max())
    ticks = {"values": list(range(1, last + 1))} if last <= FEW else {"tickMinStep": 1}
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
                    "axis": {**ticks, "format": "d", "grid": False},
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


def _keys(frame: pd.DataFrame) -> pd.DataFrame:
    """The first characters of each trial's key."""
    own = frame[["variant", "seed", "key"]].drop_duplicates(["variant", "seed"])
    return own.assign(key=own["key"].astype(str).str[:KEY])
