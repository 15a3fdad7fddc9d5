"""Every study on every preset and on networks of the search spaces: each label describes the network and recipe.

One module, since it is one table of what each label claims, with the checks of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from ablations import studies
from ablations.design.fitting import OWN_CHOICE
from ablations.design.options import Options
from ablations.design.plan_study import design_study
from ablations.design.stand_in_data import CIFAR10, STAND_INS, stand_in_for
from ablations.design.study import Design, Study, Variant, factorial
from ablations.design.study_plan import StudyPlan
from search.spaces import get_space
from search.spaces import names as space_names
from xception.base.canonical import canonical_json, difference
from xception.network import presets
from xception.network.config import XceptionConfig

Fact = Callable[[Design, Design], bool]  # a condition on the variant's design and its baseline's
RECIPE_STUDIES = {"aa", "augmentation", "averaging", "optimizer", "precision", "transfer", "paper_table1"}
NUM_NETWORKS = 56


def at(path: str, expected: Any) -> Fact:
    return lambda design, _: design.at(path) == expected


def both(*facts: Fact) -> Fact:
    return lambda design, base: all(fact(design, base) for fact in facts)


def operator(kind: str) -> Fact:
    return at("model.operator.kind", kind)


def between(activation: str) -> Fact:
    def fact(design: Design, _: Design) -> bool:
        model = ours(design)
        tail = model.exit.tail_intermediate_activation if model.exit is not None else None
        return model.operator.intermediate_activation == activation and tail is None

    return fact


def shortcuts(*without: str) -> Fact:
    """Shortcuts around every module but those of some flows."""

    def fact(design: Design, _: Design) -> bool:
        return all((m.shortcut == "none") == (m.name.partition(".")[0] in without) for m in ours(design).modules())

    return fact


def middle_modules(number: int) -> Fact:
    return lambda design, _: sum(m.name.startswith("middle") for m in ours(design).modules()) == number


def ratio(path: str, factor: float) -> Fact:
    return lambda design, base: bool(abs(design.at(path) / base.at(path) - factor) < 0.01)


def augmented(*extra: str) -> Fact:
    def fact(design: Design, _: Design) -> bool:
        augment = design.recipe.augment
        on = {name for name in ("cutout", "randaugment_operations", "mixup_alpha", "cutmix_alpha") if augment.at(name)}
        return augment.flip and augment.crop_padding > 0 and on == set(extra)

    return fact


def ours(design: Design) -> XceptionConfig:
    assert isinstance(design.model, XceptionConfig)
    return design.model


def kind_of(path: str, name: str) -> Fact:
    return lambda design, _: type(design.at(path)).__name__ == name


def true(design: Design, base: Design) -> bool:
    return True


NO_MODULE = ("entry", "middle", "exit")
RESIDUALS = {"with residuals": shortcuts(), "without residuals": shortcuts(*NO_MODULE)}


def towers(kind: str, *, linear: bool) -> Fact:
    """Towers with nothing between their convolutions, or with the network's activation and its norm, if it has one.

    The norm of a whole network may stand after each convolution as well, which the published form has.
    """

    def fact(design: Design, _: Design) -> bool:
        model = ours(design)
        normed = (
            model.norm.placement == "each_convolution"
            if model.operator.tower_norm is None
            else model.operator.tower_norm
        )
        inside = (model.operator.inner_activation, normed)
        wanted = ("none", False) if linear else (model.activation, model.norm.kind != "none")
        return model.operator.kind == kind and inside == wanted

    return fact


INCEPTION = {
    "inception module": towers("inception", linear=False),
    "simplified inception": towers("simplified_inception", linear=False),
    "linear inception module": towers("inception", linear=True),
    "linear simplified inception": towers("simplified_inception", linear=True),
    "Inception modules": towers("inception", linear=False),
}
HEADS = {"no FC": at("model.head.hidden", ()), "FC": lambda d, _: len(d.at("model.head.hidden")) == 2}


def pooled(pool: str) -> Fact:
    return both(at("model.head.pool", pool), at("model.head.hidden", ()))


FACTS: dict[str, dict[str, Fact]] = {
    "aa": {"first draw": at("stream", 0), "second draw": at("stream", 1)},
    "activation": {
        title: at("model.activation", title.lower().replace(" ", "_"))
        for title in ("ReLU", "leaky ReLU", "ELU", "SiLU", "GELU", "hard swish", "Mish")
    },
    "attention": {
        title: at("model.attention.kind", kind)
        for title, kind in (("no attention", "none"), ("squeeze-and-excitation", "se"), ("ECA", "eca"))
    },
    "bottleneck": {
        "separable": both(operator("separable"), at("model.residual.layer_scale", 0.0)),
        "LayerScale": both(operator("separable"), at("model.residual.layer_scale", 0.1)),
        **{f"expansion {n}": both(operator("inverted_bottleneck"), at("model.operator.expansion", n)) for n in (2, 4)},
        "expansion 4, LayerScale": both(
            operator("inverted_bottleneck"), at("model.operator.expansion", 4), at("model.residual.layer_scale", 0.1)
        ),
    },
    "inception_towers": {
        "norm and activation": towers("inception", linear=False),
        "norm": both(operator("inception"), lambda d, _: ours(d).operator.inner_activation == "none"),
        "activation": both(operator("inception"), lambda d, _: ours(d).operator.inner_activation == ours(d).activation),
        "linear": towers("inception", linear=True),
    },
    "output_stride": {
        "all strides": at("model.output_stride", None),
        **{f"output stride {n}": at("model.output_stride", n) for n in (16, 8, 4, 2)},
    },
    "shortcut": {
        "as published": both(at("model.residual.tap", "input"), at("model.residual.norm", None)),
        "activated tap": at("model.residual.tap", "activated"),
        "without norm": at("model.residual.norm", False),
        "activated tap, without norm": both(at("model.residual.tap", "activated"), at("model.residual.norm", False)),
        "average pooled": at("model.residual.pooling", "average"),
    },
    "augmentation": {
        "none": lambda d, _: d.recipe.augment == type(d.recipe.augment)(),
        "flip and crop": augmented(),
        "+ cutout": augmented("cutout"),
        "+ RandAugment": augmented("randaugment_operations"),
        "+ mixup": augmented("mixup_alpha"),
        "+ CutMix": augmented("cutmix_alpha"),
    },
    "averaging": {
        "off": at("recipe.ema_decay", 0.0),
        **{f"decay {d:g}": at("recipe.ema_decay", d) for d in (0.9, 0.99, 0.999)},
    },
    "precision": {p: at("recipe.precision", p) for p in ("float32", "bfloat16")},
    "correlations": {
        **{f"κ {k:g}": true for k in (0, 0.25, 0.5, 0.75, 1)},
        "separable": operator("separable"),
        "regular": operator("regular"),
    },
    "depth": {f"{n} module{'s' * (n != 1)}": middle_modules(n) for n in (0, 1, 2, 4, 8, 16)},
    "downsampling": {
        title: at("model.downsampling", value)
        for title, value in (
            ("max pooling", "max_pool"),
            ("strided convolution", "strided"),
            ("average pooling", "average_pool"),
            ("anti-aliased", "anti_aliased"),
        )
    },
    "dropout": {
        "no dropout": at("model.head.dropout", 0.0),
        **{f"dropout {p:g}": at("model.head.dropout", p) for p in (0.1, 0.25, 0.5)},
    },
    "flows": {
        "whole network": lambda d, base: d == base,
        "shorter entry flow": lambda d, base: len(d.at("model.entry.widths")) == len(base.at("model.entry.widths")) - 1,
        "half the middle flow": lambda d, base: d.at("model.middle.modules") == base.at("model.middle.modules") // 2,
        "exit flow without tail": at("model.exit.tail_widths", ()),
        "no entry flow": at("model.entry", None),
        "no middle flow": at("model.middle.modules", 0),
        "no exit flow": at("model.exit", None),
    },
    "head": {
        "average": pooled("average"),
        "maximum": pooled("max"),
        "global depthwise": pooled("global_depthwise"),
        "flatten": pooled("flatten"),
        "fully connected": both(at("model.head.pool", "average"), HEADS["FC"]),
    },
    "interactions": {
        "residuals": shortcuts(),
        "no residuals": shortcuts(*NO_MODULE),
        "separable": operator("separable"),
        "regular": operator("regular"),
        "norm after convolution": at("model.norm.placement", "after_convolution"),
        "norm before activation": at("model.norm.placement", "before_activation"),
    },
    "intermediate_activation": {"none": between("none"), "ReLU": between("relu"), "ELU": between("elu")},
    "kernel_size": {f"{k}×{k}": at("model.operator.kernel_size", k) for k in (1, 3, 5, 7)},
    "norm_kind": {
        "full batch": true,
        "batch / 8": lambda d, _: d.recipe.batch_size == 64 // 8,
        **{f"{kind} norm": at("model.norm.kind", kind) for kind in ("batch", "group", "layer")},
        "no norm": at("model.norm.kind", "none"),
    },
    "norm_placement": {
        title: at("model.norm.placement", value)
        for title, value in (
            ("after convolution", "after_convolution"),
            ("after each convolution", "each_convolution"),
            ("before activation", "before_activation"),
            ("after activation", "after_activation"),
            ("after sum", "after_sum"),
        )
    },
    "operation_order": {
        "nothing between": between("none"),
        "ReLU between": between("relu"),
        "depthwise first": operator("separable"),
        "pointwise first": operator("pointwise_depthwise"),
    },
    "operators": {"separable": operator("separable"), "regular": operator("regular"), **INCEPTION},
    "optimizer": {
        "SGD, one cycle": both(kind_of("recipe.optimizer", "SGD"), kind_of("recipe.schedule", "OneCycle")),
        "AdamW, cosine": both(kind_of("recipe.optimizer", "AdamW"), kind_of("recipe.schedule", "Cosine")),
        "SGD as for ImageNet": both(
            at("recipe.optimizer.learning_rate", 0.045), kind_of("recipe.schedule", "Exponential")
        ),
        "RMSprop as for JFT": kind_of("recipe.optimizer", "RMSprop"),
    },
    "paper_figures": {
        "Xception": both(operator("separable"), shortcuts(), between("none")),
        "Inception modules": both(INCEPTION["Inception modules"], shortcuts()),
        "without residuals": both(operator("separable"), shortcuts(*NO_MODULE), between("none")),
        "ReLU between": both(operator("separable"), shortcuts(), between("relu")),
        "ELU between": both(operator("separable"), shortcuts(), between("elu")),
    },
    "paper_table1": {
        "Xception": operator("separable"),
        "Inception V3": at("model.name", "inception_v3"),
        "ResNet-152": at("model.name", "resnet152"),
        "VGG-16": at("model.name", "vgg16"),
    },
    "paper_table2": {**HEADS, **INCEPTION, "Xception": operator("separable")},
    "paper_table3": {**INCEPTION, "Xception": operator("separable")},
    "residuals": RESIDUALS,
    "residuals_by_depth": {
        **RESIDUALS,
        **{f"{n} modules": at("model.middle.modules", n) for n in (2, 4, 8, 16)},
    },
    "residuals_by_flow": {
        "all flows": shortcuts(),
        "in no flow": shortcuts(*NO_MODULE),
        **{f"not in {flow} flow": shortcuts(flow) for flow in NO_MODULE},
    },
    "spectrum": {
        "one per channel": operator("pointwise_depthwise"),
        **{
            f"{n} segment{'s' * (n > 1)}": both(operator("segmented"), at("model.operator.segments", n))
            for n in (1, 2, 4, 8)
        },
    },
    "transfer": {
        **{f"{name} images": true for name in ("all", "1/4 of", "1/16 of")},
        "from scratch": at("recipe.transfer", None),
        "linear probe": at("recipe.transfer.freeze", "backbone"),
        "fine-tuned": both(at("recipe.transfer.freeze", "none"), at("recipe.transfer.backbone_rate", 0.1)),
        "norms frozen": at("recipe.transfer.freeze", "norms"),
    },
    "width": {f"×{x:g}": ratio("model.width_multiplier", x) for x in (0.5, 0.75, 1, 1.5, 2)},
}


def plan(name: str, preset: str) -> StudyPlan:
    study = studies.get_study(name)
    source = stand_in_for(study)
    return design_study(study, Options(preset=preset), source, None, STAND_INS)


def check_labels(name: str, preset: str) -> None:
    planned = plan(name, preset)
    references = planned.study.references()
    for title, design in planned.designs.items():
        if title == OWN_CHOICE:
            assert "cannot exist" in planned.study.question
            continue
        words = title.partition("@")[0]
        known = FACTS[name]
        for label in [words] if words in known else words.split(", "):
            if label == "fine-tuned" and words.endswith("norms frozen"):
                continue  # a prefix of two labels
            assert known[label](design, planned.designs[references[title]]), f"{name}, {preset}: {label!r} is not true"
    for title in (*planned.left_out, *planned.merged):
        assert any(line.startswith(f"{title} is ") for line in planned.remarks)
    assert set(planned.left_out) | set(planned.merged) | set(planned.designs) - {OWN_CHOICE} == {
        v.title for v in studies.get_study(name).variants
    }


# One network of torchvision of each kind: what a study plans depends on the config's type and the images it can take.
TORCHVISION = tuple(
    f"torchvision:{name}" for name in ("vgg16", "resnet18", "inception_v3", "convnext_tiny", "vit_b_16")
)


@pytest.mark.parametrize("preset", [*presets.names(), *TORCHVISION])
def test_every_study_plans_on_every_preset_and_its_labels_are_true(preset: str) -> None:
    for name in studies.names():
        if preset.startswith("torchvision:") and name not in RECIPE_STUDIES:
            with pytest.raises(ValueError, match="nothing is left to compare on this network: the network has no "):
                plan(name, preset)
        elif preset == "mobilenetv1" and name == "shortcut":  # a network without shortcuts has no shortcut to move
            with pytest.raises(ValueError, match="nothing is left to compare on this network"):
                plan(name, preset)
        else:
            check_labels(name, preset)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Files of networks drawn from all search spaces in turn."""
    folder, generator, base = tmp_path_factory.mktemp("networks"), random.Random(0), presets.get("cifar_tiny")
    assert isinstance(base, XceptionConfig)
    out = []
    for i in range(NUM_NETWORKS):
        space = get_space(space_names()[i % len(space_names())])
        path = folder / f"{i}.json"
        path.write_text(canonical_json(space.config(base, space.draw(generator))))
        out.append(str(path))
    return out


