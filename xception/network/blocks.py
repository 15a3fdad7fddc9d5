"""From the network graph to torch modules: `build` turns any node into a module that maps one tensor to one tensor.

Chains, towers, slices, gates and residual sums are the only ways of joining layers; the names of a node's
children become the names of the module's parameters.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from xception.network import layers, nodes

__all__ = ["Chain", "ChannelGate", "ResidualSum", "SliceJoin", "TowerJoin", "build"]


class Chain(nn.Sequential):
    """Children one after the other; the identity where there are none."""

    def __init__(self, node: nodes.Sequence) -> None:
        super().__init__(OrderedDict((name, build(child)) for name, child in node.children))


class TowerJoin(nn.Module):
    """Children side by side, joined along the channels."""

    def __init__(self, node: nodes.Towers) -> None:
        super().__init__()
        for name, child in node.children:
            self.add_module(name, build(child))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        return torch.cat([tower(x) for tower in self.children()], dim=1)


class SliceJoin(nn.Module):
    """Children side by side, each on its own channels, joined along the channels."""

    def __init__(self, node: nodes.Slices) -> None:
        super().__init__()
        self.sizes = node.sizes
        for name, child in node.children:
            self.add_module(name, build(child))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        parts = torch.split(x, list(self.sizes), dim=1)
        return torch.cat([child(part) for child, part in zip(self.children(), parts, strict=True)], dim=1)


class ChannelGate(nn.Module):
    """The input times a factor per channel, computed from the input."""

    def __init__(self, node: nodes.Gate) -> None:
        super().__init__()
        self.gate = build(node.gate)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        out: Tensor = x * self.gate(x)
        return out


class ResidualSum(nn.Module):
    """A branch and its shortcut, added, then optionally normalised; `before` feeds both."""

    def __init__(self, node: nodes.Residual) -> None:
        super().__init__()
        self.before = build(node.before) if node.before is not None else nn.Identity()
        self.branch = build(node.branch)
        self.drop_path = layers.DropPath(node.drop_path) if node.drop_path else nn.Identity()
        self.shortcut = build(node.shortcut) if node.shortcut is not None else nn.Identity()
        self.norm = build(node.norm) if node.norm is not None else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        x = self.before(x)
        out: Tensor = self.norm(self.drop_path(self.branch(x)) + self.shortcut(x))
        return out


BUILDERS: dict[type, Callable[[Any], nn.Module]] = {
    nodes.Sequence: Chain,
    nodes.Towers: TowerJoin,
    nodes.Slices: SliceJoin,
    nodes.Gate: ChannelGate,
    nodes.Residual: ResidualSum,
    nodes.Convolution: layers.convolution,
    nodes.Norm: layers.norm,
    nodes.Activate: layers.activation,
    nodes.Pool: layers.pool,
    nodes.AntiAliasedPool: lambda node: layers.AntiAliasedPool2d(node.channels, node.padding),
    nodes.GlobalPool: lambda node: layers.GlobalPool(node.kind),
    nodes.Squeeze: lambda node: layers.Squeeze(),
    nodes.ChannelConvolution: lambda node: layers.ChannelConv(node.kernel_size),
    nodes.ChannelScale: lambda node: layers.ChannelScale(node.channels, node.initial),
    nodes.FixedMap: lambda node: layers.FixedMap(node.size, node.input_size),
    nodes.Flatten: lambda node: nn.Flatten(),
    nodes.Dropout: lambda node: layers.Dropout(node.probability),
    nodes.Linear: lambda node: nn.Linear(node.in_features, node.out_features),
}


def build(node: nodes.Node) -> nn.Module:
    """Build the module that a node of the graph describes."""
    return BUILDERS[type(node)](node)
