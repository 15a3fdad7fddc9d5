"""Copies of a model that share no state with it, so that running them leaves the model unchanged."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["meta_copy", "real_copy"]


def meta_copy(model: nn.Module) -> nn.Module:
    """Return a copy on the meta device: same modules, shapes and hooks, and no memory for values."""
    return _copy(model, lambda tensor: torch.empty_like(tensor, device="meta"))


def real_copy(model: nn.Module, device: torch.device) -> nn.Module:
    """Return a copy on a device, with its own values; values of meta tensors become zero."""

    def convert(tensor: Tensor) -> Tensor:
        return torch.zeros_like(tensor, device=device) if tensor.is_meta else tensor.detach().to(device, copy=True)

    return _copy(model, convert)


def _copy(model: nn.Module, convert: Callable[[Tensor], Tensor]) -> nn.Module:
    """Deep-copy a model with every tensor that its modules hold replaced; a tensor held twice stays shared."""
    memo: dict[int, object] = {}
    for module in model.modules():
        for held in (module._parameters, module._buffers, vars(module)):
            for value in held.values():
                if not isinstance(value, Tensor) or id(value) in memo:
                    continue
                new = convert(value).detach()
                memo[id(value)] = (
                    nn.Parameter(new, requires_grad=value.requires_grad) if isinstance(value, nn.Parameter) else new
                )
    return copy.deepcopy(model, memo)
