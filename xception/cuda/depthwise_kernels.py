"""Depthwise convolution in Triton: forward, and the gradients of input and weight, for channels-last images.

A program computes a tile of positions × channels, reading each tap's values in place; sums are in float32 whatever the
type of the images. The weight's gradient is summed in two stages of fixed order, so that the same input gives the same
bits. Needs Triton, which comes with PyTorch for CUDA.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["backward", "forward"]

_CHUNK = 4096  # most positions that one program sums over for the weight's gradient


def forward(x: Tensor, weight: Tensor, stride: int, padding: int, dilation: int, tile: tuple[int, int]) -> Tensor:
    """Convolve (N, C, H, W) with (C, 1, k, k); `tile` is positions × channels of a program, powers of two."""
    x = x.contiguous(memory_format=torch.channels_last)
    num, channels, height, width = x.shape
    size = weight.shape[-1]
    rows, columns = ((side + 2 * padding - dilation * (size - 1) - 1) // stride + 1 for side in (height, width))
    out = torch.empty((num, channels, rows, columns), dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    positions = num * rows * columns
    grid = (triton.cdiv(positions, tile[0]), triton.cdiv(channels, tile[1]))
    _forward[grid](
        x,
        _taps(weight),
        out,
        positions,
        channels,
        height,
        width,
        rows,
        columns,
        size=size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        tile_positions=tile[0],
        tile_channels=tile[1],
    )
    return out


def backward(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, dilation: int, tile: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return the gradients of input (N, C, H, W) and weight (C, 1, k, k) from that of the output."""
    gradient, x = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (gradient, x))
    num, channels, height, width = x.shape
    rows, columns = gradient.shape[2:]
    size = weight.shape[-1]
    shape: dict[str, Any] = {
        "size": size,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "tile_positions": tile[0],
        "tile_channels": tile[1],
    }
    of_input = torch.empty_like(x)
    positions = num * height * width
    grid = (triton.cdiv(positions, tile[0]), triton.cdiv(channels, tile[1]))
    _of_input[grid](gradient, _taps(weight), of_input, positions, channels, height, width, rows, columns, **shape)

    positions = num * rows * columns
    length = min(_CHUNK, triton.next_power_of_2(positions))
    chunks = triton.cdiv(positions, length)
    partial = torch.empty((chunks, size * size, channels), dtype=torch.float32, device=x.device)
    _of_weight[(chunks, triton.cdiv(channels, tile[1]))](
        gradient,
        x,
        partial,
        positions,
        channels,
        height,
        width,
        rows,
        columns,
        num_taps=triton.next_power_of_2(size * size),
        length=length,
        **shape,
    )
    of_weight = partial.sum(0).t().reshape(channels, 1, size, size)
    return of_input, of_weight.to(weight.dtype)


def _taps(weight: Tensor) -> Tensor:
    """(C, 1, k, k) as (k², C), so that a tap's channels are contiguous."""
    return weight.flatten(1).t().contiguous()


