"""Run with TRITON_INTERPRET=1: our kernels against PyTorch's convolution on a CPU; prints the largest difference of
each case.
"""

from __future__ import annotations

import json

import torch
import torch.nn.functional as F
from torch import Tensor

from xception.cuda.depthwise import depthwise

# Channels, height, width, kernel, stride, dilation, tile: sides that do not fill a tile, more channels than a tile has.
CASES = [
    (5, 7, 6, 3, 1, 1, "triton_16x64"),
    (20, 5, 6, 5, 2, 1, "triton_64x16"),
    (3, 7, 8, 3, 1, 2, "triton_32x32"),
    (3, 6, 5, 3, 2, 1, "triton_64x16"),
]


def difference(a: Tensor, b: Tensor) -> float:
    """The largest difference, over the largest value."""
    return float((a - b).abs().max() / b.abs().max())


def main() -> None:
    """Print a row of differences for each case: output, gradient of input, gradient of weight."""
    rows = []
    generator = torch.Generator().manual_seed(0)
    for channels, height, width, size, stride, dilation, backend in CASES:
        images = torch.randn((2, channels, height, width), generator=generator).contiguous(
            memory_format=torch.channels_last
        )
        weight = torch.randn((channels, 1, size, size), generator=generator)
        padding = dilation * (size - 1) // 2
        outs = []
        for ours in (True, False):
            x, w = images.clone().requires_grad_(), weight.clone().requires_grad_()
            if ours:
                out = depthwise(x, w, stride=stride, padding=padding, dilation=dilation, backend=backend)
            else:
                out = F.conv2d(x, w, None, stride, padding, dilation, channels)
            outs.append((out, *torch.autograd.grad(out, (x, w), torch.cos(out.detach()))))
        rows.append([difference(a, b) for a, b in zip(*outs, strict=True)])
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