def check_on_random_networks(pairs: list[tuple[str, str]]) -> None:
    refused = []
    for name, path in pairs:
        try:
            check_labels(name, path)
        except ValueError as error:
            refused.append(str(error))
    assert all("nothing is left to compare" in message for message in refused), refused
    # for example, studies of shortcuts have nothing to vary in a network without any
    assert len(refused) <= len(pairs) / 20


def test_labels_are_true_on_networks_of_the_search_spaces(networks: list[str]) -> None:
    """A sample in which every network meets five studies, and every study ten networks."""
    names = studies.names()
    check_on_random_networks(
        [(names[(5 * i + j) % len(names)], path) for i, path in enumerate(networks) for j in range(5)]
    )


@pytest.mark.long
def test_labels_are_true_on_all_networks_in_all_studies(networks: list[str]) -> None:
    check_on_random_networks([(name, path) for path in networks for name in studies.names()])


def own(*variants: Variant, baseline: str = "a", varies: tuple[str, ...] = ("model", "recipe"), **more: Any) -> Study:
    return Study(name="own", question="Which?", variants=variants, baseline=baseline, varies=varies, **more)


def planned(study: Study, **options: Any) -> StudyPlan:
    return design_study(study, Options(**options), CIFAR10, None, STAND_INS)


def test_fields_that_are_valid_only_together_change_together() -> None:
    changes = {"model.entry.widths": (32, 64, 96), "model.entry.strides": (2, 2, 1)}
    study = own(
        Variant(name="a"),
        Variant(name="b", changes=changes),
        Variant(name="c", changes=dict(reversed(changes.items())), match="params"),
    )
    designs = planned(study).designs
    assert designs["b"].at("model.entry.widths") == (32, 64, 96)
    assert designs["b"].at("model.entry.strides") == (2, 2, 1)
    assert designs["c@params"].at("model.entry.strides") == (2, 2, 1)


