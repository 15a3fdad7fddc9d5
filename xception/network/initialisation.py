"""Initial values of every parameter, each drawn by a generator of its own.

A parameter's generator is seeded by a hash of (seed, stream, parameter name), so a parameter of the same name and shape
starts equal in two networks, whatever else differs. Schemes: He et al. 2015 (arXiv:1502.01852), Glorot and Bengio 2010,
Saxe et al. 2014 (arXiv:1312.6120, orthogonal).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from xception.network.config_parts import Initialisation

__all__ = ["global_seed", "initialise"]


@torch.no_grad()
def initialise(model: nn.Module, scheme: Initialisation | Literal["own"], seed: int, stream: int = 0) -> None:
    """Set every parameter to its initial value and reset the running statistics of norms; torch's global generator is
    not touched.

    Weights of two and more dimensions follow the scheme; norm scales become 1 (0 where a branch starts at 0), the
    factors of a layer with an `initial_value` that value, all other vectors 0. The scheme `own` is that of the
    network's library. Values are drawn on the CPU in float32 and then moved, so every device gets the same.
    """
    if scheme == "own":
        draw: Callable[[int], dict[str, Tensor]] = model.own_initial_values  # type: ignore[assignment]
        if all(parameter.device.type != "meta" for parameter in model.parameters()):
            model.load_state_dict(draw(_seed(seed, stream, "own")))
        return
    for prefix, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            module.reset_running_stats()
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.device.type == "meta":
                continue
            if parameter.ndim >= 2:
                parameter.copy_(_drawn(parameter.shape, scheme, _generator(seed, stream, f"{prefix}.{name}")))
            else:
                is_scale = name == "weight" and not getattr(module, "zero_init", False)
                parameter.fill_(getattr(module, "initial_value", 1.0 if is_scale else 0.0))


def global_seed() -> int:
    """A seed drawn from torch's global generator, for networks made outside of a trial."""
    return int(torch.randint(2**62, (), device="cpu"))


def _generator(seed: int, stream: int, name: str) -> torch.Generator:
    """A generator that depends on nothing but its arguments."""
    return torch.Generator("cpu").manual_seed(_seed(seed, stream, name))


def _seed(seed: int, stream: int, name: str) -> int:
    digest = hashlib.sha256(f"{seed}\n{stream}\n{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _drawn(shape: torch.Size, scheme: Initialisation, generator: torch.Generator) -> Tensor:
    """Weights (out, in / groups, ...) drawn by a scheme; fans count what one output or input is connected to."""
    area = math.prod(shape[2:])
    fan_in, fan_out = shape[1] * area, shape[0] * area
    weights = torch.empty(shape, dtype=torch.float32, device="cpu")
    match scheme:
        case "he_normal":
            return weights.normal_(0, math.sqrt(2 / fan_in), generator=generator)
        case "he_normal_fan_out":
            return weights.normal_(0, math.sqrt(2 / fan_out), generator=generator)
        case "he_uniform":
            bound = math.sqrt(6 / fan_in)
            return weights.uniform_(-bound, bound, generator=generator)
        case "glorot_uniform":
            bound = math.sqrt(6 / (fan_in + fan_out))
            return weights.uniform_(-bound, bound, generator=generator)
        case "glorot_normal":
            return weights.normal_(0, math.sqrt(2 / (fan_in + fan_out)), generator=generator)
        case "truncated_normal":
            return nn.init.trunc_normal_(weights, 0, 0.02, -0.04, 0.04, generator=generator)
        case "orthogonal":
            return nn.init.orthogonal_(weights, math.sqrt(2), generator=generator)
