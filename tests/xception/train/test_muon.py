"""Muon: orthogonal updates, PyTorch's own steps to its rounding, and which parameters are matrices."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tests.xception.train.tiny_training import tiny_model, tiny_recipe
from xception.network.model import build
from xception.network.transfer import head_prefix
from xception.train.muon import orthogonalise
from xception.train.optimiser import build_optimiser
from xception.train.recipe import Muon

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (8, 40), (40, 8), (1, 9)])
def test_singular_values_come_near_one(rows: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn(3, rows, columns, generator=generator) * torch.tensor([1e-3, 1.0, 1e3]).view(3, 1, 1)
    found = orthogonalise(matrices)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.5
    assert values.max() < 1.3
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    inner = torch.linalg.diagonal(left.mT @ found @ right.mT)  # in the singular directions, which do not change
    torch.testing.assert_close(inner.sort(dim=1).values, values.sort(dim=1).values)
    torch.testing.assert_close(orthogonalise(matrices[1:2]), found[1:2])


def parted(model: nn.Module, optimizer: Muon) -> tuple[dict[str, float], dict[str, float]]:
    """Rates of the parameters that are matrices, and of the others."""
    names = {id(p): name for name, p in model.named_parameters()}
    groups = build_optimiser(model, tiny_recipe(optimizer=optimizer)).param_groups
    matrices = {names[id(p)]: g["lr"] for g in groups if g["shapes"] is not None for p in g["params"]}
    return matrices, {names[id(p)]: g["lr"] for g in groups if g["shapes"] is None for p in g["params"]}


def test_matrices_are_weights_that_are_neither_depthwise_nor_of_the_head() -> None:
    model = build(tiny_model())
    matrices, others = parted(model, Muon(learning_rate=0.05, other_learning_rate=0.3, weight_decay=1e-3))
    parameters = dict(model.named_parameters())
    assert matrices.keys() | others.keys() == parameters.keys()
    assert set(matrices.values()) == {0.05}
    assert {round(rate, 9) for rate in others.values()} == {0.3}
    expected = {
        name
        for name, p in parameters.items()
        if p.ndim >= 2 and not name.endswith("depthwise.weight") and not name.startswith(head_prefix(model))
    }
    assert matrices.keys() == expected
    assert expected


def test_a_grouped_convolution_is_a_matrix_for_each_group() -> None:
    network = nn.Sequential(nn.Conv2d(8, 12, 3, groups=4, bias=False), nn.Flatten(), nn.Linear(12, 10))
    optimiser = build_optimiser(network, tiny_recipe(optimizer=Muon(learning_rate=1.0, momentum=0.0)))
    weight = next(network.parameters())
    before = weight.detach().clone()
    nn.functional.cross_entropy(network(torch.rand(4, 8, 3, 3)), torch.arange(4)).backward()
    optimiser.step()
    for step in (before - weight.detach()).view(4, 3, 18):
        assert 0.5 < torch.linalg.svdvals(step).min() <= torch.linalg.svdvals(step).max() < 1.3


def test_steps_are_those_of_pytorch() -> None:
    """Matrices as torch's Muon, which rounds to bfloat16 on the way; the others as its SGD."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(24, 16, bias=False), nn.ReLU(), nn.Linear(16, 32, bias=False), nn.Linear(32, 10))
    optimizer = Muon(learning_rate=0.05, momentum=0.9, weight_decay=0.01, other_learning_rate=0.1)
    ours = build_optimiser(network, tiny_recipe(optimizer=optimizer))
    started = [p.detach().clone() for p in network.parameters()]
    other = [nn.Parameter(p.clone()) for p in started]
    head: list[dict[str, Any]] = [{"params": other[2:3], "weight_decay": 0.01}, {"params": other[3:]}]
    theirs = (
        torch.optim.Muon(other[:2], lr=0.05, momentum=0.9, weight_decay=0.01),
        torch.optim.SGD(head, lr=0.1, momentum=0.9, nesterov=True),
    )
    for _ in range(3):
        for mine, their in zip(network.parameters(), other, strict=True):
            mine.grad = torch.randn_like(mine)
            their.grad = mine.grad.clone()
        for optimiser in (ours, *theirs):
            optimiser.step()
    for mine, their, start in zip(network.parameters(), other, started, strict=True):
        assert (mine - their).norm() <= 0.03 * (their - start).norm()
    torch.testing.assert_close(list(network.parameters())[2:], other[2:])
