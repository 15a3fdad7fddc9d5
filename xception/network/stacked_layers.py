"""The layers of a stack: each does the work of one layer of several networks in one call.

Maps are (N, members × C, H, W), a member's channels side by side; parameters have the members as a first dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xception.network import layers

__all__ = [
    "StackedBatchNorm2d",
    "StackedChannelConv",
    "StackedChannelScale",
    "StackedConv2d",
    "StackedDrop",
    "StackedDropPath",
    "StackedDropout",
    "StackedGroupNorm",
    "StackedLinear",
    "StackedPReLU",
    "by_member",
    "pointwise",
]


class StackedConv2d(nn.Module):
    """Convolutions of several members, as one grouped convolution or, where they are 1×1, as one batched product.

    A depthwise one has a `backend`, as in a single network.
    """

    backend: layers.DepthwiseBackend | None = None

    def __init__(self, members: Sequence[nn.Conv2d]) -> None:
        super().__init__()
        first = members[0]
        self.num_members = len(members)
        self.weight = _joined([member.weight for member in members])
        self.bias = None if first.bias is None else _joined([cast(nn.Parameter, member.bias) for member in members])
        self.stride, self.dilation, self.groups = first.stride, first.dilation, first.groups * len(members)
        self.padding = cast("tuple[int, ...]", first.padding)
        self.pads_same = isinstance(first, layers.SameConv2d)
        self.is_depthwise = isinstance(first, layers.DepthwiseConv2d)
        self.is_pointwise = (
            first.kernel_size == (1, 1) and first.groups == 1 and not any(self.padding) and not self.pads_same
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, members × C, H, W) to (N, members × C', H', W')."""
        bias = None if self.bias is None else self.bias.flatten()
        if self.is_pointwise:
            down, right = self.stride
            out = pointwise(x if down == right == 1 else x[:, :, ::down, ::right], self.weight.flatten(2))
            return out if bias is None else out + bias[:, None, None].to(out.dtype)
        padding = self.padding
        if self.backend is not None:
            return layers.with_backend(
                x, self.weight.flatten(0, 1), bias, self.stride, padding, self.dilation, self.backend
            )
        if self.pads_same:
            x, padding = (
                F.pad(x, layers.padding_of(x, self.weight.shape[-2:], self.stride[0], self.dilation[0])),
                (0, 0),
            )
        return F.conv2d(x, self.weight.flatten(0, 1), bias, self.stride, padding, self.dilation, self.groups)


class StackedLinear(nn.Module):
    """Linear layers of several members, as one batched product."""

    def __init__(self, members: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.num_members = len(members)
        self.weight = _joined([member.weight for member in members])
        self.bias = _joined([member.bias for member in members])

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, members × F) to (N, members × F')."""
        each = x.view(len(x), self.num_members, -1).transpose(0, 1)
        out = torch.baddbmm(self.bias[:, None], each, self.weight.transpose(1, 2))
        return out.transpose(0, 1).flatten(1)


class StackedBatchNorm2d(nn.BatchNorm2d):
    """Batch norms of several members: each channel has its own statistics, so that one over all channels is exactly
    that.
    """

    def __init__(self, members: Sequence[nn.BatchNorm2d]) -> None:
        first = members[0]
        super().__init__(first.num_features, first.eps, first.momentum)
        self.weight, self.bias = _joined([m.weight for m in members]), _joined([m.bias for m in members])
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            setattr(self, name, torch.stack([getattr(member, name) for member in members]))

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, members × C, H, W) to the same shape."""
        assert self.running_mean is not None
        assert self.running_var is not None
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return F.batch_norm(
            input,
            self.running_mean.flatten(),
            self.running_var.flatten(),
            self.weight.flatten(),
            self.bias.flatten(),
            self.training,
            self.momentum or 0.0,
            self.eps,
        )


class StackedGroupNorm(nn.GroupNorm):
    """Group norms of several members, as one with the groups of all."""

    def __init__(self, members: Sequence[nn.GroupNorm]) -> None:
        first = members[0]
        super().__init__(first.num_groups, first.num_channels, first.eps)
        self.all_groups = first.num_groups * len(members)
        self.weight, self.bias = _joined([m.weight for m in members]), _joined([m.bias for m in members])

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, members × C, H, W) to the same shape."""
        return F.group_norm(input, self.all_groups, self.weight.flatten(), self.bias.flatten(), self.eps)


