"""From a recipe's optimiser to PyTorch's, and the running average of weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xception.train.recipe import SGD, AdamW, Recipe, RMSprop

_NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def build_optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimiser over the model's trainable parameters, weight decay only where the recipe has it."""
    groups = _groups(model, recipe)
    match recipe.optimizer:
        case SGD() as o:
            return torch.optim.SGD(groups, lr=o.learning_rate, momentum=o.momentum, nesterov=o.nesterov, foreach=True)
        case RMSprop() as o:
            return torch.optim.RMSprop(groups, lr=o.learning_rate, momentum=o.momentum, alpha=o.alpha, eps=o.epsilon, foreach=True)
        case AdamW() as o:
            return torch.optim.AdamW(groups, lr=o.learning_rate, betas=(o.beta1, o.beta2), eps=o.epsilon, foreach=True)


def _groups(model: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    decayed, spared = [], []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                is_weight = name == "weight" and not isinstance(module, _NORMS)
                (decayed if is_weight or recipe.decay == "all" else spared).append(parameter)
    groups = ((decayed, recipe.optimizer.weight_decay), (spared, 0.0))
    return [{"params": parameters, "weight_decay": decay} for parameters, decay in groups if parameters]


class WeightAverage:
    """The running average of a model's parameters and float buffers (Polyak and Juditsky 1992, with exponential weights).

    Early on the decay is held below (1 + t) / (10 + t), so that the random start is soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self._live = [t.detach() for t in model.state_dict(keep_vars=True).values() if t.is_floating_point()]
        self.average = [t.clone() for t in self._live]

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the model's present weights."""
        self.num_updates += 1
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        torch._foreach_lerp_(self.average, self._live, 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the model's weights with the average: once to evaluate, once more to go on."""
        held: list[Tensor] = [t.clone() for t in self._live]
        torch._foreach_copy_(self._live, self.average)
        torch._foreach_copy_(self.average, held)
