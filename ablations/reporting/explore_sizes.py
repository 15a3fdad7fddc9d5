"""Accuracy over MACs of a baseline at several widths and of the variants compared with it, interactive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ablations.reporting.cost_plots import COSTS
from ablations.reporting.explore import CURRENT, ExplorableFigure
from ablations.reporting.explore_marks import KEY, SHAPES_SAID, axis_choice, marked, pointed
from ablations.reporting.plot_rows import counted
from xception.base import formatting as f

__all__ = ["size_figures"]


def size_figures(
    frame: pd.DataFrame, curves: Sequence[Mapping[str, Any]], distances: pd.DataFrame, named: Mapping[str, str]
) -> Iterator[ExplorableFigure]:
    """Yield a figure for each baseline that was trained at several widths; `frame` has their rows too, `distances` the
    variants' distances, `named` the colours of the variants.
    """
    for number, curve in enumerate(curves):
        members = [curve["baseline"], *curve["widths"], *curve["variants"]]
        part = frame[frame["variant"].isin(members)]
        if not part["status"].isin(["complete", "diverged"]).any():
            continue
        trials = counted(part)
        trials = trials[trials["macs"].notna()]
        done = trials[trials["status"] == "complete"]
        means = done.groupby("variant", sort=False)[["macs", "percent"]].mean().reset_index()
        on_curve = means["variant"].isin([curve["baseline"], *curve["widths"]])
        if on_curve.sum() < 2:
            continue
        line = means[on_curve].sort_values("macs")
        name = "distances" + (f"_{number + 1}" if number else "")
        yield _figure(trials, means, line, distances[distances["variant"].isin(curve["variants"])], curve, named, name)


def _figure(
    trials: pd.DataFrame,
    means: pd.DataFrame,
    line: pd.DataFrame,
    distances: pd.DataFrame,
    curve: Mapping[str, Any],
    named: Mapping[str, str],
    name: str,
) -> ExplorableFigure:
    colour_of = {
        **dict.fromkeys(line["variant"], CURRENT),
        **{n: named.get(str(n), CURRENT) for n in distances["variant"]},
    }
    own = means[means["variant"].isin(distances["variant"])].merge(distances, on="variant", suffixes=("", "_held"))
    below = np.interp(np.log(own["macs"].astype(float)), np.log(line["macs"].astype(float)), line["percent"])
    shown = marked(own, {str(n): str(c) for n, c in colour_of.items()}).assign(
        below=below,
        said=[
            f"{f.points(row['mean'])} {f.interval(row['low'], row['high'], signed=True)}"
            for row in own.to_dict("records")
        ],
    )[["variant", "macs", "percent", "below", "n", "said", "verdict", "colour", "shape"]]
    points = trials.assign(
        key=trials["key"].astype(str).str[:KEY],
        colour=trials["variant"].map(colour_of),
        shape=["cross" if status == "diverged" else "circle" for status in trials["status"]],
    )[["variant", "seed", "key", "status", "macs", "percent", "colour", "shape"]]
    colour, shape = ({"field": one, "type": "nominal", "scale": None} for one in ("colour", "shape"))
    x, y = {"field": "macs"}, {"field": "percent"}
    return ExplorableFigure(
        title="Accuracy at equal MACs",
        note=f"Line: {curve['baseline']} at several widths, means over seeds. Vertical: how far a variant is from it at"
        f" the variant's own MACs. Small marks: trials. {SHAPES_SAID}",
        replaces=(name,),
        data={"line": line[["variant", "macs", "percent"]], "trials": points, "distances": shown},
        choices=(axis_choice("x", "MACs axis", first="log"),),
        spec={
            "description": "Test accuracy against MACs of a baseline at several widths, and of variants.",
            "height": 320,
            "encoding": {
                "x": {
                    "type": "quantitative",
                    "title": COSTS["macs"],
                    "scale": {"nice": False, "padding": 24},
                    "axis": {"format": "~s", "grid": False},
                },
                "y": {"type": "quantitative", "title": "test accuracy (%)", "scale": {"zero": False, "padding": 10}},
            },
            "layer": [
                {
                    "data": {"name": "line"},
                    "mark": {"type": "line", "color": CURRENT, "strokeWidth": 1, "aria": False, "clip": True},
                    "encoding": {"x": x, "y": y},
                },
                {
                    "data": {"name": "trials"},
                    "params": [{"name": "brush", "select": {"type": "interval"}}],
                    **pointed(
                        {"type": "point", "filled": True, "size": 26, "opacity": 0.55},
                        {
                            "variant": "Variant",
                            "seed": "Seed",
                            "key": "Key",
                            "percent": "Test accuracy (%)",
                            "status": "Status",
                        },
                        {"x": x, "y": y, "color": colour, "shape": shape},
                    ),
                },
                {
                    "data": {"name": "distances"},
                    "mark": {"type": "rule", "strokeWidth": 1.6, "aria": False, "clip": True},
                    "encoding": {"x": x, "y": {"field": "below"}, "y2": {"field": "percent"}, "color": colour},
                },
                {
                    "data": {"name": "distances"},
                    **pointed(
                        {"type": "point", "filled": True, "size": 110, "opacity": 1},
                        {
                            "variant": "Variant",
                            "percent": "Mean test accuracy (%)",
                            "said": "Above the curve, with 95 % interval (pp)",
                            "n": "Seeds",
                            "verdict": "Verdict",
                        },
                        {"x": x, "y": y, "color": colour, "shape": shape},
                    ),
                },
            ],
        },
    )
