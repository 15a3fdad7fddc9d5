"""Head and backbone of a network, and when each is trained.

A linear probe trains only the head; fine-tuning trains everything, optionally with frozen norms, or with the backbone
at a lower rate or from a later epoch on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from xception.network.model import Xception

__all__ = ["Freeze", "ParameterGroup", "freeze", "head_prefix", "partition", "rate_groups"]

Freeze = Literal["none", "backbone", "norms"]


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters by name that train at a common factor of the learning rate."""

    name: str
    parameters: dict[str, nn.Parameter]
    rate_factor: float


def head_prefix(model: nn.Module) -> str:
    """The beginning of the head's parameter names: all of our head, the last linear layer of any other network.

    Raises:
        ValueError: the network has no linear layer.
    """
    if isinstance(model, Xception):
        return "head."
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ValueError(f"model: {type(model).__name__} is not allowed; a network that ends in a linear layer")
    return f"{linear[-1]}."


def partition(model: nn.Module) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """Return the parameters of backbone and head by name."""
    prefix = head_prefix(model)
    named = dict(model.named_parameters())
    backbone = {name: value for name, value in named.items() if not name.startswith(prefix)}
    return backbone, {name: value for name, value in named.items() if name.startswith(prefix)}


def freeze(model: nn.Module, what: Freeze, *, epoch: int = 0, thaw_epoch: int | None = None) -> None:
    """Freeze a part of the network for an epoch, counted from 0, and unfreeze the rest; call after each
    `model.train()`.

    With `backbone` only the head trains; the whole backbone is in eval mode, so its norms keep their running statistics
    and its dropout is off. `norms` freezes scales, shifts and running statistics of all norms. From `thaw_epoch` on
    nothing is frozen.
    """
    active: Freeze = "none" if thaw_epoch is not None and epoch >= thaw_epoch else what
    prefix = head_prefix(model)
    for name, module in model.named_modules():
        inside_head = f"{name}.".startswith(prefix)
        is_norm = isinstance(module, nn.modules.batchnorm._NormBase | nn.GroupNorm | nn.LayerNorm)
        frozen = (active == "backbone" and not inside_head) or (active == "norms" and is_norm)
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(not frozen)
        if frozen and (not any(module.children()) or is_norm):
            module.eval()


def rate_groups(model: nn.Module, *, backbone: float = 1.0, head: float = 1.0) -> list[ParameterGroup]:
    """Return backbone and head with the factors of the learning rate that they train at, each factor above 0.

    Raises:
        ValueError: a factor is not above 0; freeze a part instead.
    """
    for name, factor in (("backbone", backbone), ("head", head)):
        if not factor > 0:
            raise ValueError(f"{name}: {factor!r} is not allowed; a factor above 0 (freeze what is not to train)")
    in_backbone, in_head = partition(model)
    return [ParameterGroup("backbone", in_backbone, backbone), ParameterGroup("head", in_head, head)]
