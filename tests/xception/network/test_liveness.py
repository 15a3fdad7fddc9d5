"""Every field of a model config has an effect: changing it alone changes the network, its outputs or its initial
values.
"""

from __future__ import annotations

import dataclasses
from typing import Any, cast, get_args

import pytest
import torch

from xception.base.canonical import Config, key_of
from xception.network import presets
from xception.network.config import (
    Activation,
    EntryFlowConfig,
    ExitFlowConfig,
    MiddleFlowConfig,
    OperatorConfig,
    StemConfig,
    TorchvisionConfig,
    XceptionConfig,
)
from xception.network.initialisation import initialise
from xception.network.model import Xception, build

pytestmark = pytest.mark.numeric

SMALL = XceptionConfig(
    num_classes=3,
    stem=StemConfig(kind="cifar", widths=(8,)),
    entry=EntryFlowConfig(widths=(16, 24), strides=(2, 2)),
    middle=MiddleFlowConfig(modules=2),
    exit=ExitFlowConfig(width=32, tail_widths=(40,)),
)
BASES = {
    "small": SMALL,
    "stem": SMALL.replace_at("stem.kind", "aligned"),
    "patchify": SMALL.replace_at("stem.kind", "patchify"),
    "inception": SMALL.replace_at("operator.kind", "inception"),
    "segmented": SMALL.replace_at("operator.kind", "segmented"),
    "bottleneck": SMALL.replace_at("operator.kind", "inverted_bottleneck"),
    "mixed": SMALL.replace_at("operator.kind", "mixed_separable"),
    "attentive": SMALL.replace_at("attention.kind", "se"),
    "preactivated": SMALL.replace_at("norm.placement", "before_activation"),
    "group": SMALL.replace_at("norm.kind", "group"),
    "flatten": SMALL.replace_at("head.pool", "flatten").replace(input_size=32),
}
CHANGES = [
    ("small", "num_classes", 4),
    ("small", "in_channels", 1),
    ("flatten", "input_size", 48),
    ("small", "width_multiplier", 1.1),
    ("small", "stem.kind", "paper"),
    ("small", "stem.kind", "aligned"),
    ("small", "stem.kind", "patchify"),
    ("small", "stem.widths", (8, 8)),
    ("patchify", "stem.patch_size", 2),
    ("small", "entry", None),
    ("small", "entry.widths", (16, 32)),
    ("small", "entry.strides", (1, 2)),
    ("small", "entry.convolutions", 1),
    ("small", "entry.residual", "none"),
    ("small", "middle.modules", 0),
    ("small", "middle.modules", 3),
    ("small", "middle.convolutions", 2),
    ("small", "middle.width", 16),
    ("small", "middle.residual", "none"),
    ("small", "exit", None),
    ("small", "exit.width", 24),
    ("small", "exit.stride", 1),
    ("small", "exit.convolutions", 3),
    ("small", "exit.tail_widths", ()),
    ("small", "exit.tail_intermediate_activation", "relu"),
    ("small", "exit.residual", "none"),
    ("small", "head.pool", "max"),
    ("small", "head.hidden", (8,)),
    ("small", "head.dropout", 0.1),
    ("small", "operator.kind", "pointwise_depthwise"),
    ("small", "operator.kind", "regular"),
    ("small", "operator.kind", "segmented"),
    ("small", "operator.kind", "inception"),
    ("small", "operator.kind", "simplified_inception"),
    ("small", "operator.kernel_size", 5),
    ("small", "operator.dilation", 2),
    ("small", "operator.depth_multiplier", 2),
    ("segmented", "operator.segments", 4),
    ("small", "operator.intermediate_activation", "elu"),
    ("inception", "operator.tower_activation", "relu"),
    ("inception", "operator.tower_norm", True),
    ("small", "norm.kind", "group"),
    ("small", "norm.kind", "layer"),
    ("small", "norm.kind", "none"),
    ("small", "norm.epsilon", 1e-5),
    ("small", "norm.momentum", 0.01),
    ("group", "norm.groups", 4),
    ("small", "norm.placement", "each_convolution"),
    ("small", "norm.placement", "before_activation"),
    ("small", "norm.placement", "after_activation"),
    ("small", "norm.placement", "after_sum"),
    *[("small", "activation", kind) for kind in (*get_args(Activation)[1:],)],
    ("small", "residual.kind", "none"),
    ("small", "residual.kind", "identity"),
    ("small", "residual.stochastic_depth", 0.5),
    ("small", "residual.zero_init", True),
    ("small", "residual.tap", "activated"),
    ("preactivated", "residual.tap", "activated"),
    ("small", "residual.norm", False),
    ("preactivated", "residual.norm", True),
    ("preactivated", "residual.bias", True),
    ("small", "residual.pooling", "average"),
    ("small", "residual.pooling", "max"),
    ("small", "residual.layer_scale", 0.1),
    ("small", "attention.kind", "se"),
    ("small", "attention.kind", "eca"),
    ("attentive", "attention.reduction", 4),
    ("small", "output_stride", 2),
    ("small", "output_stride", 4),
    ("small", "pool_size", 2),
    ("small", "pool_size", 5),
    ("preactivated", "norm.last", False),
    ("small", "operator.kind", "inverted_bottleneck"),
    ("small", "operator.kind", "mixed_separable"),
    ("bottleneck", "operator.expansion", 2),
    ("mixed", "operator.mixed_kernels", (3, 5)),
    ("small", "operator.asymmetric", True),
    ("inception", "operator.asymmetric", True),
    *[
        (base, f"{flow}.{name}", value)
        for base in ("small", "preactivated")
        for flow in ("entry", "middle", "exit")
        for name, value in (
            ("operator", OperatorConfig(kernel_size=5)),
            ("operator", OperatorConfig(dilation=2)),
            ("operator", OperatorConfig(kind="regular")),
            ("activation", "gelu"),
            ("stochastic_depth", 0.5),
        )
    ],
    *[
        ("small", f"{flow}.{name}", value)
        for flow in ("entry", "middle")
        for name, value in (
            ("operator", (OperatorConfig(), OperatorConfig(kernel_size=5))),
            ("activation", ("relu", "elu")),
        )
    ],
    ("small", "downsampling", "strided"),
    ("small", "downsampling", "average_pool"),
    ("small", "downsampling", "anti_aliased"),
    ("small", "padding", "same"),
    ("stem", "padding", "same"),
    *[
        ("small", "initialisation", scheme)
        for scheme in (
            "he_normal_fan_out",
            "he_uniform",
            "glorot_uniform",
            "glorot_normal",
            "orthogonal",
            "truncated_normal",
        )
    ],
]


