"""Presets have not changed: keys, parameters and MACs, in closed form and counted on the network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode

from xception.base.canonical import key_of
from xception.network import presets
from xception.network.closed_form import complexity
from xception.network.config import XceptionConfig
from xception.network.model import build

GOLDEN = json.loads(Path(__file__).with_name("presets.json").read_text())
# Parameters at 1000 classes from torchvision's documentation; those of Inception V3 without its auxiliary tower of
# 3,326,696.
TORCHVISION = {
    "torchvision:vgg16": 138_357_544,
    "torchvision:resnet18": 11_689_512,
    "torchvision:resnet50": 25_557_032,
    "torchvision:resnet152": 60_192_808,
    "torchvision:inception_v3": 27_161_264 - 3_326_696,
}


def test_all_presets_have_golden_counts() -> None:
    assert set(GOLDEN) == set(presets.names())
    assert set(TORCHVISION) <= set(presets.torchvision_names())


@pytest.mark.parametrize("name", presets.names())
def test_counts(name: str) -> None:
    golden, config = GOLDEN[name], presets.get(name)
    assert isinstance(config, XceptionConfig)
    assert key_of(config) == golden["key"]
    assert presets.input_size(name) == golden["input_size"]
    counted = complexity(config, golden["input_size"])
    assert (counted.params, counted.macs, counted.activations) == (
        golden["params"],
        golden["macs"],
        golden["activations"],
    )
    with torch.device("meta"):
        model = build(config).eval()
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == golden["params"]
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        model(torch.empty(1, 3, golden["input_size"], golden["input_size"], device="meta"))
    assert flops.get_total_flops() == 2 * golden["macs"]


def test_counts_published_for_the_paper_and_the_aligned_networks() -> None:
    """Parameters from Chollet's Table 3 and timm, MACs at 299×299 in eval mode."""
    published = {
        "paper": (22_855_952, 8_357_403_496),
        "keras": (22_855_952, 8_357_403_496),
        "timm_legacy": (22_855_952, 8_357_403_496),
        "aligned41": (26_969_560, 9_204_134_312),
        "aligned65": (39_916_312, 13_852_682_216),
        "aligned71": (42_338_736, 17_946_553_928),
    }
    assert {name: (GOLDEN[name]["params"], GOLDEN[name]["macs"]) for name in published} == published


def test_paper_is_the_default() -> None:
    assert presets.get("paper") == XceptionConfig()


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_counts(name: str) -> None:
    with torch.device("meta"):
        model = build(presets.get(name))
    assert sum(p.numel() for p in model.parameters()) == TORCHVISION[name]


def test_every_classifier_of_torchvision_is_a_preset() -> None:
    offered = torchvision.models.list_models(module=torchvision.models)
    assert sorted(presets.torchvision_names()) == [f"torchvision:{name}" for name in sorted(offered)]


_FAMILIES = (
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "mnasnet0_5", "mobilenet_v3_small"),
    *("regnet_y_400mf", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "vit_b_32"),
)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name.removeprefix("torchvision:") in _FAMILIES else pytest.mark.long)
        for name in presets.torchvision_names()
        if name not in TORCHVISION
    ],
)
def test_any_classifier_of_torchvision(name: str) -> None:
    config = presets.get(name)
    with torch.device("cpu" if "regnet" in name else "meta"):  # torchvision computes a RegNet's widths with tensors
        model = build(config)
        small = build(config.for_data(num_classes=7, in_channels=1, input_size=presets.input_size(name)))
    bare = name.removeprefix("torchvision:")
    published = torchvision.models.get_model_weights(bare).DEFAULT.meta["num_params"]
    assert sum(p.numel() for p in model.parameters()) == published
    size = presets.input_size(name)
    assert small.to("meta").eval()(torch.empty(2, 1, size, size, device="meta")).shape == (2, 7)


def test_unknown_preset() -> None:
    with pytest.raises(ValueError, match=r"preset: 'papre' is not allowed; allowed: paper, .*:vgg16, timm:NAME"):
        presets.get("papre")
    with pytest.raises(ValueError, match=r"'torchvision:alexnett' is not allowed; .*did you mean torchvision:alexnet"):
        presets.input_size("torchvision:alexnett")
