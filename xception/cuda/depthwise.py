"""One depthwise convolution with a choice of backends, as an operator that PyTorch differentiates, traces and records.

`cudnn` is cuDNN's, `native` PyTorch's own kernels for CUDA, and the `triton` ones are ours at several tile sizes. Which
one is fastest depends on the shape, so it is measured (`xception.train.depthwise_choice`).
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["BACKENDS", "TILES", "Backend", "available", "depthwise"]

# The tile that one of our Triton programs computes: positions × channels.
TILES = {"triton_16x64": (16, 64), "triton_32x32": (32, 32), "triton_64x16": (64, 16)}
BACKENDS = ("cudnn", "native", *TILES)


def available() -> tuple[str, ...]:
    """Return the available backends; ours need Triton."""
    return BACKENDS if importlib.util.find_spec("triton") is not None else ("cudnn", "native")


def depthwise(x: Tensor, weight: Tensor, *, stride: int, padding: int, dilation: int, backend: str) -> Tensor:
    """Convolve each channel of (N, C, H, W) with its own k × k kernel (C, 1, k, k), in the precision of autocast if
    that is on.
    """
    device = x.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        x, weight = x.to(dtype), weight.to(dtype)
    return cast(Tensor, _depthwise(x, weight, stride, padding, dilation, backend))


@dataclass(frozen=True)
class Backend:
    """A backend by name, as a layer calls it."""

    name: str

    def __call__(self, x: Tensor, weight: Tensor, *, stride: int, padding: int, dilation: int) -> Tensor:
        """Convolve each channel of (N, C, H, W) with its own kernel (C, 1, k, k)."""
        return depthwise(x, weight, stride=stride, padding=padding, dilation=dilation, backend=self.name)


@torch.library.custom_op(
    "xception::depthwise",
    mutates_args=(),
    schema="(Tensor x, Tensor weight, int stride, int padding, int dilation, str backend) -> Tensor",
)
def _depthwise(x: Tensor, weight: Tensor, stride: int, padding: int, dilation: int, backend: str) -> Tensor:
    if backend in TILES:
        from xception.cuda import depthwise_kernels as kernels

        with torch.cuda.device_of(x):
            return kernels.forward(x, weight, stride, padding, dilation, TILES[backend])
    with _cudnn(backend == "cudnn"):
        return F.conv2d(x, weight, None, stride, padding, dilation, groups=len(weight))


@torch.library.custom_op(
    "xception::depthwise_gradients",
    mutates_args=(),
    schema=(
        "(Tensor gradient, Tensor x, Tensor weight, int stride, int padding, int dilation, str backend) -> (Tensor,"
        " Tensor)"
    ),
)
def _gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, dilation: int, backend: str
) -> tuple[Tensor, Tensor]:
    if backend in TILES:
        from xception.cuda import depthwise_kernels as kernels

        with torch.cuda.device_of(x):
            return kernels.backward(gradient, x, weight, stride, padding, dilation, TILES[backend])
    gradient = gradient.contiguous(memory_format=torch.channels_last)
    with _cudnn(backend == "cudnn"):
        of_input, of_weight, _ = torch.ops.aten.convolution_backward(
            gradient,
            x,
            weight,
            None,
            [stride] * 2,
            [padding] * 2,
            [dilation] * 2,
            False,
            [0, 0],
            len(weight),
            [True, True, False],
        )
    return of_input, of_weight


@_depthwise.register_fake
def _(x: Tensor, weight: Tensor, stride: int, padding: int, dilation: int, backend: str) -> Tensor:
    reach = dilation * (weight.shape[-1] - 1) + 1
    rows, columns = ((side + 2 * padding - reach) // stride + 1 for side in x.shape[2:])
    return torch.empty((*x.shape[:2], rows, columns), dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


@_gradients.register_fake
def _(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, dilation: int, backend: str
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(weight)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, *ctx.settings = inputs
    ctx.save_for_backward(x, weight)


def _differentiate(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    return (*_gradients(gradient, *ctx.saved_tensors, *ctx.settings), None, None, None, None)


_depthwise.register_autograd(_differentiate, setup_context=_keep)


@contextlib.contextmanager
def _cudnn(wanted: bool) -> Iterator[None]:
    """Make PyTorch use cuDNN, or not use it, whatever its heuristic says."""
    before = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = wanted
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = before
