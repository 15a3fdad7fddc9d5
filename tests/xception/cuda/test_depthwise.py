"""Every backend computes the same convolution, and each shape gets the fastest one, measured once."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import xception.train.depthwise_choice as choice
from xception import Xception
from xception.cuda.depthwise import BACKENDS, TILES, Backend, available, depthwise
from xception.network import presets
from xception.network.config import XceptionConfig
from xception.network.layers import DepthwiseConv2d
from xception.network.stacked import stack
from xception.network.stacked_layers import StackedConv2d
from xception.train.depthwise_choice import Shape, choose_backends, shapes_of

pytestmark = pytest.mark.numeric

HERE = Path(__file__).parent
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


@needs_triton
def test_our_kernels_agree_with_pytorch_in_tritons_interpreter() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, HERE / "interpreted.py"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert len(rows) == 4
    assert all(difference < 1e-5 for row in rows for difference in row), rows


@pytest.mark.parametrize(("size", "stride", "dilation"), [(3, 1, 1), (3, 2, 1), (5, 1, 2)])
@pytest.mark.parametrize("backend", ["cudnn", "native"])
def test_the_operator_differentiates_as_pytorch_does(backend: str, size: int, stride: int, dilation: int) -> None:
    padding = dilation * (size - 1) // 2
    x = torch.randn(2, 4, 9, 8).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(4, 1, size, size, requires_grad=True)
    out = depthwise(x, weight, stride=stride, padding=padding, dilation=dilation, backend=backend)
    expected = F.conv2d(x, weight, None, stride, padding, dilation, 4)
    torch.testing.assert_close(out, expected)
    for ours, theirs in zip(
        *(torch.autograd.grad(y.square().sum(), (x, weight)) for y in (out, expected)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_operator_keeps_what_pytorch_asks_of_operators() -> None:
    x = torch.randn(1, 3, 6, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    given = (x, torch.randn(3, 1, 3, 3, requires_grad=True), 1, 1, 1, "native")
    torch.library.opcheck(torch.ops.xception.depthwise.default, given, test_utils=("test_schema", "test_faketensor"))


def test_autocast_reaches_the_operator() -> None:
    x, weight = torch.randn(1, 3, 6, 5), torch.randn(3, 1, 3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert depthwise(x, weight, stride=1, padding=1, dilation=1, backend="native").dtype is torch.bfloat16


def test_backends_are_named_once() -> None:
    assert set(available()) <= set(BACKENDS)
    assert all(
        positions & (positions - 1) == 0 and channels & (channels - 1) == 0 for positions, channels in TILES.values()
    )


# The choice


class Table:
    """Invented times: `native` is faster on small maps."""

    def __init__(self) -> None:
        self.asked: list[tuple[Shape, str]] = []

    def __call__(self, shape: Shape, backend: str, device: torch.device) -> float:
        self.asked.append((shape, backend))
        return 1.0 if (backend == "native") == (shape.height <= 8) else 2.0


@pytest.fixture
def network() -> nn.Module:
    config = presets.get("cifar_tiny")
    assert isinstance(config, XceptionConfig)
    return Xception(config.replace(width_multiplier=0.5)).to(memory_format=torch.channels_last).train()


def modules(network: nn.Module) -> dict[str, DepthwiseConv2d | StackedConv2d]:
    return {
        name: m
        for name, m in network.named_modules()
        if isinstance(m, DepthwiseConv2d) or getattr(m, "is_depthwise", False)
    }


def test_each_shape_gets_the_quickest_and_is_measured_once(network: nn.Module, tmp_path: Path) -> None:
    images, table, path = torch.zeros(2, 3, 32, 32), Table(), tmp_path / "table.json"
    shapes = shapes_of(network, images, torch.float32)
    assert shapes.keys() == modules(network).keys()
    chosen = choose_backends(network, images, torch.float32, backends=("cudnn", "native"), path=path, measured_by=table)
    assert len(table.asked) == 2 * len(set(shapes.values())) == 2 * len(chosen)
    for name, module in modules(network).items():
        backend = "native" if shapes[name].height <= 8 else "cudnn"
        assert module.backend == Backend(backend)
        assert chosen[str(shapes[name])] == backend
    assert set(chosen.values()) == {"cudnn", "native"}
    assert network.training
    again = choose_backends(network, images, torch.float32, backends=("cudnn", "native"), path=path, measured_by=table)
    assert again == chosen
    assert len(table.asked) == 2 * len(chosen)
    choose_backends(network, images, torch.bfloat16, backends=("native",), path=path, measured_by=table)
    assert len(table.asked) == 3 * len(chosen)


def test_a_damaged_table_is_measured_anew(network: nn.Module, tmp_path: Path) -> None:
    images, path = torch.zeros(2, 3, 32, 32), tmp_path / "table.json"
    first, second = Table(), Table()
    chosen = choose_backends(network, images, torch.float32, backends=("cudnn", "native"), path=path, measured_by=first)
    path.write_bytes(path.read_bytes()[:-10])
    assert (
        choose_backends(network, images, torch.float32, backends=("cudnn", "native"), path=path, measured_by=second)
        == chosen
    )
    assert second.asked == first.asked


def test_networks_compute_the_same_under_a_chosen_backend(network: nn.Module) -> None:
    stacked = stack([network, network])
    images = torch.rand(4, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    for net, given in ((network, images), (stacked, torch.cat([images, images], dim=1))):
        expected = net(given)
        assert modules(net).keys() == modules(network).keys()
        for module in modules(net).values():
            module.backend = Backend("native")
        torch.testing.assert_close(net(given), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@needs_triton
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("size", "stride", "dilation"), [(3, 1, 1), (3, 2, 1), (5, 1, 2), (7, 2, 1)])
def test_backends_agree_on_a_gpu(backend: str, dtype: torch.dtype, size: int, stride: int, dilation: int) -> None:
    padding = dilation * (size - 1) // 2
    torch.manual_seed(0)
    x = (
        torch.randn(4, 100, 17, 19, device="cuda")
        .contiguous(memory_format=torch.channels_last)
        .to(dtype)
        .requires_grad_()
    )
    weight = torch.randn(100, 1, size, size, device="cuda").to(dtype).requires_grad_()
    out = depthwise(x, weight, stride=stride, padding=padding, dilation=dilation, backend=backend)
    gradient = torch.randn_like(out)
    double = [t.detach().double().requires_grad_() for t in (x, weight)]
    expected = F.conv2d(double[0], double[1], None, stride, padding, dilation, 100)
    tolerance = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}[dtype]
    both = zip(
        (out, *torch.autograd.grad(out, (x, weight), gradient)),
        (expected, *torch.autograd.grad(expected, double, gradient.double())),
        strict=True,
    )
    for ours, exact in both:
        assert float((ours.double() - exact).abs().max() / exact.abs().max()) < tolerance


@pytest.mark.gpu
def test_backends_are_measured_on_a_gpu(network: nn.Module, tmp_path: Path) -> None:
    images = torch.zeros(8, 3, 32, 32, device="cuda").contiguous(memory_format=torch.channels_last)
    chosen = choose_backends(network.cuda(), images, torch.bfloat16, path=tmp_path / "table.json")
    assert set(chosen.values()) <= set(available())
    assert choice.table_path(images.device) == choice.table_path(images.device)
