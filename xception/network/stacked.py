"""Several networks of one architecture as a single one, which does the work of all in each layer's one call.

Maps are (N, members × C, H, W), a member's channels side by side. Layers that work channel by channel are one unchanged
call on all of them: depthwise convolutions, batch norm, pooling, activations; convolutions over channels become grouped
ones, and 1×1 convolutions and linear layers batched matrix products. Nothing that a member computes depends on another.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from xception.network import layers
from xception.network.blocks import Chain, ChannelGate, ResidualSum, SliceJoin, TowerJoin
from xception.network.model import Xception
from xception.network.stacked_layers import (
    StackedBatchNorm2d,
    StackedChannelConv,
    StackedChannelScale,
    StackedConv2d,
    StackedDrop,
    StackedDropout,
    StackedDropPath,
    StackedGroupNorm,
    StackedLinear,
    StackedPReLU,
    by_member,
)

__all__ = ["stack", "use_generators"]

M = TypeVar("M", bound=nn.Module)


def stack(models: Sequence[nn.Module]) -> nn.Module:
    """Return one network that does what each of the models does, with copies of their weights.

    It maps images (N, members × C, H, W) to logits (N, members × classes). Parameters and buffers are called as in a
    single network, and have the members as a first dimension. Before training with dropout or stochastic depth call
    `use_generators`.

    Raises:
        ValueError: there is no model, or one has a layer that cannot be stacked.
    """
    if not models:
        raise ValueError("models: none are not allowed; one or more of the same architecture")
    return _stacked(list(models))


def use_generators(network: nn.Module, generators: Sequence[torch.Generator]) -> None:
    """Let each member of a stacked network draw from a generator of its own, which the network keeps and the caller
    seeds.
    """
    for module in network.modules():
        if isinstance(module, StackedDrop):
            module.generators = tuple(generators)


class StackedTowers(nn.Module):
    """Towers side by side; the outputs of a member's towers are joined before the next member's."""

    def __init__(self, members: Sequence[TowerJoin]) -> None:
        super().__init__()
        self.num_members = len(members)
        for name, towers in _children(members).items():
            self.add_module(name, _stacked(towers))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, members × C, H, W) to (N, members × C', H', W')."""
        maps = [tower(x).permute(0, 2, 3, 1) for tower in self.children()]  # channels last, as in memory
        joined = torch.cat([m.reshape(*m.shape[:3], self.num_members, -1) for m in maps], dim=-1)
        return joined.flatten(3).permute(0, 3, 1, 2)


class StackedSlices(nn.Module):
    """Children on slices of each member's channels; the outputs of a member are joined before the next member's."""

    def __init__(self, members: Sequence[SliceJoin]) -> None:
        super().__init__()
        self.num_members, self.sizes = len(members), members[0].sizes
        for name, parts in _children(members).items():
            self.add_module(name, _stacked(parts))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, members × C, H, W) to (N, members × C', H', W')."""
        parts = torch.split(by_member(x, self.num_members), list(self.sizes), dim=2)
        maps = [child(part.flatten(1, 2)) for child, part in zip(self.children(), parts, strict=True)]
        return torch.cat([by_member(m, self.num_members) for m in maps], dim=2).flatten(1, 2)


def _children(members: Sequence[nn.Module]) -> dict[str, list[nn.Module]]:
    return {name: [member.get_submodule(name) for member in members] for name, _ in members[0].named_children()}


def _stacked(members: list[Any]) -> nn.Module:
    stacker = _STACKERS.get(type(members[0]))
    if stacker is None:
        raise ValueError(
            f"models: a layer {type(members[0]).__name__} is not allowed in a stack; the layers of an XceptionConfig"
        )
    return stacker(members)


def _bare(module: M) -> M:
    """A copy of a module without what it holds."""
    bare = copy.copy(module)
    bare._modules, bare._parameters, bare._buffers = {}, {}, {}
    return bare


def _shared(members: Sequence[M]) -> M:
    """Layers that work on each channel alone, without parameters, serve all members unchanged."""
    return _bare(members[0])


def _container(members: Sequence[M]) -> M:
    container = _bare(members[0])
    for name, children in _children(members).items():
        container.add_module(name, _stacked(children))
    return container


def _anti_aliased(members: Sequence[layers.AntiAliasedPool2d]) -> nn.Module:
    first = members[0]
    pool = layers.AntiAliasedPool2d(first.channels * len(members), "same" if first.same else "symmetric")
    return pool.to(first.blur)


_STACKERS: dict[type[nn.Module], Callable[[list[Any]], nn.Module]] = {
    **dict.fromkeys((nn.Conv2d, layers.DepthwiseConv2d, layers.SameConv2d, layers.SubsampledPointwise), StackedConv2d),
    nn.BatchNorm2d: StackedBatchNorm2d,
    nn.GroupNorm: StackedGroupNorm,
    nn.Linear: StackedLinear,
    TowerJoin: StackedTowers,
    SliceJoin: StackedSlices,
    layers.ChannelConv: StackedChannelConv,
    layers.ChannelScale: StackedChannelScale,
    layers.AntiAliasedPool2d: _anti_aliased,
    layers.DropPath: lambda members: StackedDropPath(len(members), members[0].probability),
    layers.Dropout: lambda members: StackedDropout(len(members), members[0].p),
    **dict.fromkeys((Xception, Chain, ChannelGate, ResidualSum), _container),
    **dict.fromkeys((type(make(False)) for make in layers.ACTIVATIONS.values()), _shared),
    **dict.fromkeys(
        (nn.MaxPool2d, nn.AvgPool2d, layers.SamePool2d, layers.GlobalPool, layers.Squeeze, layers.FixedMap, nn.Flatten),
        _shared,
    ),
    layers.PReLU: StackedPReLU,
}
