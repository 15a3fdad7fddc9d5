"""Accuracy against costs, interactive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ablations.reporting.cost_plots import COSTS
from ablations.reporting.explore import CURRENT, Choice, ExplorableFigure
from ablations.reporting.explore_marks import KEY, SHAPES_SAID, axis_choice, marked, pointed
from ablations.reporting.plot_rows import counted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["cost_figures"]

_SHORT = {"macs": "MACs", "params": "parameters", "latency_ms": "latency"}


def cost_figures(frame: pd.DataFrame, comparison: pd.DataFrame, named: Mapping[str, str]) -> Iterator[ExplorableFigure]:
    """Yield the figure of test accuracy against each cost that differs between variants; `named` are their colours."""
    shown = comparison[comparison["test_accuracy_mean"].notna()]
    costs = [name for name in COSTS if name in shown and shown[name].nunique() > 1]
    if not costs:
        return
    means = marked(shown, named).assign(
        variant=shown["variant"].astype(str),
        **{name: 100 * shown[f"test_accuracy_{name}"].astype(float) for name in ("mean", "ci_low", "ci_high")},
    )[["variant", "n", "verdict", "mean", "ci_low", "ci_high", *costs, "colour", "shape"]]
    done = counted(frame).assign(variant=lambda rows: rows["variant"].astype(str))
    trials = done[["variant", "seed", "key", "status", "percent"]].merge(
        means[["variant", *costs, "colour"]], on="variant"
    )
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
        f" are switched on. {SHAPES_SAID}",
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
                "y": {"type": "quantitative", "title": "test accuracy (%)", "scale": {"zero": False, "padding": 10}},
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
                        {"type": "point", "filled": True, "size": 26, "opacity": 0.55},
                        {
                            "variant": "Variant",
                            "seed": "Seed",
                            "key": "Key",
                            "percent": "Test accuracy (%)",
                            "status": "Status",
                        },
                        {"x": {"field": "cost"}, "y": {"field": "percent"}, "color": colour, "shape": shape},
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
                        {"type": "point", "filled": True, "size": 110, "opacity": 1},
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
