"""The values that configs refuse, and the error messages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any, cast

import pytest

from tests.networks import xception_preset
from xception.base.canonical import from_json, key_of, to_plain
from xception.network import presets
from xception.network.config import (
    EntryFlowConfig,
    HeadConfig,
    ModelConfig,
    NormConfig,
    OperatorConfig,
    StemConfig,
    TorchvisionConfig,
    XceptionConfig,
)

TINY = xception_preset("cifar_tiny")
NO_FLOWS = XceptionConfig(entry=None, middle=TINY.middle.replace(modules=0), exit=None)
SAME_SHAPES = TINY.replace(entry=None, exit=None, downsampling="max_pool")

REFUSED = [
    # config, path, value, part of the message
    (TINY, "num_classes", 0, "num_classes: 0 is not allowed; at least 1"),
    (TINY, "width_multiplier", 0.0, "width_multiplier: 0.0 is not allowed"),
    (TINY, "width_multiplier", 1.0001, "changes no width"),
    (TINY, "input_size", 32, "input_size: 32 has no effect with head.pool='average'"),
    (TINY, "padding", "reflect", "padding: 'reflect' is not allowed; allowed: 'symmetric', 'same'"),
    (TINY, "stem.widths", (), "StemConfig.widths: () is not allowed"),
    (TINY, "stem.patch_size", 8, "patch_size: 8 has no effect with kind='cifar'"),
    (TINY, "entry.widths", (8, 16, 32), "one of 1, 2 for each of 3 widths"),
    (TINY, "entry.strides", (3, 2), "strides[0]: 3 is not allowed"),
    (TINY, "entry.widths", (0, 16), "EntryFlowConfig.widths: (0, 16) is not allowed; each at least 1"),
    (TINY, "middle.width", 64, "middle.width: 64 is the width that comes in"),
    (TINY, "exit.tail_intermediate_activation", "none", "has no effect with operator.kind='separable'"),
    (TINY, "head.dropout", 1.0, "HeadConfig.dropout: 1.0 is not allowed; at least 0 and below 1"),
    (TINY, "operator.kernel_size", 4, "kernel_size: 4 is not allowed; an odd number"),
    (TINY, "operator.segments", 4, "segments: 4 has no effect with kind='separable'"),
    (
        TINY,
        "operator",
        OperatorConfig(kind="segmented", segments=3),
        "stem.widths[0]: 16 is not allowed; a multiple of 3",
    ),
    (TINY, "norm.groups", 4, "groups: 4 has no effect with kind='batch'"),
    (TINY, "norm", NormConfig(kind="group", groups=3), "stem.widths[0]: 16 is not allowed; a multiple of 3"),
    (TINY, "norm.epsilon", 0.0, "epsilon: 0.0 is not allowed"),
    (
        TINY.replace_at("operator.kind", "regular"),
        "norm.placement",
        "each_convolution",
        "has no effect with operator.kind='regular'",
    ),
    (TINY.replace_at("residual.kind", "none"), "norm.placement", "after_sum", "has no effect without shortcuts"),
    (TINY.replace_at("residual.kind", "none"), "residual.stochastic_depth", 0.1, "has no effect without shortcuts"),
    (TINY.replace_at("residual.kind", "none"), "entry.residual", "none", "use None"),
    (TINY.replace_at("residual.kind", "none"), "middle.residual", "identity", "use 'projection'"),
    (TINY, "middle.residual", "identity", "gives the same network as None"),
    (TINY.replace_at("norm.kind", "none"), "residual.zero_init", True, "zero_init: True has no effect"),
    (SAME_SHAPES, "downsampling", "strided", "where no module has stride 2"),
    (SAME_SHAPES, "padding", "same", "where no padded layer has stride 2"),
    (NO_FLOWS, "operator.kernel_size", 5, "where no flow is left"),
    (NO_FLOWS, "norm.placement", "each_convolution", "where no flow is left"),
    (NO_FLOWS, "residual.kind", "none", "use 'projection'"),
    (TINY.replace_at("stem.widths", (2,)).replace(entry=None), "operator.kind", "inception", "at least 4 channels"),
    (TINY.replace_at("head.pool", "flatten"), "input_size", 8, "the last map is 1×1"),
]


@pytest.mark.parametrize(
    ("config", "path", "value", "message"), REFUSED, ids=[f"{path}={value}" for _, path, value, _ in REFUSED]
)
def test_refused_with_the_reason(config: XceptionConfig, path: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        config.replace_at(path, value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            lambda: OperatorConfig(depth_multiplier=2, kind="regular"),
            "it multiplies the depthwise output of 'separable'",
        ),
        (lambda: OperatorConfig(kernel_size=1, dilation=2), "dilation: 2 has no effect with kernel_size=1"),
        (lambda: OperatorConfig(kind="regular", intermediate_activation="elu"), "there is nothing between"),
        (lambda: NormConfig(kind="none", placement="after_activation"), "has no effect with kind='none'"),
        (lambda: NormConfig(kind="layer", momentum=0.2), "it keeps no running statistics"),
        (lambda: StemConfig(kind="patchify", patch_size=1), "patch_size: 1 is not allowed; at least 2"),
        (lambda: HeadConfig(hidden=(0,)), "HeadConfig.hidden"),
        (lambda: EntryFlowConfig(widths=(), strides=()), "or entry=None for no entry flow"),
        (
            lambda: TorchvisionConfig(name=cast("Any", "alexnett")),
            "TorchvisionConfig.name: 'alexnett' is not allowed; allowed: 'vgg16'",
        ),
        (lambda: TorchvisionConfig(name="vgg16", stem="cifar"), "only ResNets have one"),
    ],
)
def test_parts_refused_with_the_reason(config: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        config()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "path_value",
    [
        ("residual.kind", "none"),
        ("residual.kind", "identity"),
        ("entry.residual", "none"),
        ("middle.residual", "none"),
        ("exit.residual", "none"),
        ("residual.stochastic_depth", 0.2),
        ("residual.zero_init", True),
        *[
            ("operator.kind", kind)
            for kind in ("pointwise_depthwise", "segmented", "regular", "inception", "simplified_inception")
        ],
        ("operator.intermediate_activation", "relu"),
        ("operator.intermediate_activation", "elu"),
        ("operator.kernel_size", 5),
        ("operator.dilation", 2),
        ("operator.depth_multiplier", 2),
        *[("norm.kind", kind) for kind in ("group", "layer", "none")],
        *[
            ("norm.placement", place)
            for place in ("each_convolution", "before_activation", "after_activation", "after_sum")
        ],
        *[("middle.modules", n) for n in (0, 1, 2, 8, 16)],
        ("entry", None),
        ("exit", None),
        ("exit.tail_widths", ()),
        *[("downsampling", kind) for kind in ("strided", "average_pool", "anti_aliased")],
        ("padding", "same"),
        *[("stem.kind", kind) for kind in ("paper", "aligned", "cifar", "patchify")],
        ("width_multiplier", 0.5),
        *[("head.pool", kind) for kind in ("max", "global_depthwise", "flatten")],
        ("head.hidden", (256, 256)),
        ("head.dropout", 0.3),
        ("activation", "silu"),
    ],
    ids=lambda pair: f"{pair[0]}={pair[1]}",
)
@pytest.mark.parametrize("preset", ["cifar_tiny", "cifar_small", "cifar_base", "cifar_large", "paper"])
def test_one_path_is_one_variant(preset: str, path_value: tuple[str, Any]) -> None:
    path, value = path_value
    config = presets.get(preset)
    changed = config.replace_at(path, value)
    size = presets.input_size(preset)
    assert changed.for_data(num_classes=5, in_channels=3, input_size=size).num_classes == 5
    assert (key_of(changed) == key_of(config)) == (config.at(path) == value)


def test_for_data_gives_the_input_size_only_where_the_head_needs_it() -> None:
    config = xception_preset("cifar_tiny")
    assert config.for_data(num_classes=7, in_channels=1, input_size=28).input_size is None
    flat = config.replace_at("head.pool", "flatten").for_data(num_classes=7, in_channels=1, input_size=28)
    assert (flat.input_size, flat.in_channels, flat.num_classes) == (28, 1, 7)
    assert flat.for_data(num_classes=7, in_channels=1, input_size=40).input_size == 40


def test_images_too_small_are_refused() -> None:
    with pytest.raises(ValueError, match="input_size: 4 is not allowed; at least 7, as the stem leaves"):
        xception_preset("paper").for_data(num_classes=10, in_channels=3, input_size=4)
    assert xception_preset("paper").for_data(num_classes=10, in_channels=3, input_size=32) == XceptionConfig(
        num_classes=10
    )


def test_torchvision_networks_refuse_images_too_small() -> None:
    config = presets.get("torchvision:inception_v3")
    with pytest.raises(ValueError, match="at least 75"):
        config.for_data(num_classes=10, in_channels=3, input_size=32)
    assert presets.get("torchvision:resnet18").for_data(num_classes=10, in_channels=3, input_size=32).num_classes == 10


@pytest.mark.parametrize("name", [*presets.names(), *presets.torchvision_names()])
def test_presets_round_trip(name: str) -> None:
    config = presets.get(name)
    text = json.dumps({"type": type(config).tag, **to_plain(config)})
    assert from_json(cast("Any", ModelConfig), text) == config


def test_width_multiplier_is_fine_and_keeps_divisors() -> None:
    config = xception_preset("cifar_small").replace_at("operator.kind", "segmented").replace_at("operator.segments", 16)
    for step in range(50, 90):
        scaled = config.replace(width_multiplier=step / 100)
        assert all(scaled.channels(width) % 16 == 0 for width in scaled.widths().values())
    fine = {xception_preset("cifar_base").replace(width_multiplier=1.1 + i / 1000).channels(1024) for i in range(10)}
    assert len(fine) == 10


def test_configs_and_presets_import_no_torch() -> None:
    code = (
        "import sys; from xception import presets, XceptionConfig; from xception.network.closed_form import"
        " complexity;[presets.get(n) for n in (*presets.names(), *presets.torchvision_names())];"
        " complexity(presets.get('cifar_tiny'), 32);assert not {'torch', 'torchvision', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
