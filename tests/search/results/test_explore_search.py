"""Interactive figures of a search: every complete candidate once, the front in a colour of its own."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pandas as pd

from search.results.explore_search import OFF_FRONT, ON_FRONT, explorable_search

FRAME = pd.DataFrame(
    {
        "number": [0, 1, 2, 3],
        "status": ["complete", "failed", "complete", "complete"],
        "is_on_front": [True, False, False, True],
        "val_accuracy": [0.5, None, 0.4, 0.6],
        "macs": [1e6, 2e6, 3e6, 4e6],
        "middle.modules": [1, 2, 3, 4],
        "origin": ["sampler", "sampler", "prior", "prior"],
    }
)


def searched(*objectives: str) -> Any:
    dimensions = [SimpleNamespace(name="middle.modules")]
    plan = SimpleNamespace(
        definition=SimpleNamespace(objectives=objectives), space=SimpleNamespace(dimensions=dimensions)
    )
    return SimpleNamespace(plan=plan)


def test_every_complete_candidate_is_there_once() -> None:
    part = explorable_search(searched("val_accuracy", "macs"), FRAME, ("val_accuracy",))
    assert part is not None
    assert [one.title for one in part.filters] == ["Front", "Origins"]
    front, history = part.figures
    rows = front.data["trials"]
    assert rows["number"].tolist() == [0, 2, 3]
    assert rows["front"].tolist() == [ON_FRONT, OFF_FRONT, ON_FRONT]
    assert rows["o0"].tolist() == [50, 40, 60]  # in percent
    assert front.replaces == ["front_val_accuracy_macs"]
    assert history.replaces == ["history_val_accuracy", "history_macs"]
    text = json.dumps([history.spec, [choice.options for choice in history.choices]], allow_nan=False)
    assert '{"op": "max", "field": "o0", "as": "best"}' in text
    assert '{"op": "min", "field": "o1", "as": "best"}' in text


def test_one_objective_has_no_front_and_no_candidate_nothing_to_explore() -> None:
    alone = explorable_search(searched("val_accuracy"), FRAME.assign(origin="sampler"), ("val_accuracy",))
    assert alone is not None
    assert [figure.title for figure in alone.figures] == ["Best so far"]
    assert [one.title for one in alone.filters] == ["Front"]
    assert explorable_search(searched("val_accuracy"), FRAME.assign(status="failed"), ("val_accuracy",)) is None
    assert explorable_search(searched("val_accuracy"), pd.DataFrame(), ("val_accuracy",)) is None
