"""Counts against golden values, the closed form, fvcore's entries and hand calculation; the model is unchanged."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xception.network import closed_form, presets
from xception.network.config import (
    AttentionConfig,
    EntryFlowConfig,
    ExitFlowConfig,
    HeadConfig,
    MiddleFlowConfig,
    ModelConfig,
    NormConfig,
    OperatorConfig,
    ResidualConfig,
    StemConfig,
    TorchvisionConfig,
    XceptionConfig,
)
from xception.network.model import Xception, build
from xception.network.operators import OPERATORS
from xception.profile.complexity import complexity

ROLES = ("stem", "depthwise", "pointwise", "regular", "norm", "head", "linear", "other")


class Everything(nn.Module):
    """A convolution of each kind, a norm, a linear layer and a bare parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.pointwise = nn.Conv2d(8, 16, 1)
        self.grouped = nn.Conv2d(16, 16, 3, padding=1, groups=4, bias=False)
        self.up = nn.ConvTranspose2d(16, 4, 2, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.gate = nn.Linear(4, 4)
        self.head = nn.Linear(4, 10)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.up(self.grouped(self.pointwise(self.depthwise(self.stem(x)))))).mean((2, 3))
        logits: Tensor = self.head(self.gate(x) * self.scale)
        return logits


def test_every_kind_of_layer_is_counted_as_by_hand() -> None:
    counted = complexity(Everything(), (3, 5, 7))
    area = 5 * 7
    by_hand = {
        "stem": area * 8 * 3 * 9,
        "depthwise": area * 8 * 9,
        "pointwise": area * 16 * 8,
        "grouped": area * 16 * 4 * 9,
        "up": area * 16 * 4 * 4,  # each input element meets every output channel in a 2×2 window
        "norm": 0,
        "gate": 16,
        "head": 40,
    }
    assert {layer.name: layer.macs for layer in counted.layers} == by_hand
    assert counted.macs == counted.macs_of_layers == sum(by_hand.values())
    assert counted.flops == 2 * counted.macs
    assert counted.activations == area * (8 + 8 + 16 + 16 + 4 * 4) + 4 + 10
    split = dataclasses.asdict(counted.parameters)
    regular = 16 * 4 * 9 + 16 * 4 * 4
    assert split == {
        "stem": 216,
        "depthwise": 72,
        "pointwise": 144,
        "regular": regular,
        "norm": 8,
        "head": 50,
        "linear": 20,
        "other": 4,
    }
    assert counted.params == sum(split.values())


def test_bytes_are_what_operators_read_and_write() -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 9, 5))
    counted = complexity(model, (2, 3, 3), fvcore=False)
    convolution = 4 * (2 * 9 + (8 + 4) + 4 * 9)
    relu = 4 * 2 * 4 * 9
    linear = 4 * (36 + 36 * 5 + 5 + 5)
    assert [layer.bytes_moved for layer in counted.layers] == [convolution, relu, 0, linear]
    assert counted.bytes_moved == convolution + relu + linear


LARGE = ("keras", "timm_legacy", "aligned41", "aligned65", "aligned71")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long if name in LARGE else ()) for name in presets.names()]
)
def test_presets_agree_with_the_closed_form(name: str) -> None:
    config, size = presets.get(name), presets.input_size(name)
    assert isinstance(config, XceptionConfig)
    counted = complexity(Xception(config), (3, size, size), fvcore=False)
    expected = closed_form.complexity(config, size)
    assert (counted.params, counted.macs, counted.activations) == (expected.params, expected.macs, expected.activations)
    assert counted.macs == counted.macs_of_layers
    assert counted.parameters.head == sum(e.params for e in expected.layers if e.kind == "linear")
    assert counted.parameters.stem == sum(
        e.params for e in expected.layers if e.kind != "norm" and e.name.startswith("stem.")
    )
    for kind in ("depthwise", "pointwise", "regular", "norm"):
        by_kind = sum(
            e.params for e in expected.layers if e.kind == kind and (kind == "norm" or not e.name.startswith("stem."))
        )
        assert getattr(counted.parameters, kind) == by_kind


