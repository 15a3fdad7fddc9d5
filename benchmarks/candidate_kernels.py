"""Candidate kernels for memory-bound operators, which `benchmarks.operators` compares with PyTorch's own.

Batch norm and the ReLU after it in one pass forward and one backward, on channels-last maps as rows of channels. They
run as plain Python, and fast once numba, which is not a dependency, compiles them. The input gradient of a depthwise
convolution of stride 1 is a convolution with the flipped kernel, which needs PyTorch alone.
"""

from __future__ import annotations

import functools
import importlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["FusedNorm", "TwiceForward", "compiled", "use_candidates"]

Floats = NDArray[np.float32]
Sums = NDArray[np.float64]
BLOCK = 256  # rows summed in float32 before their sum is added in float64
ZERO = np.float32(0)


def moments(x: Floats, mean: Sums, variance: Sums) -> None:
    """Write the mean and the biased variance of each column of (rows, channels)."""
    num_rows, num_channels = x.shape
    first = x[0].copy()  # subtracted, so that a variance far smaller than the mean keeps its digits
    mean[:] = 0
    variance[:] = 0
    part, squares = np.empty(num_channels, np.float32), np.empty(num_channels, np.float32)
    for start in range(0, num_rows, BLOCK):
        part[:] = 0
        squares[:] = 0
        for i in range(start, min(start + BLOCK, num_rows)):
            for j in range(num_channels):
                value = x[i, j] - first[j]
                part[j] += value
                squares[j] += value * value
        for j in range(num_channels):
            mean[j] += part[j]
            variance[j] += squares[j]
    for j in range(num_channels):
        offset = mean[j] / num_rows
        variance[j] = variance[j] / num_rows - offset * offset
        mean[j] = first[j] + offset


def scale_and_cut(x: Floats, scale: Floats, shift: Floats, out: Floats) -> None:
    """Write ReLU(scale · x + shift)."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            value = x[i, j] * scale[j] + shift[j]
            out[i, j] = value if value > ZERO else ZERO


def gradient_sums(
    x: Floats, gradient: Floats, scale: Floats, shift: Floats, mean: Floats, plain: Sums, centred: Sums
) -> None:
    """Add up, for each channel, the gradient that passes the ReLU, and it times x − mean."""
    num_rows, num_channels = x.shape
    part, products = np.empty(num_channels, np.float32), np.empty(num_channels, np.float32)
    for start in range(0, num_rows, BLOCK):
        part[:] = 0
        products[:] = 0
        for i in range(start, min(start + BLOCK, num_rows)):
            for j in range(num_channels):
                passed = gradient[i, j] if x[i, j] * scale[j] + shift[j] > ZERO else ZERO
                part[j] += passed
                products[j] += passed * (x[i, j] - mean[j])
        for j in range(num_channels):
            plain[j] += part[j]
            centred[j] += products[j]


def input_gradient(
    x: Floats, gradient: Floats, scale: Floats, shift: Floats, slope: Floats, offset: Floats, out: Floats
) -> None:
    """Write scale · (the gradient that passes the ReLU) + slope · x + offset."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            passed = gradient[i, j] if x[i, j] * scale[j] + shift[j] > ZERO else ZERO
            out[i, j] = scale[j] * passed + (slope[j] * x[i, j] + offset[j])


