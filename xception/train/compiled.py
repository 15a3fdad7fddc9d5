"""Networks compiled by torch.compile, once per architecture and process: the seeds of a variant share the compiled
code.

The compiled function takes weights and images, so another training of the same architecture only calls it again.
Processes share inductor's own cache on disk, in a folder that `TORCHINDUCTOR_CACHE_DIR` names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from xception.network.config import ModelConfig
from xception.network.model import build

__all__ = ["CompiledNetwork", "compiled_network"]

Function = Callable[[Mapping[str, Tensor], Tensor], Tensor]


class CompiledNetwork(nn.Module):
    """A network in training whose forward pass is compiled; its weights are the network's own."""

    def __init__(self, network: nn.Module, config: ModelConfig) -> None:
        super().__init__()
        self.network = network
        self._function = compiled_network(config)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        return self._function(dict(self.network.named_parameters()) | dict(self.network.named_buffers()), images)


@functools.cache
def compiled_network(config: ModelConfig) -> Function:
    """The compiled function of an architecture in this process."""
    skeleton = build(config).to("meta").train()

    def call(tensors: Mapping[str, Tensor], images: Tensor) -> Tensor:
        return cast(Tensor, torch.func.functional_call(skeleton, dict(tensors), (images,)))

    return cast(Function, torch.compile(call))
