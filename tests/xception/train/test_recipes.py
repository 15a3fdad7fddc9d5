"""Recipes by name: each has its source and purpose, and a measured number names its file."""

from __future__ import annotations

import csv
import json
import re

import pytest

from ablations.design.scales import SCALES
from tests.command import ROOT, call_here
from xception.train.recipe import Stable
from xception.train.recipes import RECIPES, get_recipe, meaning


def test_every_scale_has_a_recipe_of_its_name() -> None:
    for name, scale in SCALES.items():
        assert scale.recipe == get_recipe(name)
    assert get_recipe("quick") == get_recipe("quick-2")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_its_source_and_what_it_is_good_for(name: str) -> None:
    text = meaning(name)
    for word in ("Source: ", "Good for: ", "Measured here"):
        assert word in text
    measured = text.partition("Measured here")[2]
    assert ("not measured" in measured) != ("results/" in measured)


def test_what_was_measured_is_what_was_published() -> None:
    text = meaning("quick-1")
    (folder,) = re.findall(r"results/\w+", text)
    with (ROOT / folder / "table.csv").open(encoding="utf-8") as file:
        row = next(row for row in csv.DictReader(file) if row["verdict"] == "baseline")
    half = (float(row["test_accuracy_ci_high"]) - float(row["test_accuracy_ci_low"])) / 2
    assert f"test accuracy {100 * float(row['test_accuracy_mean']):.1f} % ± {100 * half:.1f} " in text
    assert f"({row['n']} seeds), {float(row['train_seconds']):.0f} s per trial" in text


def test_a_recipe_is_taken_for_the_epochs_of_the_scale() -> None:
    recipe = SCALES["quick-1"].recipe_for("paper", None, 100)
    assert (recipe.epochs, recipe.batch_size) == (6, 100)
    assert recipe == get_recipe("paper").replace(epochs=6, batch_size=100)
    assert isinstance(SCALES["quick-1"].recipe_for("stable", 12, 10_000).schedule, Stable)
    with pytest.raises(ValueError, match=r"'papre' is not known; allowed: quick, smoke.*; did you mean paper\?"):
        SCALES["quick-1"].recipe_for("papre", None, 100)


def test_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(call_here(capsys, "--recipes", "--json").out)
    assert [row["name"] for row in rows] == list(RECIPES)
    assert rows[-1]["recipe"]["optimizer"]["learning_rate"] == 0.045
    assert "quick-2  (of scale quick-2)" in call_here(capsys, "--recipes").out
