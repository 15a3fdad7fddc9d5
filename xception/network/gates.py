"""Attention over channels: each kind is one function from its config and the channels to the graph of a gate.

Squeeze-and-excitation follows Hu et al. 2018 (arXiv:1709.01507), efficient channel attention Wang et al. 2020
(arXiv:1910.03151).
"""

from __future__ import annotations

import math

from xception.network.config_parts import AttentionConfig
from xception.network.nodes import Activate, ChannelConvolution, Convolution, Gate, Sequence, Squeeze

__all__ = ["gate"]


def gate(attention: AttentionConfig, channels: int) -> Gate:
    """Return what multiplies each of the channels by a factor between 0 and 1."""
    return {"se": _squeeze_and_excitation, "eca": _efficient}[attention.kind](attention, channels)


def _squeeze_and_excitation(attention: AttentionConfig, channels: int) -> Gate:
    hidden = max(1, channels // attention.reduction)
    return Gate(
        Sequence(
            (
                ("squeeze", Squeeze()),
                ("reduce", Convolution(channels, hidden, 1, bias=True, padding="valid")),
                ("activation", Activate("relu")),
                ("expand", Convolution(hidden, channels, 1, bias=True, padding="valid")),
                ("sigmoid", Activate("sigmoid")),
            )
        )
    )


def _efficient(attention: AttentionConfig, channels: int) -> Gate:
    """The kernel is (log2 C + 1) / 2 rounded down, and one more where that is even."""
    size = int(abs(math.log2(channels) + 1) / 2)
    kernel_size = size if size % 2 else size + 1
    return Gate(
        Sequence(
            (
                ("squeeze", Squeeze()),
                ("convolution", ChannelConvolution(kernel_size)),
                ("sigmoid", Activate("sigmoid")),
            )
        )
    )
