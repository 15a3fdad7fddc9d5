"""The same weights through ours and through timm's networks give the same logits, in float64 and eval mode."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.peers import draw, images, relative_error, settle, spread
from tests.networks import xception_preset
from xception.network.model import Xception
from xception.network.weights import convert, load_pretrained, save, to_timm

pytestmark = pytest.mark.numeric

PEERS = {
    "timm_legacy": "legacy_xception",
    "aligned41": "xception41",
    "aligned65": "xception65",
    "aligned71": "xception71",
    "aligned41p": "xception41p",
    "aligned65p": "xception65p",
    "mobilenetv1": "mobilenetv1_100",
}


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.long if "65" in name else ()) for name in PEERS]
)
def pair(request: pytest.FixtureRequest) -> tuple[Xception, nn.Module]:
    """Our network and timm's with the same random weights."""
    theirs = timm.create_model(PEERS[request.param], pretrained=False)
    draw(theirs)
    if request.param.endswith(("p", "v1")):
        settle(theirs, images(64))
    ours = Xception(xception_preset(request.param))
    ours.double().load_state_dict(convert(theirs.state_dict(), ours), strict=False)
    return ours.double().eval(), theirs.double().eval()


def check(pair: tuple[Xception, nn.Module], size: int) -> None:
    x = images(size)
    with torch.inference_mode():
        ours, theirs = pair[0](x), pair[1](x)
    assert spread(theirs) > 0.05
    assert relative_error(ours, theirs) <= 1e-9


@pytest.mark.parametrize("size", [33, 48])
def test_same_logits(pair: tuple[Xception, nn.Module], size: int) -> None:
    check(pair, size)


@pytest.mark.long
def test_same_logits_at_own_size(pair: tuple[Xception, nn.Module]) -> None:
    check(pair, 299)


@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize(
    "name", ["aligned41", *(pytest.param(n, marks=pytest.mark.long) for n in ("aligned65", "aligned71", "aligned41p"))]
)
def test_same_logits_at_other_output_strides(name: str, output_stride: int) -> None:
    theirs = timm.create_model(PEERS[name], pretrained=False, output_stride=output_stride)
    draw(theirs)
    settle(theirs, images(33))
    plain = xception_preset(name)
    ours, without = Xception(plain.replace(output_stride=output_stride)), Xception(plain)
    for model in (ours, without):
        model.double().load_state_dict(convert(theirs.state_dict(), model), strict=False)
    for each in (ours, without, theirs):
        each.double().eval()
    check((ours, theirs), 33)
    x = images(33)
    with torch.inference_mode():
        assert theirs(x).abs().max() < 100
        assert ours.forward_features(x)["final"].stride == output_stride
        assert relative_error(without(x), theirs(x)) > 1e-3


@pytest.mark.parametrize(
    ("path", "value"),
    [("residual.tap", "input"), ("norm.epsilon", 1e-1)],
)
def test_what_makes_a_preactivated_network_what_it_is(path: str, value: object) -> None:
    """Negative controls: without any one of its design choices the logits differ."""
    theirs = timm.create_model("xception41p", pretrained=False)
    draw(theirs)
    settle(theirs, images(48))
    config = xception_preset("aligned41p")
    right, wrong = Xception(config), Xception(config.replace_at(path, value))
    right.double().load_state_dict(convert(theirs.state_dict(), right), strict=False)
    wrong.double().load_state_dict(right.state_dict(), strict=False)
    wrong, theirs = wrong.double().eval(), theirs.double().eval()
    x = images(48)
    with torch.inference_mode():
        assert theirs(x).abs().max() < 100
        assert relative_error(wrong(x), theirs(x)) > 1e-3


def test_same_logits_from_a_file(tmp_path: Path) -> None:
    theirs = timm.create_model("legacy_xception", pretrained=False)
    draw(theirs, seed=5)
    save_file(theirs.state_dict(), tmp_path / "legacy.safetensors")
    ours = Xception(xception_preset("timm_legacy"))
    load_pretrained(ours, tmp_path / "legacy.safetensors")
    check((ours.double().eval(), theirs.double().eval()), 299)


def gradients(network: nn.Module) -> dict[str, Tensor]:
    """The gradients of a network's parameters, by name."""
    return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


def test_same_gradients() -> None:
    theirs = timm.create_model("legacy_xception", pretrained=False)
    draw(theirs)
    ours = Xception(xception_preset("timm_legacy"))
    ours.double().load_state_dict(convert(theirs.state_dict(), ours), strict=False)
    x, labels = images(71), torch.tensor([3, 700])
    for model in (ours, theirs):
        torch.nn.functional.cross_entropy(model.double().train()(x), labels).backward()
    expected = convert(gradients(theirs) | dict(theirs.named_buffers()), ours)
    found = gradients(ours)
    assert len(found) == len(list(ours.parameters()))
    for name, gradient in found.items():
        assert relative_error(gradient, expected[name]) <= 1e-7, name
    for name, value in ours.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            assert relative_error(value, expected[name]) <= 1e-9, name


def test_timm_loads_a_file_of_ours(pair: tuple[Xception, nn.Module], tmp_path: Path) -> None:
    ours, theirs = pair
    save(ours, tmp_path / "ours.safetensors")
    weights = to_timm(tmp_path / "ours.safetensors")
    assert weights.keys() == theirs.state_dict().keys()
    for name, tensor in theirs.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(weights[name], tensor.float()), name


def test_two_lines_load_a_network_of_few_classes(tmp_path: Path) -> None:
    ours = Xception(xception_preset("timm_legacy").for_data(num_classes=5, in_channels=3, input_size=96)).eval()
    save(ours, tmp_path / "ours.safetensors")
    model = timm.create_model("legacy_xception", num_classes=5).eval()
    model.load_state_dict(to_timm(tmp_path / "ours.safetensors"))
    x = images(96).float()
    with torch.inference_mode():
        assert relative_error(ours(x), model(x)) <= 1e-4


def test_a_network_that_timm_lacks_is_refused(tmp_path: Path) -> None:
    save(Xception(xception_preset("cifar_tiny")), tmp_path / "tiny.safetensors")
    with pytest.raises(ValueError, match=r"a network that timm does not have; allowed: legacy_xception"):
        to_timm(tmp_path / "tiny.safetensors")
