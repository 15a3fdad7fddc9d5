"""The trials of a search to explore: its front, and the best so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from ablations.reporting import style
from ablations.reporting.explore import CURRENT, Choice, Explorable, ExplorableFigure, Filter
from ablations.reporting.explore_marks import axis_choice, pointed
from search.results.plots import UNITS

if TYPE_CHECKING:
    from search.engine.optimize import Search

__all__ = ["explorable_search"]

TOLD = 12  # dimensions that pointing at a candidate shows
ON_FRONT, OFF_FRONT = "on the front", "off the front"


def explorable_search(search: Search, frame: pd.DataFrame, maximised: Sequence[str]) -> Explorable | None:
    """Return the complete candidates in the plane of each pair of objectives, and in the order of the search, with
    filters by front and origin; `maximised` are the objectives of which more is better. None where none is complete.

    `frame` is that of `trials_frame`.
    """
    objectives = list(search.plan.definition.objectives)
    done = frame[frame["status"] == "complete"] if "status" in frame else frame
    done = done[done[objectives].notna().all(axis=1)] if len(done) else done
    if done.empty:
        return None
    dimensions = [one.name for one in search.plan.space.dimensions][:TOLD]
    shown = pd.DataFrame(
        {
            "number": done["number"],
            "front": [ON_FRONT if is_on else OFF_FRONT for is_on in done["is_on_front"]],
            "origin": done["origin"].fillna("unknown").astype(str),
            **{f"o{i}": done[name].astype(float) * _factor(name) for i, name in enumerate(objectives)},
            **{f"d{i}": done[name].astype(str) for i, name in enumerate(dimensions)},
            "colour": [style.VERMILION if is_on else style.BLUE for is_on in done["is_on_front"]],
        }
    )
    told = {
        "number": "Candidate",
        **{f"o{i}": _title(name) for i, name in enumerate(objectives)},
        **{f"d{i}": name for i, name in enumerate(dimensions)},
        "origin": "Origin",
    }
    origins = sorted(set(shown["origin"]))
    filters = [
        Filter(field="front", title="Front", values=[ON_FRONT, OFF_FRONT], colours=[style.VERMILION, style.BLUE])
    ]
    if len(origins) > 1:
        filters.append(Filter(field="origin", title="Origins", values=origins))
    figures = [*_front(shown, objectives, told), _history(shown, objectives, maximised, told)]
    return Explorable(filters=filters, figures=figures)


def _front(shown: pd.DataFrame, objectives: Sequence[str], told: dict[str, str]) -> Iterator[ExplorableFigure]:
    if len(objectives) < 2:
        return
    options: dict[str, dict[str, Any]] = {
        _title(name): {"encoding.x.field": f"o{i}", "encoding.x.title": _title(name)}
        for i, name in enumerate(objectives)
        if i
    }
    names = {f"front_{objectives[0]}_{other}" for other in objectives[1:]}
    yield ExplorableFigure(
        title="Front",
        note="Every complete candidate; red: on the front, as no other candidate dominates it.",
        replaces=sorted(names),
        data={"trials": shown},
        choices=(Choice(title="Against", options=options), axis_choice("x", "Axis")),
        spec={
            "description": "Complete candidates in the plane of two objectives.",
            "height": 320,
            "data": {"name": "trials"},
            "encoding": {
                "x": {
                    "field": "o1",
                    "type": "quantitative",
                    "title": _title(objectives[1]),
                    "scale": {"nice": False, "padding": 16},
                    "axis": {"format": "~s", "grid": False},
                },
                "y": {
                    "field": "o0",
                    "type": "quantitative",
                    "title": _title(objectives[0]),
                    "scale": {"zero": False, "padding": 10},
                },
            },
            "layer": [_points(told)],
        },
    )


def _history(
    shown: pd.DataFrame, objectives: Sequence[str], maximised: Sequence[str], told: dict[str, str]
) -> ExplorableFigure:
    options: dict[str, dict[str, Any]] = {
        _title(name): {
            "encoding.y.field": f"o{i}",
            "encoding.y.title": _title(name),
            "layer.0.transform.0.window.0": {
                "op": "max" if name in maximised else "min",
                "field": f"o{i}",
                "as": "best",
            },
        }
        for i, name in enumerate(objectives)
    }
    first = next(iter(options.values()))["layer.0.transform.0.window.0"]
    return ExplorableFigure(
        title="Best so far",
        note="Every complete candidate in the order of the search; the line is the best of those that are switched on.",
        replaces=[f"history_{name}" for name in objectives],
        data={"trials": shown},
        choices=(Choice(title="Objective", options=options), axis_choice("y")),
        spec={
            "description": "Complete candidates in the order of the search, with the best so far.",
            "height": 280,
            "data": {"name": "trials"},
            "encoding": {
                "x": {
                    "field": "number",
                    "type": "quantitative",
                    "title": "candidate",
                    "scale": {"nice": False, "padding": 12},
                    "axis": {"grid": False, "tickMinStep": 1},
                },
                "y": {
                    "field": "o0",
                    "type": "quantitative",
                    "title": _title(objectives[0]),
                    "scale": {"zero": False, "padding": 10},
                },
            },
            "layer": [
                {
                    "transform": [{"window": [first], "frame": [None, 0], "sort": [{"field": "number"}]}],
                    "mark": {
                        "type": "line",
                        "interpolate": "step-after",
                        "color": CURRENT,
                        "strokeWidth": 1.2,
                        "aria": False,
                        "clip": True,
                    },
                    "encoding": {"y": {"field": "best"}},
                },
                _points(told),
            ],
        },
    )


def _points(told: dict[str, str]) -> dict[str, Any]:
    return {
        "params": [{"name": "brush", "select": {"type": "interval"}}],
        **pointed(
            {"type": "point", "filled": True, "size": 44, "opacity": 0.7},
            told,
            {"color": {"field": "colour", "type": "nominal", "scale": None}},
        ),
    }


def _factor(objective: str) -> float:
    return 100.0 if objective.endswith("accuracy") else 1.0


def _title(objective: str) -> str:
    return UNITS.get(objective, objective)
