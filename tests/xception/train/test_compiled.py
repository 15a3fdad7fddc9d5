"""A network is compiled once per architecture and process, and trains as without compilation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.xception.train.tiny_training import Training, tiny_model, tiny_recipe
from xception.train import compiled
from xception.train.execution import Execution
from xception.train.recipe import SGD
from xception.train.seed_batch import Member, fit_members

pytestmark = pytest.mark.numeric


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[torch.fx.GraphModule]:
    """The compiled graphs, from a compiler that does not change them."""
    found: list[torch.fx.GraphModule] = []

    def keep(graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        found.append(graph)
        return graph.forward

    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: compile(function, backend=keep))
    compiled.compiled_network.cache_clear()
    torch.compiler.reset()
    return found


def test_seeds_of_an_architecture_share_what_was_compiled(
    training_in_float64: Training, graphs: list[torch.fx.GraphModule]
) -> None:
    recipe = tiny_recipe(epochs=1, batch_size=8, optimizer=SGD(learning_rate=0.05))
    for seed in (0, 1):
        result = training_in_float64(recipe=recipe, seed=seed, execution=Execution(compile=True))
        plain = training_in_float64(recipe=recipe, seed=seed)
        assert result.how == {"compiled": True}
        assert result.curves[0]["train_loss"] == pytest.approx(plain.curves[0]["train_loss"], rel=1e-9)
        assert result.curves[0]["val_loss"] == pytest.approx(plain.curves[0]["val_loss"], rel=1e-9)
        assert len(graphs) == 1
    training_in_float64(recipe=recipe, model=tiny_model(activation="silu"), execution=Execution(compile=True))
    assert len(graphs) == 2


def test_a_seed_batch_is_not_compiled(tiny_training: Training) -> None:
    given = {name: value for name, value in tiny_training.keywords.items() if name != "seed"}  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"Execution\.compile: True is not allowed for several members"):
        fit_members(**given, members=[Member(seed=0)], execution=Execution(compile=True))
