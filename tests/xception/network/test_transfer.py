"""Freezing, thawing and learning rates of backbone and head."""

from __future__ import annotations

import pytest
import torch

from tests.networks import part, xception_preset
from xception.network import presets
from xception.network.model import Xception, build
from xception.network.transfer import freeze, head_prefix, partition, rate_groups

pytestmark = pytest.mark.numeric

TINY = xception_preset("cifar_tiny").replace_at("head.dropout", 0.5)
NETWORKS = {
    "ours": TINY,
    "hidden": TINY.replace_at("head.hidden", (16,)),
    "resnet": presets.get("torchvision:resnet18").for_data(num_classes=10, in_channels=3, input_size=32),
}


def step(model: torch.nn.Module) -> set[str]:
    """Take one step of gradient descent and return what changed: parameters and norm statistics."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    torch.manual_seed(0)
    torch.nn.functional.cross_entropy(model(torch.randn(8, 3, 32, 32)), torch.arange(8)).backward()
    optimiser.step()
    optimiser.zero_grad()
    return {name for name, value in model.state_dict().items() if not torch.equal(before[name], value)}


@pytest.mark.parametrize(("name", "prefix"), [("ours", "head."), ("hidden", "head."), ("resnet", "fc.")])
def test_a_linear_probe_changes_the_head_alone(name: str, prefix: str) -> None:
    model = build(NETWORKS[name])
    assert head_prefix(model) == prefix
    model.train()
    freeze(model, "backbone")
    changed = step(model)
    assert changed == {name for name in model.state_dict() if name.startswith(prefix)}


def test_a_probe_keeps_the_dropout_of_its_head() -> None:
    model = Xception(TINY).train()
    freeze(model, "backbone")
    assert part(model, "head.dropout").training
    assert not part(model, "middle.0.branch.0.norm").training


@pytest.mark.parametrize("name", ["ours", "resnet"])
def test_frozen_norms_keep_scales_and_statistics(name: str) -> None:
    model = build(NETWORKS[name])
    norms = {f"{path}." for path, module in model.named_modules() if isinstance(module, torch.nn.BatchNorm2d)}
    model.train()
    freeze(model, "norms")
    changed = step(model)
    assert changed == {name for name in model.state_dict() if not name.startswith(tuple(norms))}


def test_thawed_from_an_epoch_on() -> None:
    model = Xception(TINY)
    everything = set(model.state_dict())
    head = {name for name in everything if name.startswith("head.")}
    for epoch, expected in enumerate([head, head, everything]):
        model.train()
        freeze(model, "backbone", epoch=epoch, thaw_epoch=2)
        assert step(model) == expected


def test_nothing_frozen_changes_all() -> None:
    model = Xception(TINY).train()
    freeze(model, "none")
    assert step(model) == set(model.state_dict())


def test_groups_cover_every_parameter_once() -> None:
    model = Xception(TINY)
    backbone, head = partition(model)
    groups = rate_groups(model, backbone=0.1)
    assert [(group.name, group.rate_factor) for group in groups] == [("backbone", 0.1), ("head", 1.0)]
    assert groups[0].parameters == backbone
    assert backbone.keys() | head.keys() == dict(model.named_parameters()).keys()
    assert not backbone.keys() & head.keys()
    with pytest.raises(ValueError, match=r"backbone: 0\.0 is not allowed; a factor above 0"):
        rate_groups(model, backbone=0.0)


def test_a_network_without_linear_layer_has_no_head() -> None:
    with pytest.raises(ValueError, match="ends in a linear layer"):
        head_prefix(torch.nn.Conv2d(1, 1, 1))