def behaviour(config: XceptionConfig) -> list[torch.Tensor]:
    """The results of one training pass from seed 0: logits, gradients, norm statistics."""
    torch.manual_seed(0)
    model = Xception(config).train()
    initialise(model, config.initialisation, seed=0)
    # large images with large values, so that relu6, and same padding on even maps, have an effect
    size = config.input_size or 32
    x = 20 * torch.randn(4, config.in_channels, size, size, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(2)
    logits = model(x)
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0])).backward()
    return [logits.detach(), *(p.grad for p in model.parameters()), *model.buffers()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return len(a) == len(b) and all(x.shape == y.shape and torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def base_behaviour() -> dict[str, Any]:
    return {name: behaviour(config) for name, config in BASES.items()}


@pytest.mark.parametrize(("base", "path", "value"), CHANGES, ids=lambda v: str(v))
def test_changing_a_field_changes_the_network(base_behaviour: dict[str, Any], base: str, path: str, value: Any) -> None:
    changed = BASES[base].replace_at(path, value)
    assert key_of(changed) != key_of(BASES[base])
    assert not same(behaviour(changed), base_behaviour[base])


def test_the_same_config_gives_the_same_network(base_behaviour: dict[str, Any]) -> None:
    assert all(same(behaviour(config), base_behaviour[name]) for name, config in BASES.items())


def fields(config_class: type[Config], prefix: str = "") -> set[str]:
    """Dotted paths of all fields, parts of configs among them."""
    out: set[str] = set()
    for field in dataclasses.fields(cast("Any", config_class)):
        name, inner = field.name, type(field.default)
        out |= fields(inner, f"{prefix}{name}.") if issubclass(inner, Config) else {prefix + name}
    return out


def test_every_field_is_tried() -> None:
    assert {path for _, path, _ in CHANGES} - {"entry", "exit"} == fields(XceptionConfig)


@pytest.mark.parametrize(
    ("path", "value"), [("num_classes", 7), ("in_channels", 1), ("stem", "cifar"), ("initialisation", "he_normal")]
)
def test_every_field_of_a_torchvision_network_does_something(path: str, value: Any) -> None:
    def state(config: TorchvisionConfig) -> list[torch.Tensor]:
        model = build(config)
        initialise(model, config.initialisation, seed=0)
        return [*model.state_dict().values()]

    base = presets.get("torchvision:resnet18")
    assert isinstance(base, TorchvisionConfig)
    assert not same(state(base), state(base.replace_at(path, value)))
