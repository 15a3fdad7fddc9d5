"""Fields from the command line, a file and Python: typed, applied together, listed from the code, refused in a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ablations import studies
from ablations.commands.list_fields import list_fields
from ablations.design.fields import catalogue
from ablations.design.options import Options
from ablations.design.overrides import canonical_texts
from ablations.design.plan_study import design_study, plan_study
from ablations.design.stand_in_data import CIFAR10, STAND_INS
from xception.base.fields import format_value
from xception.train.recipe import SGD, AdamW, Cosine


def plan(study: str = "residuals", **options: Any) -> Any:
    return plan_study(studies.get_study(study), Options(**{"scale": "smoke", "dataset": "synthetic", **options}))


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("recipe.optimizer", "adamw", AdamW()),
        ("recipe.schedule", "Cosine", Cosine()),
        ("recipe.optimizer.learning_rate", "5e-2", 0.05),
        ("recipe.optimizer.alpha", "0.5", 0.5),
        ("recipe.gradient_clip", "None", None),
        ("recipe.gradient_clip", "1", 1.0),
        ("recipe.precision", "bfloat16", "bfloat16"),
        ("dataset.image_size", "48", 48),
        ("dataset.train_size", "10_000", 10_000),
        ("model.entry.widths", "32,64", (32, 64)),
        ("model.entry.strides", "(2, 1)", (2, 1)),
        ("model.head.hidden", "()", ()),
        ("model.head.hidden", "(64,)", (64,)),
        ("model.head.hidden", [64, 32], (64, 32)),
        ("model.entry", "none", None),
        ("model.entry.residual", "none", "none"),
        ("model.entry.residual", "None", None),
        ("model.residual.zero_init", "true", True),
        ("model.operator.tower_norm", "False", False),
    ],
)
def test_texts_are_read_as_the_field_takes_them(path: str, text: Any, value: Any) -> None:
    read = catalogue().parse(path, text)
    assert read == value
    assert type(read) is type(value)
    assert catalogue().parse(path, format_value(value)) == value


@pytest.mark.parametrize(
    ("texts", "more", "message"),
    [
        (["recipe.label_smothing=0.1"], {}, "no such field; did you mean recipe.label_smoothing?"),
        (["learning_rate=0.1"], {}, "no such field; did you mean recipe.optimizer.learning_rate?"),
        (["recipe.label_smoothing"], {}, "FIELD=VALUE, such as"),
        (["recipe.epochs=2.5"], {}, "'2.5' is not allowed; allowed: a whole number"),
        (["model.norm.kind=grup"], {}, "allowed: batch, group, layer, none; did you mean group?"),
        (["recipe.optimizer=adam"], {}, "allowed: SGD, RMSprop, AdamW, Muon; did you mean AdamW?"),
        (["recipe.optimizer.learning_rate=-1"], {}, "-1.0 is not allowed; a number above 0"),
        (["recipe.epochs=1", "recipe.epochs=2"], {}, "given twice, as 1 and 2; once"),
        (["recipe.epochs=1"], {"epochs": 2}, "--epochs: 2 is not allowed with --set recipe.epochs; one of the two"),
        (["dataset.train_size=64"], {"train_size": 32}, "not allowed with --set dataset.train_size"),
        (["recipe.optimizer.alpha=0.5"], {}, "SGD: no field"),
        (["model.residual.kind=none"], {}, "not allowed with the study residuals, which varies model.residual.kind"),
        (["model.num_classes=3"], {}, "it comes from the data set"),
        (["recipe.transfer.freeze=norms"], {}, "the study transfer is about it"),
        (["model.operator.segments=2"], {}, "OperatorConfig.segments: 2 has no effect with kind='separable'"),
        (["model.norm.kind=none", "model.norm.momentum=0.2"], {}, "0.2 has no effect with kind='none'"),
        (["recipe.batch_size=999"], {}, "999 is not allowed; 2 to 128, the training images"),
        (["dataset.val_size=7000"], {}, "7000 is not allowed; at most 6000 of synthetic"),
        (["model.operator.kind=regular"], {"preset": "torchvision:resnet18"}, "TorchvisionConfig: no field"),
    ],
)
def test_what_cannot_be_set_is_refused_in_a_line(texts: list[str], more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        plan(set=tuple(texts), **more)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_set_comes_into_every_variant_and_all_at_once() -> None:
    texts = (
        "model.entry.strides=2,2,1",
        "recipe.optimizer=AdamW",
        "model.entry.widths=32,64,96",
        "recipe.optimizer.learning_rate=0.002",
        "dataset.image_size=48",
        "dataset.val_size=32",
        "model.head.pool=flatten",
    )
    for design in plan(set=texts).designs.values():
        assert design.recipe.optimizer == AdamW(learning_rate=0.002)
        assert design.at("model.entry.widths") == (32, 64, 96)
        assert design.at("model.input_size") == design.dataset.image_size == 48
        assert design.dataset.val_size == 32


def test_setting_a_field_resets_what_it_leaves_without_effect() -> None:
    study = studies.get_study("residuals")
    options = Options(scale="smoke", preset="keras", set=("model.norm.kind=group",))
    designs = design_study(study, options, CIFAR10, None, STAND_INS).designs
    assert {design.at("model.norm.momentum") for design in designs.values()} == {0.1}


def test_a_file_python_and_the_command_line_give_the_same_texts(tmp_path: Path) -> None:
    toml, as_json = tmp_path / "a.toml", tmp_path / "a.json"
    toml.write_text('[recipe]\nlabel_smoothing = 0.1\n[recipe.optimizer]\ntype = "AdamW"\nlearning_rate = 0.002\n')
    values = {"recipe": {"label_smoothing": 0.1, "optimizer": {"type": "adamw", "learning_rate": 0.002}}}
    as_json.write_text(json.dumps(values))
    wanted = ("recipe.label_smoothing=0.1", "recipe.optimizer=AdamW", "recipe.optimizer.learning_rate=0.002")
    words = ("recipe.optimizer.learning_rate=2e-3", "recipe.label_smoothing=.1", "recipe.optimizer=adamw")
    for options in (Options(set=words), Options(config=toml), Options(config=as_json)):
        assert canonical_texts(options) == wanted
    from_python = Options(set={"recipe.optimizer": AdamW(learning_rate=0.002), "recipe.label_smoothing": 0.1})  # type: ignore[arg-type]
    keys = [{t.key for t in plan(set=texts).trials().values()} for texts in (wanted, from_python.set)]
    assert keys[0] == keys[1]
    over = Options(config=toml, set=("recipe.label_smoothing=0.2",))
    assert canonical_texts(over)[0] == "recipe.label_smoothing=0.2"


def test_the_stored_command_has_the_values_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[recipe]\nema_decay = 0.5\n")
    planned = plan(config=tmp_path / "a.toml")
    assert "--set recipe.ema_decay=0.5" in planned.command
    assert "--config" not in planned.command


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", None, "cannot be read (No such file or directory)"),
        ("a.toml", "[recipe", "is not TOML"),
        ("a.json", "{", "is not JSON"),
        ("a.json", "[]", "holds no fields"),
        ("a.toml", "[recipe]\nepohcs = 3\n", "did you mean recipe.epochs?"),
    ],
)
def test_an_unusable_file_is_reported_in_one_line(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError) as caught:
        plan(config=tmp_path / name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_field_is_listed_with_what_it_means(capsys: pytest.CaptureFixture[str]) -> None:
    assert list_fields("", as_json=True) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) > 100
    silent = [row["field"] for row in rows if row["field"].count(".") and not (row["meaning"] and row["allowed"])]
    assert not silent
    by_name = {(row["field"], row["of"]): row for row in rows}
    assert by_name["recipe.optimizer.learning_rate", "SGD"]["default"] == "0.1"
    assert by_name["recipe.optimizer.learning_rate", "AdamW"]["default"] == "0.001"
    assert by_name["model.head.dropout", "HeadConfig"]["allowed"] == "float; at least 0 and below 1"
    assert by_name["model.num_classes", "XceptionConfig"]["not_set"] == "it comes from the data set"
    list_fields("recipe.optimizer", as_json=False)
    out = capsys.readouterr().out
    assert "recipe.optimizer.nesterov = false  [bool]" in out
    assert "model." not in out
    with pytest.raises(ValueError, match=r"^--fields: 'recpe' is not a field; did you mean recipe\?"):
        list_fields("recpe", as_json=False)


def test_a_default_that_is_listed_is_one_that_can_be_set() -> None:
    for field in catalogue().fields:
        default = field.described()["default"]
        if default is not None and field.why_not_set is None and "(" not in default[:1]:
            assert catalogue().parse(field.path, default) == field.default or "=" in default


def test_a_config_is_set_with_all_of_its_fields() -> None:
    texts = Options(set={"recipe.optimizer": SGD(learning_rate=0.3, nesterov=True)}).set  # type: ignore[arg-type]
    assert texts[0] == "recipe.optimizer=SGD"
    assert plan(set=texts).designs["with residuals"].recipe.optimizer == SGD(learning_rate=0.3, nesterov=True)
