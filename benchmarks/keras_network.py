"""One of our networks written as Keras layers, so that Keras trains the same architecture.

Padding of strided layers is Keras's `same`, which shifts a window by a pixel and costs the same.
"""

from __future__ import annotations

from typing import Any

from xception.network import nodes
from xception.network.config import XceptionConfig
from xception.network.graph import network

__all__ = ["keras_network"]


def keras_network(config: XceptionConfig, inputs: Any) -> Any:
    """Return the logits of a network of separable convolutions as Keras's functional API has them, from images (N, H,
    W, C).

    Raises:
        ValueError: the network has a layer that is not written here.
    """
    return _apply(network(config), inputs)


def _apply(node: nodes.Node, x: Any) -> Any:
    from keras import layers

    match node:
        case nodes.Sequence():
            for _, child in node.children:
                x = _apply(child, x)
            return x
        case nodes.Residual(drop_path=0, norm=None):
            shortcut = x if node.shortcut is None else _apply(node.shortcut, x)
            return layers.Add()([_apply(node.branch, x), shortcut])
        case nodes.Convolution(groups=1):
            return layers.Conv2D(node.out_channels, node.kernel_size, node.stride, padding="same", use_bias=node.bias)(
                x
            )
        case nodes.Convolution() if node.groups == node.in_channels == node.out_channels:
            return layers.DepthwiseConv2D(node.kernel_size, node.stride, padding="same", use_bias=node.bias)(x)
        case nodes.Norm(kind="batch"):
            return layers.BatchNormalization(momentum=1 - node.momentum, epsilon=node.epsilon)(x)
        case nodes.Activate(kind="relu"):
            return layers.Activation("relu")(x)
        case nodes.Pool(kind="max"):
            return layers.MaxPooling2D(3, node.stride, padding="same")(x)
        case nodes.GlobalPool(kind="average"):
            return layers.GlobalAveragePooling2D()(x)
        case nodes.Linear():
            return layers.Dense(node.out_features)(x)
    raise ValueError(
        f"network: {type(node).__name__} is not allowed; layers of a network of separable convolutions with batch norm"
    )
