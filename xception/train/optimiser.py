"""From a recipe's optimiser to PyTorch's, and the running average of weights."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xception.network.transfer import ParameterGroup, head_prefix, rate_groups
from xception.train import muon
from xception.train.recipe import SGD, AdamW, Muon, Recipe, RMSprop

_NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def build_optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimiser over the model's trainable parameters, weight decay only where the recipe applies it."""
    groups = _groups(model, recipe)
    device = next(model.parameters()).device
    if device.type == "cuda":
        return _on_cuda(groups, recipe, device)
    match recipe.optimizer:
        case SGD() as o:
            return _light(torch.optim.SGD)(
                groups, lr=o.learning_rate, momentum=o.momentum, nesterov=o.nesterov, foreach=True
            )
        case RMSprop() as o:
            return _light(torch.optim.RMSprop)(
                groups, lr=o.learning_rate, momentum=o.momentum, alpha=o.alpha, eps=o.epsilon, foreach=True
            )
        case AdamW() as o:
            return _light(torch.optim.AdamW)(
                groups, lr=o.learning_rate, betas=(o.beta1, o.beta2), eps=o.epsilon, foreach=True
            )
        case Muon():
            return _light(muon.Muon)(groups)


@functools.cache
def _light(kind: Callable[..., torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """Return the same optimiser without its guards against torch.compile, which never traces an optimiser here.

    At their first call they import torch._dynamo, which takes nearly as long as importing torch. A PyTorch version
    without such guards is left as it is.
    """
    unguarded: dict[str, Any] = {
        name: inspect.unwrap(getattr(kind, name)) for name in ("add_param_group", "zero_grad", "step")
    }
    unguarded["step"] = torch.no_grad()(unguarded["step"])
    assert isinstance(kind, type)
    return type(kind.__name__, (kind,), unguarded)


def _on_cuda(groups: list[dict[str, Any]], recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    """Return an optimiser whose step fits into a CUDA graph: rates are tensors, and the host reads nothing back.

    It is fused where PyTorch offers that, since SGD in `foreach` form reads a tensor rate back.
    """
    for group in groups:
        group["lr"] = torch.tensor(group["lr"], device=device)
    match recipe.optimizer:
        case SGD() as o:
            return _light(torch.optim.SGD)(
                groups, lr=o.learning_rate, momentum=o.momentum, nesterov=o.nesterov, fused=True
            )
        case RMSprop() as o:
            settings: dict[str, Any] = {"momentum": o.momentum, "alpha": o.alpha, "eps": o.epsilon}
            return _light(torch.optim.RMSprop)(groups, lr=o.learning_rate, foreach=True, capturable=True, **settings)
        case AdamW() as o:
            settings = {"betas": (o.beta1, o.beta2), "eps": o.epsilon}
            return _light(torch.optim.AdamW)(groups, lr=o.learning_rate, fused=True, capturable=True, **settings)
        case Muon():
            return _light(muon.Muon)(groups)


def _groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters by weight decay and, in a transfer, by rate; frozen ones are included."""
    norms = {id(p) for m in model.modules() if isinstance(m, _NORMS) for p in m.parameters(recurse=False)}
    depthwise = {id(m.weight) for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 1}
    spared_kernels = depthwise if recipe.decay == "dense_weights" else set()
    rate = recipe.optimizer.learning_rate
    parts = [ParameterGroup("network", dict(model.named_parameters()), 1.0)]
    if recipe.transfer is not None:
        parts = rate_groups(model, backbone=recipe.transfer.backbone_rate)
    groups: list[dict[str, Any]] = []
    for part in parts:
        decayed: list[nn.Parameter] = []
        spared: list[nn.Parameter] = []
        for name, parameter in part.parameters.items():
            is_weight = name.rpartition(".")[2] == "weight" and id(parameter) not in norms | spared_kernels
            (decayed if is_weight or recipe.decay == "all" else spared).append(parameter)
        for parameters, decay in ((decayed, recipe.optimizer.weight_decay), (spared, 0.0)):
            if parameters:
                groups.append({"params": parameters, "weight_decay": decay, "lr": rate * part.rate_factor})
    return _with_matrices(groups, model, recipe.optimizer) if isinstance(recipe.optimizer, Muon) else groups


def _with_matrices(groups: list[dict[str, Any]], model: nn.Module, optimizer: Muon) -> list[dict[str, Any]]:
    """The groups, each split into matrices with their shapes, and other parameters with their own rate."""
    head = head_prefix(model)
    shapes: dict[int, tuple[int, int]] = {}
    for name, module in model.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear) or f"{name}.".startswith(head):
            continue
        num = module.groups if isinstance(module, nn.Conv2d) else 1
        if module.weight.shape[1] > 1 or num == 1:  # not a depthwise kernel
            shapes[id(module.weight)] = (len(module.weight) // num, module.weight[0].numel())
    out = []
    for group in groups:
        matrices = [p for p in group["params"] if id(p) in shapes]
        others = [p for p in group["params"] if id(p) not in shapes]
        common = {"momentum": optimizer.momentum, "weight_decay": group["weight_decay"]}
        rate = group["lr"] * optimizer.other_learning_rate / optimizer.learning_rate
        if matrices:
            own = [shapes[id(p)] for p in matrices]
            out.append({"params": matrices, "lr": group["lr"], "shapes": own, **common})
        if others:
            out.append({"params": others, "lr": rate, **common})
    return out


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's tensors, such as momentum, by the number of the parameter and their name."""
    return {
        f"{i}.{name}": value
        for i, (parameter, _) in enumerate(_parameters(optimiser))
        for name, value in optimiser.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Restore what `optimiser_state` returned.

    A tensor of a parameter's shape gets the parameter's memory layout too, as in the interrupted training, because
    another layout may round differently. A step count stays on the CPU, where PyTorch keeps it, unless the optimiser
    counts on the device.
    """
    for path, value in state.items():
        number, _, name = path.partition(".")
        parameter, on_device = _parameters(optimiser)[int(number)]
        if name == "step":
            optimiser.state[parameter][name] = value.to(parameter.device if on_device else "cpu", copy=True)
        elif value.shape == parameter.shape:
            optimiser.state[parameter][name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        else:
            optimiser.state[parameter][name] = value.to(parameter.device, copy=True)


def _parameters(optimiser: torch.optim.Optimizer) -> list[tuple[Tensor, bool]]:
    """Parameters in order, each with whether the optimiser counts its steps on the device."""
    return [
        (parameter, bool(group.get("capturable") or group.get("fused")))
        for group in optimiser.param_groups
        for parameter in group["params"]
    ]


def stack_optimisers(
    network: nn.Module, members: Sequence[tuple[nn.Module, torch.optim.Optimizer]]
) -> torch.optim.Optimizer:
    """Return the optimiser of a stacked network, with the state of its members' optimisers, which are at the same step.

    An optimiser updates each element of a parameter independently, so one optimiser over stacked parameters computes
    exactly what the members' would.
    """
    model, first = members[0]
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    stacked = dict(network.named_parameters())
    groups: list[dict[str, Any]] = []
    for group in first.param_groups:
        settings = {
            name: value.clone() if isinstance(value, Tensor) else value
            for name, value in group.items()
            if name != "params"
        }
        groups.append({"params": [stacked[names[id(parameter)]] for parameter in group["params"]], **settings})
    kind: Any = type(first)
    optimiser: torch.optim.Optimizer = kind(groups)
    states = [optimiser_state(member) for _, member in members]
    restore_optimiser(
        optimiser,
        {
            path: value if path.endswith(".step") else torch.stack([state[path] for state in states])
            for path, value in states[0].items()
        },
    )
    return optimiser


def unstack_optimiser(stacked: torch.optim.Optimizer, number: int, member: torch.optim.Optimizer) -> None:
    """Copy a member's state from the stacked optimiser into its own."""
    state = optimiser_state(stacked)
    restore_optimiser(
        member, {path: value if path.endswith(".step") else value[number] for path, value in state.items()}
    )


class WeightAverage:
    """The running average of a model's parameters and float buffers (Polyak and Juditsky 1992, with exponential
    weights).

    The decay is at most (1 + t) / (10 + t) at update t, so that the random start is soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self._live = [t.detach() for t in model.state_dict(keep_vars=True).values() if t.is_floating_point()]
        self.average = [t.clone() for t in self._live]
        # A tensor on CUDA, so that a recorded step reads it afresh at each replay.
        device = self._live[0].device
        self._weight: float | Tensor = torch.zeros((), device=device) if device.type == "cuda" else 0.0

    def advance(self) -> None:
        """Count an update, and set its weight."""
        self.num_updates += 1
        weight = 1 - min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        if isinstance(self._weight, Tensor):
            self._weight.fill_(weight)
        else:
            self._weight = weight

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the model's present weights, as far as `advance` set."""
        if isinstance(self._weight, Tensor):
            steps = torch._foreach_sub(self._live, self.average)
            torch._foreach_mul_(steps, self._weight)
            torch._foreach_add_(self.average, steps)
        else:
            torch._foreach_lerp_(self.average, self._live, self._weight)

    @torch.no_grad()
    def swap(self) -> None:
        """Swap the model's weights with the average: once before an evaluation, once after it."""
        held: list[Tensor] = [t.clone() for t in self._live]
        torch._foreach_copy_(self._live, self.average)
        torch._foreach_copy_(self.average, held)
