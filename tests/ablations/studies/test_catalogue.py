"""The catalogue: each variant changes only the fields that its study is about, and gets another network or recipe."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ablations import studies
from ablations.design.options import Options
from ablations.design.plan_study import design_study
from ablations.design.scales import SCALES, get_scale
from ablations.design.stand_in_data import CIFAR10, STAND_INS, stand_in, stand_in_for
from ablations.design.study import Design, Study, Variant
from ablations.design.study_plan import StudyPlan
from xception.base.canonical import difference
from xception.network.config import XceptionConfig
from xception.network.graph import network

NAMES = studies.names()
WIDTHS = ("model.width_multiplier",)
FEWER_IMAGES = ("dataset.train_size", "recipe.epochs", "recipe.batch_size")


def plan(name: str, scale: str = "quick", **options: object) -> StudyPlan:
    """The plan of a study on a placeholder for its data, as in a listing."""
    study = studies.get_study(name)
    source = stand_in_for(study)
    if get_scale(scale).max_image_size is None:
        source = replace(source, native_size=320)
    return design_study(study, Options(scale=scale, **options), source, None, STAND_INS)  # type: ignore[arg-type]


def changed_paths(one: Design, other: Design) -> set[str]:
    return {path.removesuffix(".") for path in difference(one, other)}


def unchanged(planned: StudyPlan, variant: Variant) -> Design:
    """The design that a variant changes: its baseline's without the baseline's own changes."""
    bare = replace(planned.study, variants=(Variant(name="bare", dataset=variant.dataset),), baseline="bare", within=())
    source = planned.source if variant.dataset is None else stand_in(variant.dataset)
    options = replace(planned.options, classes=None)
    return design_study(replace(bare, transfers=False), options, source, None, STAND_INS).designs["bare"]


@pytest.mark.parametrize("scale", list(SCALES))
@pytest.mark.parametrize("name", NAMES)
def test_a_variant_changes_the_fields_that_the_study_is_about(name: str, scale: str) -> None:
    planned = plan(name, scale)
    for variant in planned.study.variants:
        if variant.title in planned.merged:
            continue
        allowed = planned.study.varies + (WIDTHS if variant.match != "none" else ())
        allowed += FEWER_IMAGES if any(v.train_fraction != 1 for v in planned.study.variants) else ()
        allowed += ("pretraining",) if planned.study.transfers else ()
        paths = changed_paths(unchanged(planned, variant), planned.designs[variant.title])
        beyond = {path for path in paths if not any(path == field or path.startswith(f"{field}.") for field in allowed)}
        assert not beyond, f"{variant.title} also changes {sorted(beyond)}"


@pytest.mark.parametrize("name", NAMES)
def test_a_variant_differs_from_what_it_is_compared_with(name: str) -> None:
    planned = plan(name)
    references = planned.study.references()
    for title, design in planned.designs.items():
        reference = planned.designs[references[title]]
        if title == references[title]:
            continue
        same_data = {"dataset.fingerprint"} & changed_paths(reference, design)
        assert not same_data, f"{title} is compared with {references[title]} on other data"
        models = [d.model for d in (reference, design)]
        if all(isinstance(m, XceptionConfig) for m in models) and models[0] != models[1]:
            one, other = (network(m) for m in models if isinstance(m, XceptionConfig))
            assert one != other, f"{title} and {references[title]} are one network"
        assert changed_paths(reference, design), f"{title} is {references[title]}"


@pytest.mark.parametrize("name", NAMES)
def test_docstring_has_question_source_and_command(name: str) -> None:
    study, module = studies.get_study(name), Path(studies.__file__).with_name(f"{name}.py").read_text()
    assert study.name == name
    assert f"python run_ablation.py --study {name}" in module
    assert study.question.endswith("?")
    assert study.reference


def test_the_catalogue_is_complete() -> None:
    assert studies.names() == [
        *(
            "aa",
            "activation",
            "attention",
            "augmentation",
            "averaging",
            "bottleneck",
            "correlations",
            "depth",
            "downsampling",
            "dropout",
            "flows",
            "head",
            "inception_towers",
        ),
        *(
            "interactions",
            "intermediate_activation",
            "kernel_size",
            "norm_kind",
            "norm_placement",
            "operation_order",
            "operators",
        ),
        *(
            "optimizer",
            "output_stride",
            "paper_figures",
            "paper_table1",
            "paper_table2",
            "paper_table3",
            "precision",
            "residuals",
            "residuals_by_depth",
        ),
        *("residuals_by_flow", "shortcut", "spectrum", "transfer", "width"),
    ]


@pytest.mark.parametrize("name", ["aa", "augmentation", "optimizer", "averaging", "precision"])
def test_studies_of_the_recipe_take_a_network_that_is_not_ours(name: str) -> None:
    planned = plan(name, preset="torchvision:resnet18")
    models = {design.model for design in planned.designs.values()}
    assert len(models) == 1
    model = models.pop()
    assert (model.at("name"), model.at("stem"), model.num_classes) == ("resnet18", "cifar", 10)


def test_a_study_of_the_network_names_what_it_cannot_change() -> None:
    with pytest.raises(ValueError, match=r"^study residuals: nothing is left to compare on this network: the network"):
        plan("residuals", preset="torchvision:resnet18")


@pytest.mark.parametrize(
    ("name", "match"), [("operators", "params"), ("spectrum", "macs"), ("norm_placement", "params")]
)
def test_match_brings_every_variant_to_its_baseline(name: str, match: str) -> None:
    planned = plan(name, match=match)
    baseline, *others = planned.designs
    assert "@" not in baseline
    assert len(others) >= 3
    assert all(title.endswith(f"@{match}") for title in others)


def test_levels_have_baselines_of_their_own() -> None:
    planned = plan("residuals_by_depth")
    baselines = {m.variant for m in planned.stored_plan().members if m.is_baseline}
    assert baselines == {f"{n} modules, with residuals" for n in (2, 4, 8, 16)}
    assert planned.described().references["16 modules, without residuals"] == "16 modules, with residuals"
    assert list(planned.designs)[:2] == ["4 modules, with residuals", "4 modules, without residuals"]


def test_every_arm_of_a_transfer_sees_as_many_images() -> None:
    designs = plan("transfer").designs.values()
    seen = [d.recipe.epochs * d.at("dataset.train_size") for d in designs]
    assert max(seen) - min(seen) <= max(d.recipe.epochs for d in designs)
    sources = {d.pretraining for d in designs if d.recipe.transfer is not None}
    assert len(sources) == 1
    assert all(d.pretraining is None for d in designs if d.recipe.transfer is None)


def test_the_source_network_is_part_of_the_key() -> None:
    planned = plan("transfer")
    trials = planned.trials()
    probes = [trials["all images, linear probe", seed] for seed in (0, 1)]
    found = planned.pretraining([("all images, linear probe", 0), ("all images, linear probe", 1)])
    assert [p.recipe.transfer.source for p in probes if p.recipe.transfer] == list(found)
    assert len({p.key for p in probes} | {t.key for t in found.values()}) == 4


def test_weights_by_file_are_named_by_content(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"some weights")
    planned = plan("transfer", weights=tmp_path / "a.safetensors")
    transfers = [d.recipe.transfer for d in planned.designs.values() if d.recipe.transfer]
    name = f"file:{hashlib.sha256(b'some weights').hexdigest()}"
    assert {t.source for t in transfers} == {name}
    assert planned.weights == {name: tmp_path / "a.safetensors"}
    assert planned.source.num_classes == 10


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("residuals", {"weights": Path("x")}, "--weights: the study residuals trains from scratch"),
        (
            "correlations",
            {"dataset": "cifar10"},
            "--dataset: 'cifar10' is not allowed; the study correlations is about synthetic",
        ),
        ("transfer", {"tune": 3}, "--tune: 3 is not allowed with the study transfer"),
        (
            "transfer",
            {"weights": Path("/nowhere/x.pth"), "dataset": "synthetic"},
            "--weights: /nowhere/x.pth cannot be read",
        ),
        (
            "transfer",
            {"classes": "3", "dataset": "synthetic"},
            "--dataset: synthetic, classes 0 to 2 has 3 classes, too few",
        ),
        ("residuals", {"classes": "x", "dataset": "synthetic"}, "--classes: 'x' is not allowed"),
        ("residuals", {"classes": "5-11", "dataset": "synthetic"}, "--classes: '5-11' is not allowed; 2 to 10 classes"),
        ("flows", {"preset": "torchvision:vgg16", "dataset": "synthetic"}, "the network has no entry"),
        ("aa", {"preset": "torchvision:vgg16", "match": "params", "dataset": "synthetic"}, "is for networks of ours"),
    ],
)
def test_what_does_not_fit_is_reported(name: str, options: dict[str, object], message: str) -> None:
    from ablations.design.plan_study import plan_study

    with pytest.raises(ValueError) as caught:
        plan_study(studies.get_study(name), Options(scale="smoke", **options))  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def own(variants: Sequence[Variant], **more: object) -> Study:
    fields: dict[str, object] = {
        "name": "own",
        "question": "?",
        "baseline": "a",
        "varies": ("model.activation",),
        **more,
    }
    return Study(variants=tuple(variants), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("variants", "more", "message"),
    [
        ([], {}, "own.variants: none given; at least a baseline"),
        ([Variant(name="a"), Variant(name="a")], {}, "own.variants: 'a' occurs twice; names must differ"),
        ([Variant(name="b")], {}, "own.baseline: 'a' is not a variant; variants: b"),
        (
            [Variant(name="a"), Variant(name="b", changes={"stream": 1})],
            {},
            "changes 'stream', which the study does not vary",
        ),
        ([Variant(name="a")], {"margin": 2.0}, "own.margin: 2.0 is not allowed"),
        ([Variant(name="a", train_fraction=0.0)], {}, "train_fraction 0.0 is not allowed"),
        ([Variant(name="a", match="macs")], {"baseline": "a@macs"}, "match 'macs' is not allowed for the baseline"),
        (
            [Variant(name="a"), Variant(name="b", levels={"depth": "2"})],
            {"within": ("depth",)},
            "has no baseline among the variants",
        ),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(variants: list[Variant], more: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        own(variants, **more)
    assert message in str(caught.value)


def test_two_variants_of_the_same_trial_are_refused() -> None:
    study = own([Variant(name="a"), Variant(name="b", changes={"model.activation": "relu"})])
    with pytest.raises(ValueError, match="variants 'a' and 'b' are the same trial"):
        design_study(study, Options(scale="smoke"), CIFAR10, None, STAND_INS)


def test_an_own_study_with_the_name_of_one_in_the_catalogue_is_refused(tmp_path: Path) -> None:
    source = Path(str(studies.__file__)).with_name("depth.py").read_text(encoding="utf-8")
    own = tmp_path / "mine.py"
    own.write_text(f"{source}\nfrom dataclasses import replace\nSTUDY = replace(STUDY, question='Mine?')\n")
    with pytest.raises(ValueError, match="'depth' is not allowed; it is the name of a study in the catalogue"):
        studies.get_study(str(own))
    own.write_text(f"{source}\nfrom dataclasses import replace\nSTUDY = replace(STUDY, name='depth_of_mine')\n")
    assert studies.get_study(str(own)).name == "depth_of_mine"
