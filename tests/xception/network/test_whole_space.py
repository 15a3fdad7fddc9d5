"""Configs drawn at random from the whole space: each can be built, trained, counted and stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch.utils.flop_counter import FlopCounterMode

from tests.xception.network.config_strategies import INPUT_SIZE, accepted, configs
from xception.base.canonical import Config, canonical_json, from_json, key_of
from xception.network.closed_form import complexity
from xception.network.config import XceptionConfig
from xception.network.graph import network
from xception.network.model import Xception
from xception.network.stacked import stack

pytestmark = pytest.mark.numeric

quick = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
thorough = settings(quick, max_examples=400, derandomize=False)


def images(config: XceptionConfig, count: int = 2, device: str = "cpu") -> torch.Tensor:
    return torch.randn(
        count, config.in_channels, INPUT_SIZE, INPUT_SIZE, generator=torch.Generator().manual_seed(0)
    ).to(device)


def paths(config: Config, prefix: str = "") -> list[str]:
    """Dotted paths of all fields that are not configs themselves."""
    out: list[str] = []
    for name in [field.name for field in dataclasses.fields(cast("Any", config))]:
        value = getattr(config, name)
        out += paths(value, f"{prefix}{name}.") if isinstance(value, Config) else [prefix + name]
    return out


def check_trains(config: XceptionConfig) -> None:
    """Forward and backward, with the graph's in-place activations and without: the same finite gradients."""
    torch.manual_seed(0)
    model = Xception(config).double().train()
    plain = Xception(config).double().train()
    plain.load_state_dict(model.state_dict())
    for module in plain.modules():
        if hasattr(module, "inplace"):
            setattr(module, "inplace", False)  # noqa: B010
    for network_ in (model, plain):
        torch.manual_seed(1)
        logits = network_(images(config).double())
        assert logits.shape == (2, config.num_classes)
        torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    for (name, parameter), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        torch.testing.assert_close(parameter.grad, other.grad, rtol=1e-6, atol=1e-9, msg=name)


def check_counts(config: XceptionConfig) -> None:
    counted = complexity(config, INPUT_SIZE)
    with torch.device("meta"):
        model = Xception(config).eval()
    assert counted.params == sum(p.numel() for p in model.parameters())
    names = {name.rpartition(".")[0] for name, _ in model.named_parameters()}
    assert {layer.name for layer in counted.layers if layer.params} == names
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        model(images(config, 1, "meta"))
    assert 2 * counted.macs == flops.get_total_flops()
    features = model.forward_features(images(config, 1, "meta"))
    assert features["final"].map.shape[2] == config.last_map_size(INPUT_SIZE)
    for feature in features.values():
        assert feature.map.shape[1:] in {layer.out_shape for layer in counted.layers}


def check_remembered(config: XceptionConfig) -> None:
    again = from_json(XceptionConfig, canonical_json(config))
    assert again == config
    assert key_of(again) == key_of(config)


def check_no_idle_field(config: XceptionConfig) -> None:
    """Setting any field back to its default changes the network, or is refused: no field without effect makes two
    configs of one network.
    """
    here, default = network(config), XceptionConfig()
    for path in paths(config):
        head, _, leaf = path.rpartition(".")
        plain = type(config.at(head) if head else default).__dataclass_fields__[leaf].default
        if path == "initialisation" or config.at(path) == plain:
            continue
        other = accepted(config, path, plain)
        if other is not config and (other.input_size is None) == (config.input_size is None):
            assert network(other) != here, f"{path}={config.at(path)!r} has no effect"


def check_stacks(config: XceptionConfig) -> None:
    """A stack of two networks computes the same as each network on its own images."""
    members = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        members.append(Xception(config).double().eval())
        for parameter in members[-1].parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape, dtype=torch.float64)
    given = [images(config).double(), images(config).double().flip(0) * 2]
    both = stack(members).eval()(torch.cat(given, dim=1).contiguous(memory_format=torch.channels_last))
    alone = torch.cat([member(x) for member, x in zip(members, given, strict=True)], dim=1)
    torch.testing.assert_close(both, alone, rtol=1e-6, atol=1e-9)


CHECKS = [check_trains, check_counts, check_remembered, check_no_idle_field, check_stacks]


@pytest.mark.parametrize(
    ("check", "count"),
    [
        *((check_trains, 15), (check_counts, 15), (check_stacks, 15)),
        *((check_remembered, 40), (check_no_idle_field, 40)),
    ],
)
def test_random_config(check: Callable[[XceptionConfig], None], count: int) -> None:
    settings(quick, max_examples=count)(given(configs())(check))()


@pytest.mark.long
@pytest.mark.parametrize("check", CHECKS)
def test_many_random_configs(check: Callable[[XceptionConfig], None]) -> None:
    thorough(given(configs())(check))()
