"""The layers of the network graph as torch modules, each a thin layer over torch's own.

Padding `same` is that of Keras: ⌈size / stride⌉ positions, an odd pixel of padding goes to the bottom and the right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xception.network import nodes

__all__ = [
    "ACTIVATIONS",
    "AntiAliasedPool2d",
    "ChannelConv",
    "ChannelScale",
    "DepthwiseBackend",
    "DepthwiseConv2d",
    "DropPath",
    "Dropout",
    "FixedMap",
    "GlobalPool",
    "PReLU",
    "SameConv2d",
    "SamePool2d",
    "Squeeze",
]


class PReLU(nn.Module):
    """A leaky ReLU with one learned slope for the whole layer, initially 0.25 (He et al. 2015,
    arXiv:1502.01852).

    The slope is not called `weight`, so that it has no weight decay.
    """

    initial_value = 0.25

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.full((1,), self.initial_value))

    def forward(self, x: Tensor) -> Tensor:
        """Map any shape to the same shape."""
        return F.prelu(x, self.slope.to(x.dtype))


# In place where torch computes the gradient from the result, which saves a copy.
ACTIVATIONS: dict[str, Callable[[bool], nn.Module]] = {
    "relu": lambda in_place: nn.ReLU(inplace=in_place),
    "relu6": lambda in_place: nn.ReLU6(inplace=in_place),
    "leaky_relu": lambda in_place: nn.LeakyReLU(inplace=in_place),
    "elu": lambda in_place: nn.ELU(inplace=in_place),
    "silu": lambda in_place: nn.SiLU(),
    "gelu": lambda in_place: nn.GELU(),
    "hard_swish": lambda in_place: nn.Hardswish(),
    "mish": lambda in_place: nn.Mish(),
    "selu": lambda in_place: nn.SELU(inplace=in_place),
    "prelu": lambda in_place: PReLU(),
    "linear": lambda in_place: nn.Identity(),
    "sigmoid": lambda in_place: nn.Sigmoid(),
}


def same_padding(size: int, kernel_size: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Pixels of padding before and after a side of `size` pixels."""
    total = max((-(-size // stride) - 1) * stride + dilation * (kernel_size - 1) + 1 - size, 0)
    return total // 2, total - total // 2


def padding_of(x: Tensor, kernel: tuple[int, ...], stride: int, dilation: int = 1) -> list[int]:
    """Padding of (N, C, H, W) in the order of `torch.nn.functional.pad`: left, right, top, bottom; `kernel` is height
    and width.
    """
    return [
        *same_padding(x.shape[3], kernel[1], stride, dilation),
        *same_padding(x.shape[2], kernel[0], stride, dilation),
    ]


class SameConv2d(nn.Conv2d):
    """A strided convolution with Keras's `same` padding."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', ⌈H/stride⌉, ⌈W/stride⌉)."""
        pads = padding_of(input, self.kernel_size, self.stride[0], self.dilation[0])
        return F.conv2d(F.pad(input, pads), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class SamePool2d(nn.Module):
    """A pooling with Keras's `same` padding; the padding never wins a maximum and never enters an average."""

    def __init__(self, kind: str, stride: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.kind, self.stride, self.kernel_size = kind, stride, kernel_size

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, ⌈H/stride⌉, ⌈W/stride⌉)."""
        # Where the padding after a side is larger than before it, ceil_mode adds the difference.
        pads = tuple(same_padding(size, self.kernel_size, self.stride)[0] for size in x.shape[2:])
        if self.kind == "max":
            return F.max_pool2d(x, self.kernel_size, self.stride, pads, ceil_mode=True)
        return F.avg_pool2d(x, self.kernel_size, self.stride, pads, ceil_mode=True, count_include_pad=False)


class AntiAliasedPool2d(nn.Module):
    """A 3×3 maximum of stride 1, then a binomial blur of stride 2 with the border repeated (Zhang 2019,
    arXiv:1904.11486).
    """

    blur: Tensor

    def __init__(self, channels: int, padding: str) -> None:
        super().__init__()
        self.channels = channels
        self.same = padding == "same"
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("blur", torch.outer(line, line).expand(channels, 1, 3, 3).contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, ⌈H/2⌉, ⌈W/2⌉)."""
        pads = padding_of(x, (3, 3), 2) if self.same else [1, 1, 1, 1]
        peaks = F.max_pool2d(x, 3, 1, 1)
        return F.conv2d(F.pad(peaks, pads, mode="replicate"), self.blur, stride=2, groups=self.channels)


def kept(out: Tensor, probability: float, generator: torch.Generator | None = None) -> Tensor:
    """Fill a tensor with 0, with that probability, and else 1 / (1 − probability)."""
    return out.bernoulli_(1 - probability, generator=generator).div_(1 - probability)


class Dropout(nn.Dropout):
    """Dropout whose draws are those of `Tensor.bernoulli_` on every device, so that they can come from any
    generator.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map any shape to the same shape."""
        return input * kept(torch.empty_like(input), self.p) if self.training else input


class DropPath(nn.Module):
    """Drops a branch for whole examples while training, and scales the others up (stochastic depth)."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        if not self.training:
            return x
        return x * kept(x.new_empty(x.shape[0], 1, 1, 1), self.probability)

    def extra_repr(self) -> str:
        """The probability, for printing."""
        return f"probability={self.probability:g}"


class FixedMap(nn.Module):
    """Checks that maps are (N, C, size, size).

    Raises:
        ValueError: the map, and so the image, has another size than the head was built for.
    """

    def __init__(self, size: int, input_size: int) -> None:
        super().__init__()
        self.size, self.input_size = size, input_size

    def forward(self, x: Tensor) -> Tensor:
        """Return the map unchanged."""
        if x.shape[2] != self.size or x.shape[3] != self.size:
            raise ValueError(
                f"input: the last map is {x.shape[2]}×{x.shape[3]}; the head was made for {self.size}×{self.size}, "
                f"which is what {self.input_size}×{self.input_size} images give"
            )
        return x


class GlobalPool(nn.Module):
    """Pools (N, C, H, W) to (N, C)."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C)."""
        # The average is an operator of its own, by which counters recognise it.
        return F.adaptive_avg_pool2d(x, 1).flatten(1) if self.kind == "average" else x.amax((2, 3))


class Squeeze(nn.Module):
    """Average of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, 1, 1)."""
        return F.adaptive_avg_pool2d(x, 1)


class ChannelConv(nn.Conv1d):
    """One kernel that slides over the channels, padded with zeros."""

    def __init__(self, kernel_size: int) -> None:
        super().__init__(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, C, 1, 1) to the same shape."""
        return super().forward(input.flatten(1).unsqueeze(1)).transpose(1, 2).unsqueeze(-1)


class ChannelScale(nn.Module):
    """A learned factor per channel; it is not called `weight`, so that it has no weight decay."""

    def __init__(self, channels: int, initial: float) -> None:
        super().__init__()
        self.initial_value = initial
        self.scale = nn.Parameter(torch.full((channels,), initial))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        return x * self.scale[:, None, None].to(x.dtype)


class SubsampledPointwise(nn.Conv2d):
    """A strided 1×1 convolution as subsampling and a plain 1×1 convolution: the same values.

    oneDNN 3.13 writes beyond its buffers in the backward pass of the strided one where images are channels-last and the
    input channels do not fill a vector of 8 (on AVX2: `double free or corruption`, seen with 6 channels).
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', ⌈H/stride⌉, ⌈W/stride⌉)."""
        down, right = self.stride
        return F.conv2d(input[:, :, ::down, ::right], self.weight, self.bias, groups=self.groups)


class DepthwiseBackend(Protocol):
    """A way to convolve each channel of (N, C, H, W) with its own kernel (C, 1, k, k), as `xception.cuda` has some."""

    def __call__(self, x: Tensor, weight: Tensor, *, stride: int, padding: int, dilation: int) -> Tensor:
        """Return (N, C, H', W')."""


class DepthwiseConv2d(nn.Conv2d):
    """A convolution of each channel with a kernel of its own; `backend` None leaves the way to PyTorch."""

    backend: DepthwiseBackend | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H', W')."""
        if self.backend is None:
            return super().forward(input)
        assert not isinstance(self.padding, str)
        return with_backend(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.backend)

    def _get_name(self) -> str:
        return "Conv2d"  # the name that is printed


def with_backend(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    backend: DepthwiseBackend,
) -> Tensor:
    """Convolve each channel of (N, C, H, W) with its own kernel (C, 1, k, k) by a backend that was chosen for it."""
    out = backend(x, weight, stride=stride[0], padding=padding[0], dilation=dilation[0])
    return out if bias is None else out + bias[:, None, None].to(out.dtype)


def convolution(node: nodes.Convolution) -> nn.Conv2d:
    """Build a convolution."""
    kind = SameConv2d if node.padding == "same" else nn.Conv2d
    height, width = node.kernel
    if node.padding != "same" and height == width and node.groups == node.in_channels == node.out_channels > 1:
        kind = DepthwiseConv2d
    if node.kernel == (1, 1) and node.stride > 1 and node.in_channels % 8 and node.padding != "same":
        kind = SubsampledPointwise
    down, right = (node.dilation * (side - 1) // 2 if node.padding == "symmetric" else 0 for side in node.kernel)
    return kind(
        node.in_channels,
        node.out_channels,
        node.kernel,
        node.stride,
        (down, right),
        node.dilation,
        node.groups,
        node.bias,
    )


def norm(node: nodes.Norm) -> nn.Module:
    """Build a norm; one that is to begin at scale 0 says so in `zero_init`, which initialisation reads."""
    built: nn.Module
    if node.kind == "batch":
        built = nn.BatchNorm2d(node.channels, node.epsilon, node.momentum)
    else:
        built = nn.GroupNorm(node.groups if node.kind == "group" else 1, node.channels, node.epsilon)
    built.zero_init = node.zero_init  # type: ignore[assignment]
    return built


def activation(node: nodes.Activate) -> nn.Module:
    """Build an activation."""
    return ACTIVATIONS[node.kind](node.in_place)


def pool(node: nodes.Pool) -> nn.Module:
    """Build a pooling."""
    size, pad = node.kernel_size, (node.kernel_size - 1) // 2
    if node.padding == "same":
        return SamePool2d(node.kind, node.stride, size)
    ceil = size % 2 == 0
    if node.kind == "max":
        return nn.MaxPool2d(size, node.stride, pad, ceil_mode=ceil)
    return nn.AvgPool2d(size, node.stride, pad, ceil_mode=ceil, count_include_pad=False)