def test_golden_counts_of_the_paper() -> None:
    counted = complexity(Xception(XceptionConfig()), (3, 299, 299))
    assert counted.params == 22_855_952
    assert counted.macs == counted.macs_of_layers == counted.fvcore_macs == 8_357_403_496
    assert counted.fvcore_total == 8_399_882_600
    assert sum(getattr(counted.parameters, role) for role in ROLES) == counted.params


@pytest.mark.parametrize(
    "config", [TorchvisionConfig(name="resnet18"), TorchvisionConfig(name="resnet18", stem="cifar", num_classes=10)]
)
def test_torchvision_networks_are_counted(config: ModelConfig) -> None:
    size = 32 if config.num_classes == 10 else 224
    counted = complexity(build(config), (3, size, size))
    assert counted.macs == counted.macs_of_layers == counted.fvcore_macs
    if size == 224:
        assert (counted.params, counted.macs) == (
            11_689_512,
            1_814_073_344,
        )  # from torchvision's documentation: 11.7 M, 1.81 G


KINDS = tuple(OPERATORS)


def random_config(draw: random.Random) -> XceptionConfig:
    """A small network with a random choice on every axis; drawn again if the parts do not fit together."""
    while True:
        try:
            return XceptionConfig(
                num_classes=draw.randint(2, 20),
                in_channels=draw.choice((1, 3)),
                stem=StemConfig(kind=draw.choice(("paper", "cifar")), widths=draw.choice(((8,), (8, 16)))),
                entry=draw.choice((None, EntryFlowConfig(widths=(16, 24), strides=(2, draw.choice((1, 2)))))),
                middle=MiddleFlowConfig(modules=draw.randint(1, 2), convolutions=draw.randint(1, 3)),
                exit=draw.choice((None, ExitFlowConfig(width=32, tail_widths=(40,)))),
                head=HeadConfig(pool=draw.choice(("average", "max")), hidden=draw.choice(((), (12,)))),
                operator=OperatorConfig(kind=draw.choice(KINDS)),
                norm=NormConfig(kind=draw.choice(("batch", "group", "layer"))),
                residual=ResidualConfig(kind=draw.choice(("projection", "identity", "none"))),
                attention=AttentionConfig(kind=draw.choice(("none", "se", "eca"))),
                downsampling=draw.choice(("max_pool", "strided", "average_pool", "anti_aliased")),
                padding=draw.choice(("symmetric", "same")),
            )
        except ValueError:
            continue


@pytest.mark.parametrize("seed", range(12))
def test_four_counts_agree_on_random_networks(seed: int) -> None:
    config = random_config(random.Random(seed))
    size = 33 + seed
    counted = complexity(Xception(config), (config.in_channels, size, size))
    expected = closed_form.complexity(config, size)
    assert counted.macs == counted.macs_of_layers == counted.fvcore_macs == expected.macs
    assert (counted.params, counted.activations) == (expected.params, expected.activations)


def test_activations_are_those_of_fvcore() -> None:
    from fvcore.nn import ActivationCountAnalysis

    from xception.profile.complexity import quiet

    model = Xception(presets.get("cifar_tiny")).eval()  # type: ignore[arg-type]
    with quiet(), torch.no_grad():
        analysis = ActivationCountAnalysis(model, torch.zeros(1, 3, 32, 32))
        total = analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()
    assert complexity(model, (3, 32, 32), fvcore=False).activations == total


def test_norms_weigh_in_fvcores_total_alone() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False))
    normed = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8))
    a, b = complexity(plain, (3, 6, 6)), complexity(normed, (3, 6, 6))
    assert (a.macs, a.fvcore_total) == (b.macs, a.macs)
    assert b.fvcore_total == b.macs + 2 * 8 * 4 * 4


class WithAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(8, 8)
        self.spare = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mix(x)
        return torch.bmm(x, x.transpose(1, 2)) @ torch.ones(4, 3, dtype=x.dtype, device=x.device)


def test_what_counters_leave_out_is_told() -> None:
    counted = complexity(WithAttention(), (4, 8))
    told = {(item.counter, item.what): (item.count, item.unit) for item in counted.left_out}
    assert counted.macs == 4 * 8 * 8 + 4 * 4 * 3
    assert told["macs", "bmm"] == (4 * 4 * 8, "MACs")
    assert told["closed form", "products outside convolution and linear modules"] == (4 * 4 * 3, "MACs")
    assert told["fvcore", "spare"] == (1, "uncalled modules")


