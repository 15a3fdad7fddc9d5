"""What the comparisons with public implementations share: random values that affect the output, and the difference of
two outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def draw(model: nn.Module, seed: int = 0) -> None:
    """Give a network weights and norm statistics far from their initial values, so that each of them affects the
    logits.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        for name, value in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            if not value.is_floating_point():
                continue
            if value.ndim >= 2:
                fan_in = value[0].numel()
                drawn = torch.randn(value.shape, generator=generator) * (2 / fan_in) ** 0.5
            elif name == "running_var" or (name == "weight" and isinstance(module, nn.BatchNorm2d)):
                # small variances make epsilon matter
                drawn = torch.rand(value.shape, generator=generator) * (0.1 if name == "running_var" else 1.0) + 0.05
            else:
                drawn = torch.randn(value.shape, generator=generator) * 0.2
            value.copy_(drawn)


@torch.no_grad()
def settle_norms(model: nn.Module, x: Tensor, seed: int = 2) -> None:
    """Draw batch norms' statistics close to those of images, and leave the model in eval mode and float64."""
    generator = torch.Generator().manual_seed(seed)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.double().train()(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_var.mul_(torch.rand(norm.running_var.shape, generator=generator) + 0.5)
        norm.running_mean.add_(torch.randn(norm.running_mean.shape, generator=generator) * 0.2)
    model.eval()


@torch.no_grad()
def settle(model: nn.Module, x: Tensor, seed: int = 2) -> None:
    """Draw norm statistics close to those of images, and scale the classifier, so that logits are of order 1 and depend
    on the input.
    """
    settle_norms(model, x, seed)
    logits = model(x)
    classifier = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    classifier.weight.div_(logits.abs().max())
    classifier.bias.mul_(0.01)


def images(size: int, seed: int = 1) -> Tensor:
    """Two images of smooth blobs and noise, (2, 3, size, size), in float64."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(2, 3, 5, 5, generator=generator, dtype=torch.float64)
    fine = torch.randn(2, 3, size, size, generator=generator, dtype=torch.float64)
    return nn.functional.interpolate(coarse, (size, size), mode="bilinear") + 0.3 * fine


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference over the largest value."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def spread(logits: Tensor) -> float:
    """The difference of the logits of two images, over the largest: 0 if a network ignores its input."""
    return float((logits[0] - logits[1]).abs().max() / logits.abs().max())
