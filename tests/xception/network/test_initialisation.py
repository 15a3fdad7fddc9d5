"""Initial values: parameters that two variants share start equal, whatever else differs and whatever the state of the
global generators.
"""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from tests.networks import part, xception_preset
from xception.network import presets
from xception.network.config import Initialisation, ModelConfig
from xception.network.initialisation import initialise
from xception.network.model import Xception, build

pytestmark = pytest.mark.numeric

TINY = xception_preset("cifar_tiny")


def values(config: ModelConfig, seed: int = 0, stream: int = 0) -> dict[str, Tensor]:
    model = build(config)
    initialise(model, config.initialisation, seed, stream)
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("residual.kind", "none"),
        ("residual.kind", "identity"),
        ("entry.residual", "none"),
        ("norm.placement", "before_activation"),
        ("middle.modules", 2),
        ("operator.kind", "regular"),
        ("operator.intermediate_activation", "relu"),
        ("head.hidden", (32,)),
        ("downsampling", "strided"),
        ("residual.stochastic_depth", 0.2),
        ("exit", None),
        ("head.dropout", 0.5),
    ],
)
def test_what_two_variants_share_starts_equal(path: str, value: Any) -> None:
    a, b = values(TINY), values(TINY.replace_at(path, value))
    shared = {name for name in a.keys() & b.keys() if a[name].shape == b[name].shape}
    assert "stem.0.convolution.weight" in shared
    assert all(torch.equal(a[name], b[name]) for name in shared)


def test_without_shortcuts_only_the_shortcuts_are_gone() -> None:
    a, b = values(TINY), values(TINY.replace_at("residual.kind", "none"))
    assert {name for name in a if ".shortcut." not in name} == set(b)
    assert any(".shortcut." in name for name in a)


def test_values_depend_on_seed_and_stream_alone() -> None:
    torch.manual_seed(1)
    a = values(TINY)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    model = Xception(TINY)
    torch.set_rng_state(before)
    initialise(model, TINY.initialisation, 0)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a[name], p) for name, p in model.named_parameters())
    for other in (values(TINY, seed=1), values(TINY, stream=1)):
        assert not torch.equal(a["stem.0.convolution.weight"], other["stem.0.convolution.weight"])
    names = ["middle.0.branch.0.convolution.pointwise.weight", "middle.1.branch.0.convolution.pointwise.weight"]
    assert not torch.equal(a[names[0]], a[names[1]])


def test_a_network_made_alone_follows_the_global_generator() -> None:
    torch.manual_seed(3)
    a = Xception(TINY)
    torch.manual_seed(3)
    b, c = Xception(TINY), Xception(TINY)
    assert torch.equal(part(a, "stem.0.convolution").weight, part(b, "stem.0.convolution").weight)
    assert not torch.equal(part(b, "stem.0.convolution").weight, part(c, "stem.0.convolution").weight)


@pytest.mark.parametrize("scheme", get_args(Initialisation))
def test_spread_of_each_scheme(scheme: Any) -> None:
    first, second = torch.nn.Conv2d(64, 96, 3), torch.nn.Conv2d(96, 96, 3, groups=96)
    initialise(torch.nn.Sequential(first, second), scheme, seed=0)
    for layer, fan_in, fan_out in ((first, 64 * 9, 96 * 9), (second, 9, 96 * 9)):
        expected = {
            "he_normal": math.sqrt(2 / fan_in),
            "he_uniform": math.sqrt(2 / fan_in),
            "he_normal_fan_out": math.sqrt(2 / fan_out),
            "glorot_uniform": math.sqrt(2 / (fan_in + fan_out)),
            "glorot_normal": math.sqrt(2 / (fan_in + fan_out)),
            "truncated_normal": 0.02 * 0.8796,
            "orthogonal": math.sqrt(2 / max(layer.weight.shape[0], fan_in)),
        }[scheme]
        assert float(layer.weight.detach().std()) == pytest.approx(expected, rel=0.08)
        assert layer.bias is not None
        assert float(layer.bias.detach().abs().max()) == 0


def test_orthogonal_is_orthogonal() -> None:
    layer = torch.nn.Linear(32, 8)
    initialise(layer, "orthogonal", seed=0)
    torch.testing.assert_close(layer.weight @ layer.weight.T, 2 * torch.eye(8), atol=1e-5, rtol=0)


def test_branches_that_begin_at_zero_leave_their_shortcuts() -> None:
    model = Xception(TINY.replace_at("residual.zero_init", True)).eval()
    x = torch.randn(2, 64, 8, 8)
    assert torch.equal(model.middle[0](x), x)
    scales = {
        name: float(p.detach().abs().max())
        for name, p in model.named_parameters()
        if p.ndim == 1 and name.endswith("weight")
    }
    zeros = {name for name, value in scales.items() if value == 0}
    assert zeros == {f"entry.{i}.branch.1.norm.weight" for i in range(2)} | {
        f"middle.{i}.branch.2.norm.weight" for i in range(4)
    } | {"exit.module.branch.1.norm.weight"}


def test_running_statistics_begin_anew() -> None:
    model = Xception(TINY).train()
    model(torch.randn(4, 3, 32, 32))
    initialise(model, TINY.initialisation, seed=0)
    assert float(part(model, "stem.0.norm").running_mean.abs().max()) == 0
    assert int(part(model, "stem.0.norm").num_batches_tracked) == 0


def test_torchvision_networks_start_by_name_too() -> None:
    config = presets.get("torchvision:resnet18").for_data(num_classes=10, in_channels=3, input_size=32)
    a, b = values(config), values(config.replace(num_classes=7, stem="cifar"))
    assert torch.equal(a["layer1.0.conv1.weight"], b["layer1.0.conv1.weight"])
    assert float(a["bn1.weight"].min()) == 1


def test_nothing_is_drawn_on_the_meta_device() -> None:
    with torch.device("meta"):
        model = Xception(TINY)
    assert all(p.device.type == "meta" for p in model.parameters())
