"""Compiled and exported networks give the same results as eager ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from tests.networks import xception_preset
from xception.network.config import EntryFlowConfig, ExitFlowConfig, MiddleFlowConfig, StemConfig, XceptionConfig
from xception.network.export import to_onnx
from xception.network.model import Xception

pytestmark = pytest.mark.numeric

SMALLEST = XceptionConfig(
    num_classes=3,
    stem=StemConfig(widths=(8,)),
    entry=EntryFlowConfig(widths=(16,), strides=(2,), convolutions=1),
    middle=MiddleFlowConfig(modules=1, convolutions=1),
    exit=ExitFlowConfig(width=24, convolutions=1, tail_widths=(32,)),
    padding="same",
)
CONFIGS = {
    "smallest": (SMALLEST, 33),
    "cifar_tiny": (xception_preset("cifar_tiny"), 32),
    "paper": (xception_preset("paper"), 299),
}
ALL = [pytest.param(name, marks=() if name == "smallest" else pytest.mark.long) for name in CONFIGS]


def network(name: str) -> tuple[Xception, torch.Tensor]:
    config, size = CONFIGS[name]
    torch.manual_seed(0)
    return Xception(config).eval(), torch.randn(2, 3, size, size)


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).abs().max() <= 1e-4 * b.abs().max())


@pytest.mark.parametrize("name", ALL)
def test_torch_export(name: str) -> None:
    model, x = network(name)
    exported = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("num_images")},)).module()
    with torch.no_grad():
        assert close(exported(x), model(x))
        assert close(exported(x[:1]), model(x[:1]))


@pytest.mark.parametrize("name", ALL)
def test_onnx(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="comes with the extra 'export'")
    model, x = network(name)
    model.train()
    assert to_onnx(model, tmp_path / "network.onnx", in_channels=3, input_size=x.shape[2]) <= 1e-4
    assert model.training
    assert (tmp_path / "network.onnx").stat().st_size > 4 * sum(p.numel() for p in model.parameters())


def test_onnx_without_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match="onnxruntime is not installed; it comes with the extra 'export'"):
        to_onnx(network("smallest")[0], tmp_path / "network.onnx", in_channels=3, input_size=33)


@pytest.mark.long
@pytest.mark.parametrize("name", CONFIGS)
def test_compile(name: str) -> None:
    model, x = network(name)
    compiled = torch.compile(model)
    with torch.no_grad():
        assert close(compiled(x), model(x))


@pytest.mark.long
def test_compiled_training_step() -> None:
    model, x = network("cifar_tiny")
    model.train()
    compiled = torch.compile(model)
    gradients = []
    for run in (compiled, model):
        model.zero_grad()
        torch.nn.functional.cross_entropy(run(x), torch.tensor([1, 2])).backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(list(model.parameters()))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
