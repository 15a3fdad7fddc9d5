"""From plan to torch modules: `build` turns any node into a module that maps one tensor to one tensor.

Chains, towers and residual sums are the only ways in which layers are joined; the names of a node's children become the
names of the module's parameters.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from xception.network import layers, nodes

__all__ = ["Chain", "ResidualSum", "TowerJoin", "build"]


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


class ResidualSum(nn.Module):
    """A branch and its shortcut, added, then perhaps normalised."""

    def __init__(self, node: nodes.Residual) -> None:
        super().__init__()
        self.branch = build(node.branch)
        self.drop_path = layers.DropPath(node.drop_path) if node.drop_path else nn.Identity()
        self.shortcut = build(node.shortcut) if node.shortcut is not None else nn.Identity()
        self.norm = build(node.norm) if node.norm is not None else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        out: Tensor = self.norm(self.drop_path(self.branch(x)) + self.shortcut(x))
        return out


BUILDERS: dict[type, Callable[[Any], nn.Module]] = {
    nodes.Sequence: Chain,
    nodes.Towers: TowerJoin,
    nodes.Residual: ResidualSum,
    nodes.Convolution: layers.convolution,
    nodes.Norm: layers.norm,
    nodes.Activate: layers.activation,
    nodes.Pool: layers.pool,
    nodes.AntiAliasedPool: lambda node: layers.AntiAliasedPool2d(node.channels, node.padding),
    nodes.GlobalPool: lambda node: layers.GlobalPool(node.kind),
    nodes.FixedMap: lambda node: layers.FixedMap(node.size, node.input_size),
    nodes.Flatten: lambda node: nn.Flatten(),
    nodes.Dropout: lambda node: layers.Dropout(node.probability),
    nodes.Linear: lambda node: nn.Linear(node.in_features, node.out_features),
}


def build(node: nodes.Node) -> nn.Module:
    """Build the module that a node of the plan describes."""
    return BUILDERS[type(node)](node)