def test_fields_that_a_change_leaves_without_effect_are_reset_and_no_other() -> None:
    study = own(Variant(name="a"), Variant(name="b", changes={"model.norm.kind": "group"}))
    designs = planned(study, preset="keras").designs
    assert set(difference(designs["a"], designs["b"])) == {"model.norm.kind", "model.norm.momentum"}


def test_what_cannot_exist_is_left_out_and_named() -> None:
    study = own(
        Variant(name="a"),
        Variant(name="b", changes={"model.activation": "elu"}),
        Variant(name="c", changes={"model.operator.segments": 2}),
    )
    found = planned(study)
    assert list(found.designs) == ["a", "b"]
    assert found.remarks[0].startswith("c is left out: OperatorConfig.segments: 2 has no effect with kind='separable'")
    assert found.described().remarks == found.remarks


def test_a_baseline_that_cannot_exist_is_replaced_by_the_networks_own_choice() -> None:
    study = own(
        Variant(name="a", changes={"model.operator.segments": 2}),
        Variant(name="b", changes={"model.activation": "elu"}),
    )
    found = planned(study)
    assert list(found.designs) == [OWN_CHOICE, "b"]
    assert f"Compared with {OWN_CHOICE}, since a cannot exist there" in found.described().question
    same = planned(own(*study.variants, Variant(name="c", changes={"model.activation": "relu"})))
    assert same.study.baseline == "c"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.actvation": "relu"}, "did you mean model.activation?"),
        ({"model.activation": "swish"}, "XceptionConfig.activation: 'swish' is not allowed"),
        ({"model.operator.kernel_size": 4}, "OperatorConfig.kernel_size: 4 is not allowed; an odd number"),
    ],
)
def test_a_mistake_in_a_study_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        planned(own(Variant(name="a"), Variant(name="b"), Variant(name="c", changes=changes)))
    assert message in str(caught.value)


def test_a_factorial_leaves_out_cells_and_names_them() -> None:
    variants = factorial(
        {
            "operator": {kind: {"model.operator.kind": kind} for kind in ("separable", "regular")},
            "between": {kind: {"model.operator.intermediate_activation": kind} for kind in ("none", "relu")},
        },
        skip=lambda cell: "there is nothing between" if cell == {"operator": "regular", "between": "relu"} else None,
    )
    found = planned(own(*variants, baseline="separable, none"))
    assert list(found.designs) == ["separable, none", "separable, relu", "regular, none"]
    assert found.left_out == {"regular, relu": "there is nothing between"}