class StackedChannelConv(nn.Module):
    """Kernels of several members, each over its member's channels."""

    def __init__(self, members: Sequence[layers.ChannelConv]) -> None:
        super().__init__()
        self.num_members = len(members)
        self.weight = _joined([member.weight for member in members])

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, members × C, 1, 1) to the same shape."""
        each = by_member(x.flatten(1), self.num_members)
        padding = self.weight.shape[-1] // 2
        out = F.conv1d(each, self.weight.flatten(0, 1), padding=padding, groups=self.num_members)
        return out.flatten(1)[:, :, None, None]


class StackedChannelScale(nn.Module):
    """Factors per channel of several members."""

    def __init__(self, members: Sequence[layers.ChannelScale]) -> None:
        super().__init__()
        self.scale = _joined([member.scale for member in members])

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, members × C, H, W) to the same shape."""
        return x * self.scale.flatten()[:, None, None].to(x.dtype)


class StackedPReLU(nn.Module):
    """Learned slopes of several members, one for all channels of a member."""

    def __init__(self, members: Sequence[layers.PReLU]) -> None:
        super().__init__()
        self.slope = _joined([member.slope for member in members])

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, members × C, ...) to the same shape."""
        return F.prelu(x, self.slope.to(x.dtype).expand(-1, x.shape[1] // len(self.slope)).flatten())


class StackedDrop(nn.Module):
    """What drops at random: each member draws, in the order of the layers, what it would alone."""

    generators: tuple[torch.Generator, ...]

    def __init__(self, num_members: int, probability: float) -> None:
        super().__init__()
        self.num_members, self.probability = num_members, probability
        self.generators = ()

    def scales(self, x: Tensor, *shape: int) -> Tensor:
        """Draw 0 or 1 / (1 − probability) for each member and place, (N, members, ...)."""
        if len(self.generators) != self.num_members:
            raise ValueError(
                f"generators: {len(self.generators)} are not allowed; {self.num_members}, given by use_generators"
            )
        draws = [layers.kept(x.new_empty(len(x), *shape), self.probability, generator) for generator in self.generators]
        return torch.stack(draws, dim=1)


class StackedDropPath(StackedDrop):
    """Stochastic depth of several members."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, members × C, H, W) to the same shape."""
        if not self.training:
            return x
        return x * self.scales(x).repeat_interleave(x.shape[1] // self.num_members, dim=1)[:, :, None, None]


class StackedDropout(StackedDrop):
    """Dropout of several members."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, members × F) to the same shape."""
        if not self.training:
            return x
        return x * self.scales(x, x.shape[1] // self.num_members).flatten(1)


def pointwise(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply each member's channels (N, members × C, H, W) by its weight (members, C', C); channels-last in and out,
    without copies.
    """
    device = x.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        x, weight = x.to(dtype), weight.to(dtype)
    return cast(Tensor, _Pointwise.apply(x, weight))


class _Pointwise(torch.autograd.Function):
    """Batched products on views of channels-last maps, into views of channels-last maps."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight.transpose(1, 2))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_input, of_weight = ctx.needs_input_grad
        return (
            _product(gradient, weight) if of_input else None,
            torch.bmm(_members(gradient, len(weight)).transpose(1, 2), _members(x, len(weight))) if of_weight else None,
        )


def _product(x: Tensor, matrix: Tensor) -> Tensor:
    """(N, members × C, H, W) times (members, C, D): a channels-last map (N, members × D, H, W)."""
    num_members, _, width = matrix.shape
    num, _, height, side = x.shape
    out = torch.empty(
        (num, num_members * width, height, side), dtype=x.dtype, device=x.device, memory_format=torch.channels_last
    )
    torch.bmm(_members(x, num_members), matrix, out=_members(out, num_members))
    return out


def _members(x: Tensor, num_members: int) -> Tensor:
    """A map (N, members × C, H, W) as (members, N·H·W, C): a view where it is channels-last."""
    return x.permute(0, 2, 3, 1).reshape(-1, num_members, x.shape[1] // num_members).transpose(0, 1)


def by_member(x: Tensor, num_members: int) -> Tensor:
    """A map (N, members × C, ...) as (N, members, C, ...)."""
    return x.reshape(x.shape[0], num_members, -1, *x.shape[2:])


def _joined(parameters: Sequence[Tensor]) -> nn.Parameter:
    """Copies of parameters along a new first dimension, each in its own memory layout."""
    first = parameters[0].detach()
    joined = first.new_empty((len(parameters), first.numel())).as_strided(
        (len(parameters), *first.shape), (first.numel(), *first.stride())
    )
    for member, parameter in zip(joined, parameters, strict=True):
        member.copy_(parameter.detach())
    return nn.Parameter(joined, requires_grad=parameters[0].requires_grad)
