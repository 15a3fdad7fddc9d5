"""From `--across` to settings: which fields and values are allowed, and the options of each setting."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ablations.design.across import NUM_SEEDS, expand
from ablations.design.options import Options
from ablations.studies import get_study

STUDY = get_study("residuals")


def test_every_combination_is_a_setting_with_the_options_of_an_ordinary_run() -> None:
    options = Options(across=("recipe.epochs=6,12", "dataset=cifar10,synthetic"), set=("recipe.label_smoothing=0.1",))
    found = expand(STUDY, options)
    assert [s.label for s in found] == [
        "recipe.epochs=6, dataset=cifar10",
        "recipe.epochs=6, dataset=synthetic",
        "recipe.epochs=12, dataset=cifar10",
        "recipe.epochs=12, dataset=synthetic",
    ]
    last = found[-1].options
    assert (last.dataset, last.set, last.seeds, last.across) == (
        "synthetic",
        ("recipe.label_smoothing=0.1", "recipe.epochs=12"),
        NUM_SEEDS,
        (),
    )
    assert found[-1].values == {"recipe.epochs": 12, "dataset": "synthetic"}
    assert found[-1].folder == "epochs=12-dataset=synthetic"


def test_commas_in_brackets_belong_to_a_value() -> None:
    found = expand(STUDY, Options(across=("model.entry.widths=(16,32),(32,64)",), seeds=3))
    assert [s.options.set for s in found] == [("model.entry.widths=(16,32)",), ("model.entry.widths=(32,64)",)]
    assert found[0].options.seeds == 3
    assert found[0].values == {"model.entry.widths": "(16,32)"}


def test_a_study_has_settings_of_its_own_which_the_user_may_override() -> None:
    study = replace(STUDY, across={"recipe.epochs": (3, 6)})
    assert [s.label for s in expand(study, Options())] == ["recipe.epochs=3", "recipe.epochs=6"]
    assert [s.label for s in expand(study, Options(across=("preset=cifar_tiny,cifar_small",)))] == [
        "preset=cifar_tiny",
        "preset=cifar_small",
    ]


def test_one_setting_is_an_ordinary_study() -> None:
    assert expand(STUDY, Options()) == ()
    found = expand(STUDY, Options(across=("recipe.epochs=6",)))
    assert [s.options.set for s in found] == [("recipe.epochs=6",)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(across=("recipe.epochs",)), "FIELD=V1,V2"),
        (Options(across=("recipe.epochs=6,,12",)), "FIELD=V1,V2"),
        (Options(across=("recipe.epochs=6,6",)), "a value twice"),
        (Options(across=("recipe.epochs=6", "recipe.epochs=12")), "given twice"),
        (Options(across=("recipe.epoch=6,12",)), "did you mean recipe.epochs"),
        (Options(across=("recipe.epochs=six,12",)), "recipe.epochs: 'six' is not allowed"),
        (Options(across=("dataset=a,b",), dataset="cifar10"), "--dataset: cifar10 is not allowed with --across"),
        (Options(across=("recipe.epochs=6,12",), set=("recipe.epochs=3",)), "--set recipe.epochs"),
        (Options(across=("recipe.epochs=6,12",), seeds="auto"), "--seeds: auto is not allowed with --across"),
    ],
)
def test_wrong_use_names_the_mistake(options: Options, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        expand(STUDY, options)
