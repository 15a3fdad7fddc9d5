"""The network as a library: shapes, feature maps, modes, images of any size."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.networks import part, xception_preset
from xception import Xception, XceptionConfig
from xception.network import presets
from xception.network.model import build

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("name", ["paper", "aligned41"])
def test_feature_maps_have_the_paper_strides(name: str) -> None:
    with torch.device("meta"):
        model = Xception(xception_preset(name)).eval()
        features = model.forward_features(torch.empty(1, 3, 299, 299))
    assert {key: value.stride for key, value in features.items()} == {
        "stem": 2,
        "entry.0": 4,
        "entry.1": 8,
        "entry.2": 16,
        "middle": 16,
        "exit.module": 32,
        "final": 32,
    }
    sizes = {2: 147 if name == "paper" else 150, 4: 74, 8: 37, 16: 19, 32: 10}
    for value in features.values():
        assert value.map.shape[2] in (sizes[value.stride], sizes[value.stride] + 1)
    assert features["final"].map.shape[1] == 2048


def test_feature_maps_lead_to_the_same_logits_and_are_not_overwritten() -> None:
    model = Xception(xception_preset("cifar_tiny").replace_at("residual.kind", "none")).eval()
    x = torch.randn(2, 3, 32, 32)
    features = model.forward_features(x)
    torch.testing.assert_close(model.head(features["final"].map), model(x))
    again = model.stem(x)
    assert torch.equal(features["stem"].map, again)
    for name, module in model.entry.named_children():
        again = module(again)
        assert torch.equal(features[f"entry.{name}"].map, again)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("entry", ["stem", "middle", "exit.module", "final"]),
        ("exit", ["stem", "entry.0", "entry.1", "middle", "final"]),
    ],
)
def test_a_flow_removed_has_no_feature_maps(path: str, names: Any) -> None:
    model = Xception(xception_preset("cifar_tiny").replace_at(path, None)).eval()
    assert list(model.forward_features(torch.randn(1, 3, 32, 32))) == names


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (64, 20)])
def test_images_of_any_size(size: tuple[int, int]) -> None:
    model = Xception(xception_preset("cifar_tiny")).eval()
    assert model(torch.randn(1, 3, *size)).shape == (1, 10)


def test_a_head_without_input_size_is_refused() -> None:
    config = xception_preset("cifar_tiny").replace_at("head.pool", "global_depthwise")
    with pytest.raises(ValueError, match=r"XceptionConfig.input_size: None is not allowed .* for_data"):
        Xception(config)
    model = Xception(config.for_data(num_classes=10, in_channels=3, input_size=32)).eval()
    assert part(model, "head.depthwise").weight.shape == (192, 1, 4, 4)
    with pytest.raises(ValueError, match="32×32 images"):
        model(torch.randn(1, 3, 64, 64))


def test_stochastic_depth_grows_linearly_and_rests_in_eval_mode() -> None:
    model = Xception(xception_preset("cifar_tiny").replace_at("residual.stochastic_depth", 0.7))
    rates = [part(module, "drop_path").probability for module in model.modules() if hasattr(module, "drop_path")]
    assert rates == pytest.approx([0.1 * (i + 1) for i in range(7)])
    x = torch.randn(8, 3, 32, 32)
    model.eval()
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))


def test_no_activation_in_place_reads_what_a_shortcut_reads() -> None:
    model = Xception(XceptionConfig(num_classes=2))
    first = [part(module, "branch.0.activation").inplace for module in model.middle]
    later = [part(module, "branch.1.activation").inplace for module in model.middle]
    assert (first, later) == ([False] * 8, [True] * 8)


@pytest.mark.parametrize("name", ["resnet18", "vgg16", "inception_v3"])
def test_torchvision_networks_take_other_channels_and_classes(name: str) -> None:
    config = presets.get(f"torchvision:{name}").for_data(num_classes=7, in_channels=1, input_size=96)
    with torch.device("meta"):
        assert build(config).eval()(torch.empty(2, 1, 96, 96)).shape == (2, 7)


def test_a_resnet_for_small_images_keeps_their_resolution() -> None:
    config = presets.get("torchvision:resnet18").replace(num_classes=10, stem="cifar")
    with torch.device("meta"):
        model = build(config).eval()
        x = part(model, "maxpool")(part(model, "conv1")(torch.empty(1, 3, 32, 32)))
        for number in range(1, 5):
            x = part(model, f"layer{number}")(x)
    assert x.shape[2:] == (4, 4)
    assert sum(p.numel() for p in model.parameters()) == 11_173_962
