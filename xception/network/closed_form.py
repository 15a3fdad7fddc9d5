"""Parameters and multiply-accumulates of a network in closed form: arithmetic on the network graph, without tensors.

A walk carries the shape (channels, height, width) through `xception.network.graph.network(config)` and describes each
layer on the way. MACs are those of convolutions and linear layers, biases left out; FLOPs are twice that.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import NamedTuple

from xception.network.config import XceptionConfig
from xception.network.graph import network
from xception.network.nodes import (
    Activate,
    AntiAliasedPool,
    ChannelConvolution,
    ChannelScale,
    Convolution,
    Dropout,
    FixedMap,
    Flatten,
    Gate,
    GlobalPool,
    Linear,
    Node,
    Norm,
    Pool,
    Residual,
    Sequence,
    Slices,
    Squeeze,
    Towers,
    spatial_size,
)

__all__ = ["Complexity", "Layer", "complexity", "totals"]

Shape = tuple[int, ...]


class Layer(NamedTuple):
    """One layer of the walk: dotted name, kind, shapes without the batch, parameters, MACs.

    `kind` is one of depthwise, pointwise, regular, linear, norm, activation, pool, blur, join, scale and shape.
    """

    name: str
    kind: str
    in_shape: Shape
    out_shape: Shape
    params: int = 0
    macs: int = 0


@dataclasses.dataclass(frozen=True)
class Complexity:
    """Totals over the layers; `activations` counts the outputs of convolutions and linear layers for one image."""

    params: int
    macs: int
    activations: int
    layers: tuple[Layer, ...]


def complexity(config: XceptionConfig, input_size: int | None = None) -> Complexity:
    """Count a network's parameters and MACs for one square image of `input_size` pixels a side (299 unless the config
    has one).

    Raises:
        ValueError: the image is too small for the network, or not of the size that the head was built for.
    """
    size = input_size or config.input_size or 299
    layers: list[Layer] = []
    _walk(network(config, in_place=False), "", (config.in_channels, size, size), layers)
    counted = [layer for layer in layers if layer.kind in ("depthwise", "pointwise", "regular", "linear", "blur")]
    return Complexity(
        params=sum(layer.params for layer in layers),
        macs=sum(layer.macs for layer in counted),
        activations=sum(math.prod(layer.out_shape) for layer in counted),
        layers=tuple(layers),
    )


@functools.lru_cache(maxsize=1024)
def totals(config: XceptionConfig, input_size: int) -> tuple[int, int, int]:
    """Return parameters, MACs and activations; cached, since a plan asks for those of the same networks repeatedly.

    Raises:
        ValueError: as `complexity` does.
    """
    counted = complexity(config, input_size)
    return counted.params, counted.macs, counted.activations


def _walk(node: Node, name: str, shape: Shape, layers: list[Layer]) -> Shape:
    """Return the shape after the node; add the layers inside it."""
    if isinstance(node, Sequence):
        for child_name, child in node.children:
            shape = _walk(child, f"{name}.{child_name}" if name else child_name, shape, layers)
        return shape
    if isinstance(node, Towers):
        outs = [_walk(child, f"{name}.{child_name}", shape, layers) for child_name, child in node.children]
        return (sum(out[0] for out in outs), *outs[0][1:])
    if isinstance(node, Slices):
        outs = [
            _walk(child, f"{name}.{child_name}", (size, *shape[1:]), layers)
            for (child_name, child), size in zip(node.children, node.sizes, strict=True)
        ]
        return (sum(out[0] for out in outs), *outs[0][1:])
    if isinstance(node, Gate):
        _walk(node.gate, f"{name}.gate", shape, layers)
        layers.append(Layer(name, "join", shape, shape))
        return shape
    if isinstance(node, Residual):
        if node.before is not None:
            shape = _walk(node.before, f"{name}.before", shape, layers)
        out = _walk(node.branch, f"{name}.branch", shape, layers)
        if node.shortcut is not None:
            _walk(node.shortcut, f"{name}.shortcut", shape, layers)
        layers.append(Layer(name, "join", out, out))
        if node.norm is not None:
            _walk(node.norm, f"{name}.norm", out, layers)
        return out
    layer = _layer(node, name, shape)
    layers.append(layer)
    return layer.out_shape


def _layer(node: Node, name: str, shape: Shape) -> Layer:
    channels = shape[0]
    match node:
        case Convolution():
            sides = (
                spatial_size(side, kernel, node.stride, node.dilation, node.padding)
                for side, kernel in zip(shape[1:], node.kernel, strict=True)
            )
            out = (node.out_channels, *(_checked(side, name) for side in sides))
            weights = node.out_channels * (node.in_channels // node.groups) * math.prod(node.kernel)
            kind = (
                "depthwise"
                if node.groups == node.in_channels > 1
                else "pointwise"
                if node.kernel == (1, 1)
                else "regular"
            )
            return Layer(name, kind, shape, out, weights + node.out_channels * node.bias, weights * math.prod(out[1:]))
        case Linear():
            weights = node.in_features * node.out_features
            return Layer(name, "linear", shape, (node.out_features,), weights + node.out_features, weights)
        case Norm():
            return Layer(name, "norm", shape, shape, 2 * node.channels)
        case Activate():
            return Layer(name, "activation", shape, shape, node.kind == "prelu")
        case Pool():
            return Layer(
                name, "pool", shape, (channels, *(spatial_size(s, node.kernel_size, node.stride) for s in shape[1:]))
            )
        case AntiAliasedPool():
            out = (channels, *(spatial_size(s, 3, 2) for s in shape[1:]))
            return Layer(name, "blur", shape, out, 0, 9 * math.prod(out))
        case Squeeze():
            return Layer(name, "pool", shape, (channels, 1, 1))
        case ChannelConvolution():
            return Layer(name, "regular", shape, shape, node.kernel_size, node.kernel_size * channels)
        case ChannelScale():
            return Layer(name, "scale", shape, shape, node.channels)
        case GlobalPool():
            return Layer(name, "pool", shape, (channels,))
        case FixedMap():
            if shape[1:] != (node.size, node.size):
                raise ValueError(f"input_size: the head was made for {node.input_size}×{node.input_size} images")
            return Layer(name, "shape", shape, shape)
        case Flatten():
            return Layer(name, "shape", shape, (math.prod(shape),))
        case Dropout():
            return Layer(name, "shape", shape, shape)
    raise TypeError(f"{type(node).__name__} is not a layer")


def _checked(size: int, name: str) -> int:
    if size < 1:
        raise ValueError(f"input_size: the image is too small for this network; {name} would leave nothing of it")
    return size
