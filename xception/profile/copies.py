"""Copies of a model that share no state with it, so that whatever is run on them leaves the model as it was."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["cpu_copy", "meta_copy"]


def meta_copy(model: nn.Module) -> nn.Module:
    """Return a copy on the meta device: same modules, shapes and hooks, and no memory for values."""
    return _copy(model, lambda tensor: torch.empty_like(tensor, device="meta"))


def cpu_copy(model: nn.Module) -> nn.Module:
    """Return a copy on the CPU that shares the values of parameters and owns its buffers; values of meta tensors become zero."""
    parameters = {id(p) for p in model.parameters()}

    def to_cpu(tensor: Tensor) -> Tensor:
        if tensor.is_meta:
            return torch.zeros_like(tensor, device="cpu")
        there = tensor.detach().cpu()
        return there if id(tensor) in parameters else there.clone()

    return _copy(model, to_cpu)


def _copy(model: nn.Module, convert: Callable[[Tensor], Tensor]) -> nn.Module:
    """Deep-copy a model with every tensor that its modules hold replaced; a tensor held twice stays shared."""
    memo: dict[int, object] = {}
    for module in model.modules():
        for held in (module._parameters, module._buffers, vars(module)):
            for value in held.values():
                if not isinstance(value, Tensor) or id(value) in memo:
                    continue
                new = convert(value).detach()
                memo[id(value)] = nn.Parameter(new, requires_grad=value.requires_grad) if isinstance(value, nn.Parameter) else new
    return copy.deepcopy(model, memo)
