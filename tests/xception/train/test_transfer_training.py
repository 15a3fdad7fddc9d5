"""Training that begins with another network: which of its weights move, at which rate, from which epoch, and what is
refused.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from tests.xception.train.tiny_training import Training, tiny_recipe
from xception.network.weights import save as save_weights
from xception.train.loop import FitResult
from xception.train.recipe import Recipe, Transfer

pytestmark = pytest.mark.numeric

Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def source(uninterrupted: FitResult, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Weights]:
    """A trained network: its file, its name in a recipe, its tensors."""
    path = tmp_path_factory.mktemp("weights") / "source.safetensors"
    save_weights(uninterrupted.model, path)
    return path, f"file:{hashlib.sha256(path.read_bytes()).hexdigest()}", dict(uninterrupted.model.state_dict())


def begun(name: str, **fields: object) -> Recipe:
    return tiny_recipe(transfer=Transfer(source=name, **fields), ema_decay=0.0)  # type: ignore[arg-type]


def moved(result: FitResult, before: Weights) -> set[str]:
    """The names of the tensors that training changed."""
    after = result.model.state_dict()
    return {
        name
        for name in before
        if not name.endswith("num_batches_tracked") and not torch.equal(before[name], after[name])
    }


def test_a_linear_probe_moves_the_head_alone(tiny_training: Training, source: tuple[Path, str, Weights]) -> None:
    path, name, before = source
    changed = moved(tiny_training(recipe=begun(name, freeze="backbone"), weights=path, seed=1), before)
    assert changed
    assert all(tensor.startswith("head.") for tensor in changed)


def test_fine_tuning_moves_everything(tiny_training: Training, source: tuple[Path, str, Weights]) -> None:
    path, name, before = source
    result = tiny_training(recipe=begun(name), weights=path, seed=1)
    assert moved(result, before) == {tensor for tensor in before if not tensor.endswith("num_batches_tracked")}
    assert result.params == sum(p.numel() for p in result.model.parameters())


def test_frozen_norms_stay_with_their_statistics(tiny_training: Training, source: tuple[Path, str, Weights]) -> None:
    path, name, before = source
    changed = moved(tiny_training(recipe=begun(name, freeze="norms"), weights=path, seed=1), before)
    assert any("convolution" in tensor for tensor in changed)
    assert not any("norm" in tensor for tensor in changed)


def test_the_backbone_thaws_from_its_epoch_on(tiny_training: Training, source: tuple[Path, str, Weights]) -> None:
    path, name, before = source
    epochs: list[int] = []
    recipe = begun(name, freeze="backbone", thaw_epoch=1)
    thawed = tiny_training(recipe=recipe, weights=path, seed=1, on_epoch=lambda row: epochs.append(row["epoch"]))
    probe = tiny_training(recipe=begun(name, freeze="backbone"), weights=path, seed=1)
    assert epochs == [1, 2]
    assert thawed.curves[0] == probe.curves[0]
    assert thawed.curves[1] != probe.curves[1]
    assert any(not tensor.startswith("head.") for tensor in moved(thawed, before))


def test_the_backbone_moves_less_at_a_lower_rate(tiny_training: Training, source: tuple[Path, str, Weights]) -> None:
    path, name, before = source

    def distance(rate: float) -> float:
        after = tiny_training(recipe=begun(name, backbone_rate=rate), weights=path, seed=1).model.state_dict()
        return sum(float((after[n] - before[n]).norm()) for n in before if n.endswith("convolution.weight"))

    assert distance(0.01) < 0.2 * distance(1.0)


def test_a_trained_beginning_is_not_a_random_one(tiny_training: Training, source: tuple[Path, str, Weights]) -> None:
    path, name, _ = source
    scratch = tiny_training(recipe=tiny_recipe(ema_decay=0.0), seed=1)
    assert tiny_training(recipe=begun(name), weights=path, seed=1).curves != scratch.curves


def test_another_head_takes_the_same_backbone(tiny_training: Training, source: tuple[Path, str, Weights]) -> None:
    from tests.xception.train.tiny_training import tiny_model

    path, name, before = source
    model = tiny_model().replace_at("head.hidden", (8,))
    result = tiny_training(model=model, recipe=begun(name, freeze="backbone"), weights=path, seed=1)
    after = result.model.state_dict()
    assert torch.equal(after["stem.0.convolution.weight"], before["stem.0.convolution.weight"])


@pytest.mark.parametrize("case", ["no file", "no transfer", "another file", "another network"])
def test_what_does_not_belong_together_is_refused(
    case: str, tiny_training: Training, source: tuple[Path, str, Weights]
) -> None:
    from tests.xception.train.tiny_training import tiny_model

    path, name, _ = source
    if case == "no file":
        with pytest.raises(ValueError, match="it goes with a file of weights"):
            tiny_training(recipe=begun(name))
    elif case == "no transfer":
        with pytest.raises(ValueError, match="it goes with a file of weights"):
            tiny_training(weights=path)
    elif case == "another file":
        with pytest.raises(ValueError, match="is not the content of"):
            tiny_training(recipe=begun("file:" + "0" * 64), weights=path)
    else:
        with pytest.raises(ValueError, match=r"^weights: "):
            tiny_training(recipe=begun(name), weights=path, model=tiny_model().replace_at("middle.modules", 2))