def test_uncounted_operators_are_told() -> None:
    counted = complexity(Xception(presets.get("cifar_tiny")), (3, 32, 32))  # type: ignore[arg-type]
    told = {(item.counter, item.what): item.count for item in counted.left_out}
    assert told["FlopCounterMode", "native_batch_norm"] > 0
    assert told["fvcore", "aten::add"] > 0


def state(model: nn.Module) -> dict[str, Any]:
    """Everything about a model that measuring could change."""
    return {
        "modes": {name: m.training for name, m in model.named_modules()},
        "hooks": {
            name: (dict(m._forward_hooks), dict(m._forward_pre_hooks), dict(m._backward_hooks))
            for name, m in model.named_modules()
        },
        "values": {name: value.clone() for name, value in model.state_dict().items()},
        "gradients": {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()},
        "identity": {name: (id(p), p.requires_grad, p.device, p.dtype) for name, p in model.named_parameters()},
    }


def assert_same(before: dict[str, Any], after: dict[str, Any]) -> None:
    for part in ("modes", "hooks", "identity"):
        assert before[part] == after[part]
    for part in ("values", "gradients"):
        assert before[part].keys() == after[part].keys()
        for name, value in before[part].items():
            assert value is after[part][name] is None or torch.equal(value, after[part][name]), name


def used_network() -> Xception:
    """A network in training mode, some of it frozen and in eval mode, with gradients, statistics and a user's hook."""
    model = Xception(presets.get("cifar_tiny"))  # type: ignore[arg-type]
    model.train()
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    model.stem.eval()
    next(model.parameters()).requires_grad_(False)
    model.head.register_forward_hook(lambda *_: None)
    return model


def test_the_model_is_left_as_it_was() -> None:
    model = used_network()
    before = state(model)
    complexity(model, (3, 32, 32))
    assert_same(before, state(model))


@pytest.mark.parametrize("fvcore", [False, True])
def test_the_model_is_left_as_it_was_after_an_exception(fvcore: bool) -> None:
    model = used_network()

    def break_down(*_: Any) -> None:
        raise KeyError("a hook of the user's")

    def break_real(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        if not args[0].is_meta:
            raise KeyError("a hook of the user's")

    model.exit.register_forward_pre_hook(break_real if fvcore else break_down)
    before = state(model)
    with pytest.raises(KeyError):
        complexity(model, (3, 32, 32))
    assert_same(before, state(model))


def test_counting_takes_no_memory_for_values() -> None:
    """Weights of 130 GB and maps of 59 GB, which no machine that runs these tests has to spare."""
    with torch.device("meta"):
        huge = nn.Sequential(nn.Conv2d(3, 60_000, 3), nn.Conv2d(60_000, 60_000, 3))
    counted = complexity(huge, (3, 500, 500), fvcore=False)
    assert counted.macs == 498**2 * 60_000 * 27 + 496**2 * 60_000**2 * 9


@pytest.mark.parametrize("shape", [(), (3, 0, 32), (3, -1, 32), (3, 3.5, 2), (True, 2, 2)])
def test_impossible_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="input_shape"):
        complexity(nn.Conv2d(3, 3, 1), shape)


def test_the_table_has_a_row_per_layer() -> None:
    frame = complexity(Everything(), (3, 5, 7), fvcore=False).frame()
    assert list(frame["name"]) == ["stem", "depthwise", "pointwise", "grouped", "up", "norm", "gate", "head"]
    assert frame["macs"].sum() == complexity(Everything(), (3, 5, 7), fvcore=False).macs


def test_a_layer_called_twice_is_summed_and_its_parameters_counted_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(4, 4, 1, bias=False)
            self.same = self.layer

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.same(self.layer(x))
            return out

    counted = complexity(Twice(), (4, 2, 2))
    assert counted.params == 16
    assert [(layer.calls, layer.macs) for layer in counted.layers] == [(2, 2 * 4 * 16)]
    assert counted.macs == 128
