"""One step of training: forward, loss, gradient, update; of one network, or of several that are stacked into one.

Values that the host changes from step to step, such as the learning rate, are set beforehand. All else runs on the
device alone, so that `xception.train.cuda_graph` can record it once and replay it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xception.train.optimiser import WeightAverage
from xception.train.recipe import Recipe

__all__ = ["Step", "at_least_float32", "build_step"]


class Step:
    """The step of a recipe on an optimiser's parameters.

    With `num_members` the network is a stack (`xception.network.stacked`): logits are (N, members × classes), targets
    (members, N) or (members, N, classes), and each member has a loss and a gradient norm of its own.
    """

    def __init__(
        self,
        optimiser: torch.optim.Optimizer,
        recipe: Recipe,
        average: WeightAverage | None,
        device: torch.device,
        *,
        num_members: int | None = None,
    ) -> None:
        self.optimiser, self.recipe, self.average, self.device, self.num_members = (
            optimiser,
            recipe,
            average,
            device,
            num_members,
        )
        self.peak_rates = [float(group["lr"]) for group in optimiser.param_groups]
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16")
        self.precision = None if recipe.precision == "float32" else getattr(torch, recipe.precision)

    @property
    def how(self) -> dict[str, Any]:
        """What a record stores about how a step was computed; empty for an eager one."""
        return {}

    def begin_epoch(self, network: nn.Module) -> None:
        """Begin an epoch, in which other parts of the network may train."""

    def prepare(self, factor: float) -> None:
        """Set what the host decides for the next step: every learning rate, as a multiple of its peak, and the decay of
        the average.
        """
        for group, peak in zip(self.optimiser.param_groups, self.peak_rates, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(peak * factor)
            else:
                group["lr"] = peak * factor
        if self.average is not None:
            self.average.advance()

    def __call__(self, network: nn.Module, images: Tensor, target: Tensor) -> Tensor:
        """Update the weights by one batch (N, C, H, W); return the loss before, a scalar or (members,), without waiting
        for it.
        """
        with self.autocast():
            logits = network(images)
        losses = self._losses(at_least_float32(logits), target)
        self.scaler.scale(losses.sum() if losses.ndim else losses).backward()
        if self.recipe.gradient_clip is not None:
            self.scaler.unscale_(self.optimiser)
            self._clip(network, self.recipe.gradient_clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update()
        return losses.detach()

    def autocast(self) -> torch.autocast:
        """The context that convolutions and products of the recipe's precision run in."""
        # Each weight is cast once per step, so a cache of casts would only prevent recording.
        return torch.autocast(
            self.device.type, dtype=self.precision, enabled=self.precision is not None, cache_enabled=False
        )

    def _losses(self, logits: Tensor, target: Tensor) -> Tensor:
        smoothing = self.recipe.label_smoothing
        if self.num_members is None:
            return F.cross_entropy(logits, target, label_smoothing=smoothing)
        each = logits.view(len(logits), self.num_members, -1).transpose(0, 1).flatten(0, 1)  # (members × N, classes)
        losses = F.cross_entropy(each, target.flatten(0, 1), label_smoothing=smoothing, reduction="none")
        return losses.view(self.num_members, -1).mean(1)

    def _clip(self, network: nn.Module, limit: float) -> None:
        if self.num_members is None:
            nn.utils.clip_grad_norm_(network.parameters(), limit)
            return
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        norms = torch.stack([torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients])
        factors = (limit / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp(
            max=1.0
        )  # as in torch's clip_grad_norm_
        for gradient in gradients:
            gradient.mul_(factors.view(-1, *[1] * (gradient.ndim - 1)))


def at_least_float32(logits: Tensor) -> Tensor:
    """Return logits of a lower precision as float32, others unchanged: losses are computed in at least float32."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def build_step(
    optimiser: torch.optim.Optimizer,
    recipe: Recipe,
    average: WeightAverage | None,
    device: torch.device,
    *,
    cuda_graph: bool,
    num_members: int | None = None,
    generators: Sequence[torch.Generator] = (),
) -> Step:
    """Return the step of a recipe. It is recorded if that is enabled and possible: on CUDA, and not in float16.

    In float16 the host reads after each step whether the gradient overflowed. `generators` are those that the network
    draws from, besides the device's own.
    """
    if not cuda_graph or device.type != "cuda" or recipe.precision == "float16":
        return Step(optimiser, recipe, average, device, num_members=num_members)
    from xception.train.cuda_graph import RecordedStep, record_on_cuda

    record = partial(record_on_cuda, generators)
    return RecordedStep(optimiser, recipe, average, device, num_members=num_members, record=record)