@triton.jit  # type: ignore[untyped-decorator]
def _forward(  # type: ignore[no-untyped-def]
    x,
    taps,
    out,
    positions,
    channels,
    height,
    width,
    rows,
    columns,
    size: tl.constexpr,
    stride: tl.constexpr,
    padding: tl.constexpr,
    dilation: tl.constexpr,
    tile_positions: tl.constexpr,
    tile_channels: tl.constexpr,
):
    place = (tl.program_id(0) * tile_positions + tl.arange(0, tile_positions)).to(tl.int64)
    channel = tl.program_id(1) * tile_channels + tl.arange(0, tile_channels)
    here = place < positions
    there = channel < channels
    column = place % columns
    row = (place // columns) % rows
    image = place // (columns * rows)
    total = tl.zeros((tile_positions, tile_channels), tl.float32)
    for tap in tl.static_range(size * size):
        above = row * stride - padding + (tap // size) * dilation
        left = column * stride - padding + (tap % size) * dilation
        inside = here & (above >= 0) & (above < height) & (left >= 0) & (left < width)
        source = ((image * height + above) * width + left)[:, None] * channels + channel[None, :]
        values = tl.load(x + source, mask=inside[:, None] & there[None, :], other=0.0).to(tl.float32)
        weights = tl.load(taps + tap * channels + channel, mask=there, other=0.0).to(tl.float32)
        total += values * weights[None, :]
    target = place[:, None] * channels + channel[None, :]
    tl.store(out + target, total.to(out.dtype.element_ty), mask=here[:, None] & there[None, :])


@triton.jit  # type: ignore[untyped-decorator]
def _of_input(  # type: ignore[no-untyped-def]
    gradient,
    taps,
    out,
    positions,
    channels,
    height,
    width,
    rows,
    columns,
    size: tl.constexpr,
    stride: tl.constexpr,
    padding: tl.constexpr,
    dilation: tl.constexpr,
    tile_positions: tl.constexpr,
    tile_channels: tl.constexpr,
):
    place = (tl.program_id(0) * tile_positions + tl.arange(0, tile_positions)).to(tl.int64)
    channel = tl.program_id(1) * tile_channels + tl.arange(0, tile_channels)
    here = place < positions
    there = channel < channels
    left = place % width
    above = (place // width) % height
    image = place // (width * height)
    total = tl.zeros((tile_positions, tile_channels), tl.float32)
    for tap in tl.static_range(size * size):
        # The output whose tap read this position, if there is one: output × stride − padding + tap × dilation.
        down = above + padding - (tap // size) * dilation
        right = left + padding - (tap % size) * dilation
        row = down // stride
        column = right // stride
        inside = here & (down >= 0) & (right >= 0) & (row < rows) & (column < columns)
        inside = inside & (row * stride == down) & (column * stride == right)
        source = ((image * rows + row) * columns + column)[:, None] * channels + channel[None, :]
        values = tl.load(gradient + source, mask=inside[:, None] & there[None, :], other=0.0).to(tl.float32)
        weights = tl.load(taps + tap * channels + channel, mask=there, other=0.0).to(tl.float32)
        total += values * weights[None, :]
    target = place[:, None] * channels + channel[None, :]
    tl.store(out + target, total.to(out.dtype.element_ty), mask=here[:, None] & there[None, :])


@triton.jit  # type: ignore[untyped-decorator]
def _of_weight(  # type: ignore[no-untyped-def]
    gradient,
    x,
    partial,
    positions,
    channels,
    height,
    width,
    rows,
    columns,
    size: tl.constexpr,
    stride: tl.constexpr,
    padding: tl.constexpr,
    dilation: tl.constexpr,
    tile_positions: tl.constexpr,
    tile_channels: tl.constexpr,
    num_taps: tl.constexpr,
    length: tl.constexpr,
):
    chunk = tl.program_id(0)
    channel = tl.program_id(1) * tile_channels + tl.arange(0, tile_channels)
    there = channel < channels
    number = tl.arange(0, num_taps)
    total = tl.zeros((num_taps, tile_channels), tl.float32)
    for start in range(0, length, tile_positions):
        place = (chunk * length + start + tl.arange(0, tile_positions)).to(tl.int64)
        here = place < positions
        column = place % columns
        row = (place // columns) % rows
        image = place // (columns * rows)
        after = tl.load(
            gradient + place[:, None] * channels + channel[None, :], mask=here[:, None] & there[None, :], other=0.0
        ).to(tl.float32)
        for tap in tl.static_range(size * size):
            above = row * stride - padding + (tap // size) * dilation
            left = column * stride - padding + (tap % size) * dilation
            inside = here & (above >= 0) & (above < height) & (left >= 0) & (left < width)
            source = ((image * height + above) * width + left)[:, None] * channels + channel[None, :]
            values = tl.load(x + source, mask=inside[:, None] & there[None, :], other=0.0).to(tl.float32)
            summed = tl.sum(after * values, axis=0)
            total += tl.where((number == tap)[:, None], summed[None, :], 0.0)
    target = (chunk * size * size + number).to(tl.int64)[:, None] * channels + channel[None, :]
    tl.store(partial + target, total, mask=(number < size * size)[:, None] & there[None, :])
