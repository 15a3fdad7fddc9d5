"""Scales: versions stay what they were, a name means the latest, and few images are seen more often."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations import studies
from ablations.design.options import Options
from ablations.design.plan_study import plan_study
from ablations.design.scales import SCALES, get_scale
from ablations.records.record import Description
from xception.base.canonical import key_of


def test_a_name_means_the_latest_version() -> None:
    assert get_scale("quick") is SCALES["quick-2"]
    assert get_scale("quick-1").recipe.epochs == 6
    with pytest.raises(ValueError, match=r"--scale: 'huge' is not known; allowed: quick, smoke, quick-2, quick-1"):
        get_scale("huge")


def test_recipes_of_scales_never_change() -> None:
    assert key_of(SCALES["quick-1"].recipe) == "d7cd6c877e6f04d6fd496b3966d136ca9a9a137615ce55d9330fc01241b4d97a"
    assert key_of(SCALES["quick-2"].recipe) == "313e6944ac00b4733cf99bb9fe6d6fc9224d3b3f63a841585b9d788a7d6a967e"


@pytest.mark.parametrize(
    ("train_size", "epochs"), [(49_000, 2), (30_000, 2), (20_000, 3), (9_469, 6), (10_000, 6), (100, 6)]
)
def test_few_images_are_seen_more_often(train_size: int, epochs: int) -> None:
    assert SCALES["quick-2"].recipe_for(None, None, train_size).epochs == epochs
    assert SCALES["quick-1"].recipe_for(None, None, train_size).epochs == 6
    assert SCALES["quick-2"].recipe_for(None, 4, train_size).epochs == 4


def test_a_plan_names_the_version_of_scale_and_recipe(tmp_path: Path) -> None:
    asked = Options(scale="quick", recipe="quick", dataset="synthetic", train_size=100, out=tmp_path)
    plan = plan_study(studies.get_study("residuals"), asked)
    description = plan.stored_plan().description
    assert (description.scale, description.setup["scale"]) == ("quick-2", "quick-2")
    assert "--scale quick-2 --recipe quick-2" in description.command
    assert description.run == "residuals-synthetic-recipe=quick-2-train_size=100"
    first = plan_study(studies.get_study("residuals"), asked.replace(scale="quick-1", recipe=None))
    assert first.run == "residuals-synthetic-quick-1-train_size=100"


def test_what_was_stored_before_there_were_versions_is_of_the_first() -> None:
    stored = {
        "scale": "quick",
        "command": "python run_ablation.py --study residuals --scale quick --seeds 5",
        "setup": {"scale": "quick", "epochs": 6},
    }
    description = Description.from_values(stored)
    assert description.scale == "quick-1"
    assert description.command == "python run_ablation.py --study residuals --scale quick-1 --seeds 5"
    assert description.setup == {"scale": "quick-1", "epochs": 6}
    assert stored["setup"] == {"scale": "quick", "epochs": 6}
    for values in ({"scale": "quick-2", "command": "--scale quick-2"}, {"scale": "smoke"}):
        assert Description.from_values(values).scale == values["scale"]