@functools.cache
def compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compile one of the functions above with numba, once per process; sums may be reordered, NaN stays NaN.

    Raises:
        ModuleNotFoundError: numba is not installed.
    """
    numba = importlib.import_module("numba")
    made: Callable[..., None] = numba.njit(
        function, fastmath={"contract", "reassoc", "nsz", "arcp"}, error_model="numpy", nogil=True
    )
    return made


class _NormReLU(torch.autograd.Function):
    """Batch norm with the statistics of the batch, then ReLU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, owner: FusedNorm) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        rows, norm = _rows(x), owner.norm
        mean, variance = np.empty(rows.shape[1]), np.empty(rows.shape[1])
        owner.run(moments)(rows, mean, variance)
        for running, now in ((norm.running_mean, mean), (norm.running_var, variance * len(rows) / (len(rows) - 1))):
            assert running is not None
            running.lerp_(torch.from_numpy(now).to(running.dtype), norm.momentum or 0.0)
        inverse = 1 / np.sqrt(variance + norm.eps)
        scale = weight.detach().numpy() * inverse
        scales, shifts = scale.astype(np.float32), (bias.detach().numpy() - mean * scale).astype(np.float32)
        out = torch.empty_like(x)
        owner.run(scale_and_cut)(rows, scales, shifts, _rows(out))
        ctx.save_for_backward(x)
        ctx.rest = owner, mean, inverse, scales, shifts
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        (x,) = ctx.saved_tensors
        owner, mean, inverse, scales, shifts = ctx.rest
        rows, above = _rows(x), _rows(gradient.contiguous(memory_format=torch.channels_last))
        plain, centred = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
        owner.run(gradient_sums)(rows, above, scales, shifts, mean.astype(np.float32), plain, centred)
        slope = -scales * inverse**2 * centred / len(rows)
        offset = -scales * plain / len(rows) - slope * mean
        out = torch.empty_like(x)
        owner.run(input_gradient)(
            rows, above, scales, shifts, slope.astype(np.float32), offset.astype(np.float32), _rows(out)
        )
        of_weight, of_bias = ((centred * inverse).astype(np.float32), plain.astype(np.float32))
        return out, torch.from_numpy(of_weight), torch.from_numpy(of_bias), None


class FusedNorm(nn.Module):
    """A batch norm in training mode and the ReLU after it; `run` compiles a kernel, or returns it unchanged."""

    def __init__(self, norm: nn.BatchNorm2d, run: Callable[[Callable[..., None]], Callable[..., None]]) -> None:
        super().__init__()
        self.norm, self.run = norm, run

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W), float32, to the same shape."""
        out: Tensor = _NormReLU.apply(x, self.norm.weight, self.norm.bias, self)
        return out


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding = padding
        return F.conv2d(x, weight, padding=padding, groups=len(weight))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        groups, pad = len(weight), ctx.padding
        of_input = F.conv2d(gradient, weight.flip(2, 3), padding=weight.shape[-1] - 1 - pad, groups=groups)
        both = (gradient, x, weight, None, [1, 1], [pad, pad], [1, 1], False, [0, 0], groups, [False, True, False])
        return of_input, torch.ops.aten.convolution_backward(*both)[1], None


class TwiceForward(nn.Module):
    """A depthwise convolution of stride 1 whose input gradient is a convolution with the flipped kernel."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H', W')."""
        out: Tensor = _Depthwise.apply(x, self.convolution.weight, int(self.convolution.padding[0]))
        return out


def use_candidates(
    network: nn.Module,
    *,
    norm: bool,
    depthwise: bool,
    run: Callable[[Callable[..., None]], Callable[..., None]] = compiled,
) -> int:
    """Replace layers of a network by candidates; return how many were replaced. A norm is replaced if a ReLU follows it
    immediately.
    """
    count = 0
    chains = [module for module in network.modules() if isinstance(module, nn.Sequential)] if norm else []
    for chain in chains:
        leaves = _leaves(chain)
        for (parent, name, layer), (next_parent, next_name, following) in itertools.pairwise(leaves):
            if type(layer) is nn.BatchNorm2d and type(following) is nn.ReLU:
                setattr(parent, name, FusedNorm(layer, run))
                setattr(next_parent, next_name, nn.Identity())
                count += 1
    for parent in list(network.modules()) if depthwise else []:
        for name, layer in list(parent.named_children()):
            if (
                isinstance(layer, nn.Conv2d)
                and layer.groups == layer.in_channels == layer.out_channels > 1
                and layer.bias is None
                and layer.stride == layer.dilation == (1, 1)
            ):
                setattr(parent, name, TwiceForward(layer))
                count += 1
    return count


def _leaves(chain: nn.Sequential) -> list[tuple[nn.Module, str, nn.Module]]:
    """The layers of a chain and of chains within it, in order, each with its parent and name."""
    found: list[tuple[nn.Module, str, nn.Module]] = []
    for name, child in chain.named_children():
        found += _leaves(child) if isinstance(child, nn.Sequential) else [(chain, name, child)]
    return found


def _rows(x: Tensor) -> Floats:
    """A channels-last map (N, C, H, W) as (N·H·W, C), a view."""
    rows: Floats = x.detach().permute(0, 2, 3, 1).reshape(-1, x.shape[1]).numpy()
    return rows
