"""Muon: momentum whose update of a weight matrix is orthogonalised (Jordan et al. 2024, *Muon: An optimizer for hidden
layers in neural networks*, https://kellerjordan.github.io/posts/muon).

Every direction of a matrix moves as far as any other, whatever the gradient's singular values. All other parameters
take plain steps of SGD with Nesterov momentum.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Muon", "orthogonalise"]

# Of x → ax + bx³ + cx⁵, chosen by Jordan et al. so that five rounds bring every singular value of 0.01 to 1 near 1.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5
_EPSILON = 1e-7

Shape = tuple[int, int]


class Muon(torch.optim.Optimizer):
    """SGD with Nesterov momentum, orthogonalised where a group has `shapes`.

    `shapes` gives for each parameter of its group the (rows, columns) of the matrices that it consists of; a
    convolution with g groups has g of them, and a stack of networks those of every member. A matrix with more rows than
    columns takes steps that are longer by the root of their ratio. There, weight decay is decoupled from the gradient.
    """

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.0, "shapes": None})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            shapes = group["shapes"] or [None] * len(group["params"])
            moving = [(p, shape) for p, shape in zip(group["params"], shapes, strict=True) if p.grad is not None]
            if not moving:
                continue
            parameters = [p for p, _ in moving]
            gradients: list[Tensor] = [p.grad for p in parameters]
            rate, decay = group["lr"], group["weight_decay"]
            if decay and group["shapes"] is None:
                gradients = list(torch._foreach_add(gradients, parameters, alpha=decay))
            updates = self._with_momentum(parameters, gradients, group["momentum"])
            if group["shapes"] is not None:
                updates = _orthogonalised(updates, [shape for _, shape in moving])
                if decay:
                    torch._foreach_add_(updates, parameters, alpha=decay)
            torch._foreach_mul_(updates, rate)
            torch._foreach_sub_(parameters, updates)

    def _with_momentum(self, parameters: list[Tensor], gradients: list[Tensor], momentum: float) -> list[Tensor]:
        """Gradients plus the updated momentum (Nesterov), as new tensors."""
        for parameter in parameters:
            if "momentum_buffer" not in self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        buffers = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
        torch._foreach_mul_(buffers, momentum)
        torch._foreach_add_(buffers, gradients)
        return list(torch._foreach_add(gradients, buffers, alpha=momentum))


def _orthogonalised(updates: list[Tensor], shapes: list[Shape]) -> list[Tensor]:
    """Updates of the same shapes with orthogonalised matrices; those of one size are computed together."""
    out = list(updates)
    for rows, columns in dict.fromkeys(shapes):
        places = [i for i, shape in enumerate(shapes) if shape == (rows, columns)]
        matrices = [updates[i].reshape(-1, rows, columns) for i in places]
        together = orthogonalise(torch.cat(matrices)).mul_(max(1.0, rows / columns) ** 0.5)
        parts = together.split([len(m) for m in matrices])
        for i, part in zip(places, parts, strict=True):
            out[i] = torch.empty_like(updates[i]).copy_(part.reshape(updates[i].shape))
    return out


def orthogonalise(matrices: Tensor) -> Tensor:
    """Return approximately the nearest matrices with orthonormal rows or columns, (N, rows, columns): all singular
    values end up between 0.7 and 1.2.
    """
    a, b, c = _COEFFICIENTS
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if is_tall else matrices
    x = x / (torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True) + _EPSILON)
    for _ in range(_ROUNDS):
        products = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(products, products, products, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x
