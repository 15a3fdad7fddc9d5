"""Interactive figures: their content in every edge case, what the page allows, and the page without Vega."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup

from ablations.reporting import explore
from ablations.reporting.accuracy_plots import paired_differences
from ablations.reporting.explore_study import explorable_study
from ablations.reporting.plot_rows import counted, references
from tests import frames


@pytest.fixture
def fake_vega(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore, "_vega", lambda: Markup("window.vegaEmbed = 0;"))


def _figure(rows: int, **more: Any) -> explore.ExplorableFigure:
    data = {"points": pd.DataFrame({"x": np.arange(rows), "name": ["a"] * rows})}
    return explore.ExplorableFigure(title="Points", note="", spec={"mark": "point"}, data=data, **more)


def _part(*figures: explore.ExplorableFigure) -> explore.Explorable:
    return explore.Explorable(filters=[explore.Filter(field="name", title="Names", values=["a"])], figures=figures)


@pytest.mark.parametrize("name", frames.cases())
def test_every_case_has_its_trials_once(name: str) -> None:
    frame = frames.cases()[name]
    comparison = frames.comparison(frame)
    part = explorable_study(frame, comparison)
    ended = frame["status"].isin(["complete", "diverged"])
    assert (part is None) == (not ended.any())
    if part is None:
        return
    variants, seeds = part.filters
    assert list(variants.values) == list(comparison["variant"])
    assert sorted(seeds.values) == sorted(frame.loc[ended, "seed"].unique())
    figures = {figure.title: figure for figure in part.figures}
    for figure in part.figures:
        json.dumps([figure.spec, [choice.options for choice in figure.choices]], allow_nan=False)
        for table in figure.data.values():
            assert set(table["variant"]) <= set(variants.values)
            shades = dict(zip(variants.values, variants.colours, strict=True))
            assert list(table["colour"]) == [shades[variant] for variant in table["variant"]]
    num_pairs = len(paired_differences(counted(frame), references(frame)))
    assert (len(figures["Effects by seed"].data["pairs"]) if num_pairs else 0) == num_pairs
    assert len(figures["Learning curves"].data["curves"]) == sum(map(len, frame.loc[ended, "curves"]))


def test_numbers_and_texts_are_kept_short_and_whole() -> None:
    frame = pd.DataFrame({"x": [1 / 3, math.nan, 2.0], "name": ["b", "a", "b"], "on": [True, False, True]})
    assert explore.encoded(frame) == {
        "x": [0.333333, None, 2],
        "name": {"of": ["b", "a"], "at": [0, 1, 0]},
        "on": {"of": ["True", "False"], "at": [0, 1, 0]},
    }


@pytest.mark.usefixtures("fake_vega")
def test_scripts_are_allowed_by_hash_and_data_cannot_end_theirs() -> None:
    frame = frames.cases()["hostile"]
    parts = explore.page_parts([explorable_study(frame, frames.comparison(frame)), None])
    text, nothing = parts["explored"]
    assert nothing is None
    assert not re.search("[<>&]", text)
    assert json.loads(text)["filters"][0]["values"] == frames.HOSTILE
    assert len(parts["scripts"]) == 3
    assert len(re.findall("'sha256-[A-Za-z0-9+/]{43}='", parts["policy"])) == 3
    assert parts["how_to_explore"] == ""


@pytest.mark.usefixtures("fake_vega")
@pytest.mark.parametrize(("rows", "kept"), [((10, 20), 2), ((10, explore.MOST_ROWS + 1), 1), ((20_000,), 0)])
def test_a_figure_too_large_for_a_page_stays_static(rows: Sequence[int], kept: int) -> None:
    text = explore.page_parts([_part(*map(_figure, rows))])["explored"][0]
    assert (len(json.loads(text)["figures"]) if text else 0) == kept


@pytest.mark.usefixtures("fake_vega")
def test_a_page_of_many_studies_stays_below_its_limit() -> None:
    texts = explore.page_parts([_part(_figure(9_000))] * 20)["explored"]
    assert sum(len(text) for text in texts if text) <= explore.MOST_BYTES + 20 * 100
    assert texts[0] is not None
    assert texts[-1] is None


def test_without_vega_the_page_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore, "_vega", lambda: None)
    parts = explore.page_parts([_part(_figure(3)), None])
    assert parts["explored"] == [None, None]
    assert len(parts["scripts"]) == 1
    assert parts["how_to_explore"] == explore.HOW_TO_EXPLORE
    assert explore.page_parts([None])["how_to_explore"] == ""  # nothing to show interactively
