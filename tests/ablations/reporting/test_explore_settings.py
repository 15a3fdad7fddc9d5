"""Settings, tuned recipes and distances to explore: every effect once, and what the specification names is there."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ablations.analysis.settings import compare_settings
from ablations.reporting.distances import distances
from ablations.reporting.explore import Explorable, colours
from ablations.reporting.explore_settings import explorable_settings, explorable_tuning
from ablations.reporting.explore_sizes import size_figures
from tests import frames
from tests.ablations.analysis.test_settings import two_by_two


def _assert_whole(part: Explorable) -> None:
    """The fields that a specification names are columns, and filters have their columns."""
    for figure in part.figures:
        text = json.dumps([figure.spec, [choice.options for choice in figure.choices]], allow_nan=False)
        columns = {name for table in figure.data.values() for name in table}
        made = set(re.findall(r'"as": "(\w+)"', text))
        for name in re.findall(r'"field": "(\w+)"', text):
            assert name in columns | made, name
        for name in re.findall(r"datum\.(\w+)", text):
            assert name in columns | made, name
    for one in part.filters:
        assert any(one.field in table for figure in part.figures for table in figure.data.values())


def test_every_effect_of_every_setting_is_a_row() -> None:
    result = compare_settings(two_by_two())
    part = explorable_settings(result)
    assert part is not None
    _assert_whole(part)
    forest, budget = part.figures
    rows = forest.data["effects"]
    assert len(rows) == result.effects["exists"].sum() == 12
    assert set(rows["row"]) == set(forest.spec["encoding"]["y"]["sort"])
    own = result.effects.iloc[0]
    assert rows["delta_mean"].iloc[0] == pytest.approx(100 * own["delta_mean"])
    assert rows["row"].iloc[0] == "without residuals: 6, cifar10"
    assert [one.title for one in part.filters] == ["Variants", "recipe.epochs", "dataset"]
    assert forest.replaces == ("settings",)
    assert budget.replaces == ["effect_recipe_epochs"]


def test_pooled_effects_are_rows_of_their_own() -> None:
    result = compare_settings(two_by_two())
    answers = result.answers.assign(
        pooled_mean=0.01, pooled_ci_low=0.0, pooled_ci_high=0.02, new_ci_low=-0.01, new_ci_high=0.03
    )

    part = explorable_settings(replace(result, answers=answers))
    assert part is not None
    _assert_whole(part)
    pooled = part.figures[0].data["effects"].query("verdict == 'pooled'")
    assert len(pooled) == 3
    assert pooled["said"].iloc[0] == "+1.00 [0.00, +2.00]; in another setting [−1.00, +3.00]"


def test_settings_without_an_effect_have_nothing_to_explore() -> None:

    result = compare_settings(two_by_two())
    assert explorable_settings(replace(result, effects=result.effects.assign(delta_mean=np.nan))) is None


def test_fixed_and_tuned_recipes_stand_side_by_side() -> None:
    names = ["delta_mean", "delta_ci_low", "delta_ci_high", "equivalence_ci_low", "equivalence_ci_high"]
    table = pd.DataFrame({"variant": ["base", "none"]})
    for recipe, shift in (("fixed", 0.0), ("tuned", 0.02)):
        for name, value in zip(names, (0.01, 0.0, 0.02, 0.005, 0.015), strict=True):
            table[f"{recipe}_{name}"] = [np.nan, value + shift]
        table[f"{recipe}_n"] = 5
        table[f"{recipe}_verdict"] = ["baseline", "helps"]
    part = explorable_tuning(table, 0.01)
    assert part is not None
    _assert_whole(part)
    rows = part.figures[0].data["effects"]
    assert rows["row"].tolist() == ["none: fixed recipe", "none: tuned recipe"]
    assert rows["delta_mean"].tolist() == pytest.approx([1, 3])
    assert explorable_tuning(table.iloc[:1], 0.01) is None


def test_distances_are_drawn_from_the_curve_to_the_variant() -> None:
    frame = frames.records(["base", "narrow", "wide", "other"], effects=[0, -0.03, 0.02, 0.04])
    macs = {"base": 10e6, "narrow": 5e6, "wide": 20e6, "other": 10e6}
    frame["macs"] = frame["variant"].map(macs)
    curves = [{"baseline": "base", "widths": ["narrow", "wide"], "variants": ["other"]}]
    held = distances(frame, ["narrow", "wide"])
    named = colours(["base", "other"])
    (figure,) = size_figures(frame, curves, held, named)
    _assert_whole(Explorable(filters=(), figures=[figure]))
    (row,) = figure.data["distances"].to_dict("records")
    mean = 100 * frame.groupby("variant")["test_accuracy"].mean()
    assert row["below"] == pytest.approx(mean["base"])
    assert row["percent"] - row["below"] == pytest.approx(100 * held["mean"].iloc[0])
    assert len(figure.data["trials"]) == 20
    assert figure.replaces == ("distances",)
    missing = frame.assign(status="missing")
    assert list(size_figures(missing, curves, held, named)) == []
