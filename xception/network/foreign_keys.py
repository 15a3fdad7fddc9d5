"""Weight files in the wild: rules that convert names and shapes to a known layout, each reported when applied.

A rule applies only where its own mark is found, so that nothing is guessed: the nesting of training scripts, the prefix
of `torch.nn.DataParallel`, the classifier of Cadene's port (`pretrained-models.pytorch`), the 2-D pointwise kernels of
the oldest files, half precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["NESTS", "adapted_input", "recognised", "unnested", "with_positions"]

NESTS = ("state_dict", "model", "ema", "model_ema", "state_dict_ema")
_HALF = (torch.float16, torch.bfloat16)


def unnested(held: Any, nested: str | None) -> tuple[Any, list[str]]:
    """Return the tensors nested in a training script's file, and the rules used.

    Raises:
        ValueError: several nests hold weights and `nested` does not choose one, or there is no such nest.
    """
    rules: list[str] = []
    while isinstance(held, dict):
        found = [name for name in NESTS if isinstance(held.get(name), dict)]
        if nested is not None and nested in found:
            found, nested = [nested], None
        if not found:
            break
        if len(found) > 1:
            raise ValueError(f"weights: the file holds {' and '.join(found)}; say which with nested=NAME")
        held = held[found[0]]
        rules.append(f"weights under {found[0]!r}")
    if nested is not None:
        raise ValueError(f"nested: {nested!r} is not allowed; the file holds no such nest")
    return held, rules


def recognised(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the weights with names and precision of a known layout, and the rules used."""
    out, rules = dict(weights), []
    if out and all(name.startswith("module.") for name in out):
        out = {name.removeprefix("module."): value for name, value in out.items()}
        rules.append("prefix 'module.' of DataParallel removed")
    linear = [name for name in out if name.startswith("last_linear.")]
    if linear and not any(name.startswith("fc.") for name in out):
        out = {
            f"fc.{name.removeprefix('last_linear.')}" if name in linear else name: value for name, value in out.items()
        }
        rules.append("'last_linear' of Cadene's port read as 'fc'")
    halves = sorted({str(value.dtype).removeprefix("torch.") for value in out.values() if value.dtype in _HALF})
    if halves:
        out = {name: value.float() if value.dtype in _HALF else value for name, value in out.items()}
        rules.append(f"{' and '.join(halves)} made float32")
    return out, rules


def with_positions(tensor: Tensor, like: Tensor) -> Tensor | None:
    """A 2-D pointwise kernel (C', C) as (C', C, 1, 1), which the network has; None where it is none."""
    is_pointwise = like.ndim == 4 and like.shape[2:] == (1, 1)
    return tensor[:, :, None, None] if is_pointwise and tensor.shape == like.shape[:2] else None


def adapted_input(tensor: Tensor, like: Tensor) -> Tensor | None:
    """A first convolution's kernel for another number of input channels; None where it differs otherwise.

    One channel gets the sum over all, so that a grey image gives the same as its copy in every channel; more get the
    channels in turn, scaled so that the sum stays.
    """
    if tensor.ndim != 4 or tensor.shape[0] != like.shape[0] or tensor.shape[2:] != like.shape[2:]:
        return None
    before, wanted = tensor.shape[1], like.shape[1]
    if wanted == 1:
        return tensor.sum(1, keepdim=True)
    return tensor[:, [i % before for i in range(wanted)]] * (before / wanted)
