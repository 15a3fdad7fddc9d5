"""The same weights through ours and through timm's Xceptions give the same logits, in float64 and eval mode."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file

from tests.conformance.peers import draw, images, relative_error, spread
from xception.network import presets
from xception.network.model import Xception
from xception.network.weights import convert, load_pretrained

PEERS = {
    "timm_legacy": "legacy_xception",
    "aligned41": "xception41",
    "aligned65": "xception65",
    "aligned71": "xception71",
}


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.long if name == "aligned65" else ()) for name in PEERS]
)
def pair(request):
    """Ours and theirs with the same drawn weights."""
    theirs = timm.create_model(PEERS[request.param], pretrained=False)
    draw(theirs)
    ours = Xception(presets.get(request.param))
    ours.load_state_dict(convert(theirs.state_dict(), ours), strict=False)
    return ours.double().eval(), theirs.double().eval()


def check(pair, size):
    x = images(size)
    with torch.inference_mode():
        ours, theirs = pair[0](x), pair[1](x)
    assert spread(theirs) > 0.05
    assert relative_error(ours, theirs) <= 1e-9


@pytest.mark.parametrize("size", [33, 48])
def test_same_logits(pair, size):
    check(pair, size)


@pytest.mark.long
def test_same_logits_at_own_size(pair):
    check(pair, 299)


def test_same_logits_from_a_file(tmp_path):
    theirs = timm.create_model("legacy_xception", pretrained=False)
    draw(theirs, seed=5)
    save_file(theirs.state_dict(), tmp_path / "legacy.safetensors")
    ours = Xception(presets.get("timm_legacy"))
    load_pretrained(ours, tmp_path / "legacy.safetensors")
    check((ours.double().eval(), theirs.double().eval()), 299)


def test_same_gradients():
    theirs = timm.create_model("legacy_xception", pretrained=False)
    draw(theirs)
    ours = Xception(presets.get("timm_legacy"))
    ours.load_state_dict(convert(theirs.state_dict(), ours), strict=False)
    x, labels = images(71), torch.tensor([3, 700])
    for model in (ours, theirs):
        torch.nn.functional.cross_entropy(model.double().train()(x), labels).backward()
    expected = convert({name: p.grad for name, p in theirs.named_parameters()} | dict(theirs.named_buffers()), ours)
    for name, parameter in ours.named_parameters():
        assert relative_error(parameter.grad, expected[name]) <= 1e-7, name
    for name, value in ours.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            assert relative_error(value, expected[name]) <= 1e-9, name
