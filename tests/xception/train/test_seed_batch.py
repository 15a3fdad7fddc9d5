"""Each member of a seed batch trains as it would alone: the same losses, accuracies and checkpoints, whatever the
others do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.xception.train.tiny_training import Training, tiny_model, tiny_recipe
from xception.data.config import AugmentConfig
from xception.train.checkpoint import CheckpointFolder, TrainingStopped
from xception.train.execution import PLAIN, QUICK, Execution
from xception.train.loop import FitResult, fit
from xception.train.recipe import SGD, AdamW, Recipe, RMSprop, Transfer
from xception.train.seed_batch import Member, _SeedBatch, fit_members
from xception.train.trainer import Trainer

SEEDS = (0, 10_000)
TOLERANCE = 1e-4  # relative, of losses in float32 over 20 steps


def given(training: Training, **changes: Any) -> dict[str, Any]:
    """The arguments of the tiny training without its seed."""
    keywords: dict[str, Any] = {**training.keywords, **changes}  # type: ignore[attr-defined]
    keywords.pop("seed", None)
    return keywords


def together(training: Training, members: list[Member] | None = None, **changes: Any) -> list[FitResult]:
    members = members or [Member(seed=seed) for seed in SEEDS]
    options = {name: changes.pop(name) for name in ("on_epoch", "on_step", "execution") if name in changes}
    return fit_members(**given(training, **changes), members=members, **options)


def check_same(member: FitResult, alone: FitResult) -> None:
    """Losses to the tolerance, accuracies but for one image on an edge."""
    assert (member.status, member.reason) == (alone.status, alone.reason)
    assert len(member.curves) == len(alone.curves)
    for row, other in zip(member.curves, alone.curves, strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"], rel=TOLERANCE)
        assert row["val_loss"] == pytest.approx(other["val_loss"], rel=TOLERANCE)
        assert abs(row["val_accuracy"] - other["val_accuracy"]) <= 1 / 32
    if alone.test_accuracy is not None:
        assert member.test_loss == pytest.approx(alone.test_loss, rel=TOLERANCE)
        assert abs((member.test_accuracy or 0.0) - alone.test_accuracy) <= 1 / 64
    assert (member.num_test, member.num_classes, member.params) == (alone.num_test, alone.num_classes, alone.params)


# A rate at which rounding does not grow over the 20 steps as fast as the tolerance shrinks.
FIVE_EPOCHS = tiny_recipe(epochs=5, optimizer=SGD(learning_rate=0.005, nesterov=True, weight_decay=5e-4))


@pytest.mark.parametrize(
    ("model", "recipe"),
    [
        (tiny_model(), FIVE_EPOCHS),
        (
            tiny_model(),
            FIVE_EPOCHS.replace(
                optimizer=AdamW(learning_rate=1e-4, epsilon=1e-4, weight_decay=0.01), label_smoothing=0.1, ema_decay=0.0
            ),
        ),
        (tiny_model(), FIVE_EPOCHS.replace(optimizer=RMSprop(learning_rate=1e-4), gradient_clip=None)),
        (
            tiny_model().replace_at("head.dropout", 0.3).replace_at("residual.stochastic_depth", 0.4),
            FIVE_EPOCHS.replace(
                augment=AugmentConfig(flip=True, crop_padding=2, cutout=8, randaugment_operations=1, mixup_alpha=0.2)
            ),
        ),
    ],
    ids=["sgd", "adamw", "rmsprop", "every draw"],
)
def test_twenty_steps_of_each_member_match_its_solo_run(tiny_training: Training, model: Any, recipe: Recipe) -> None:
    results = together(tiny_training, model=model, recipe=recipe)
    for seed, member in zip(SEEDS, results, strict=True):
        check_same(member, tiny_training(model=model, recipe=recipe, seed=seed))
        assert member.how == {"seed_batch": len(SEEDS)}


def test_every_step_matches(tiny_training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only means over epochs: each of 20 losses of each member."""
    seen: dict[int, list[torch.Tensor]] = {}
    close_epoch = Trainer.close_epoch

    def keep(trainer: Trainer, evaluation: Any) -> dict[str, Any]:
        seen.setdefault(trainer.seed, []).append(trainer.losses.clone())
        return close_epoch(trainer, evaluation)

    monkeypatch.setattr(Trainer, "close_epoch", keep)
    together(tiny_training, recipe=FIVE_EPOCHS)
    members = {seed: torch.cat(losses) for seed, losses in seen.items()}
    seen.clear()
    for seed in SEEDS:
        tiny_training(recipe=FIVE_EPOCHS, seed=seed)
        assert members[seed].shape == (20,)
        torch.testing.assert_close(members[seed], torch.cat(seen[seed]), rtol=TOLERANCE, atol=0.0)


def test_streams_and_epochs_are_told_of_each_member(tiny_training: Training) -> None:
    rows: list[tuple[int, int]] = []
    members = [Member(seed=0), Member(seed=0, stream=1)]
    results = together(tiny_training, members, on_epoch=lambda number, row: rows.append((number, row["epoch"])))
    assert rows == [(0, 1), (1, 1), (0, 2), (1, 2)]
    check_same(results[1], tiny_training(stream=1))
    assert results[0].curves != results[1].curves


def test_frozen_parts_stay_and_thaw_as_alone(tiny_training: Training, tmp_path: Path) -> None:
    from xception.train.checkpoint import save_weights

    save_weights(tiny_training(recipe=tiny_recipe(epochs=1)).model, tmp_path / "weights.safetensors")
    transfer = Transfer(source=f"trial:{'0' * 64}", freeze="backbone", thaw_epoch=1, backbone_rate=0.5)
    recipe = FIVE_EPOCHS.replace(epochs=2, transfer=transfer)
    members = [Member(seed=seed, weights=tmp_path / "weights.safetensors") for seed in (0, 1)]
    for seed, member in zip((0, 1), together(tiny_training, members, recipe=recipe), strict=True):
        check_same(member, tiny_training(recipe=recipe, seed=seed, weights=tmp_path / "weights.safetensors"))


# Stops and continuations


def stop_at(call: int) -> Callable[[], None]:
    count = 0

    def on_step() -> None:
        nonlocal count
        count += 1
        if count == call:
            raise TrainingStopped

    return on_step


def in_folders(path: Path) -> list[Member]:
    return [Member(seed=seed, checkpoints=CheckpointFolder(path=path / str(seed), semantics=1)) for seed in SEEDS]


# Calls 1 to 4 and 6 to 9 are steps, 5 and 10 the validation of an epoch, 11 the test.
@pytest.mark.parametrize("call", [3, 5, 7, 11])
def test_stopped_and_continued_equals_uninterrupted_to_the_bit(
    tiny_training: Training, tmp_path: Path, call: int
) -> None:
    with pytest.raises(TrainingStopped):
        together(tiny_training, in_folders(tmp_path), on_step=stop_at(call))
    continued = together(tiny_training, in_folders(tmp_path))
    for result, other in zip(continued, together(tiny_training), strict=True):
        assert result.curves == other.curves
        assert result.test_loss == other.test_loss
        assert result.changed == {}
        assert all(
            torch.equal(a, b)
            for a, b in zip(result.model.state_dict().values(), other.model.state_dict().values(), strict=True)
        )


def test_a_member_is_continued_alone_and_the_change_is_flagged(tiny_training: Training, tmp_path: Path) -> None:
    with pytest.raises(TrainingStopped):
        together(tiny_training, in_folders(tmp_path), recipe=FIVE_EPOCHS, on_step=stop_at(8))
    alone = tiny_training(
        recipe=FIVE_EPOCHS, seed=10_000, checkpoints=CheckpointFolder(path=tmp_path / "10000", semantics=1)
    )
    check_same(alone, tiny_training(recipe=FIVE_EPOCHS, seed=10_000))
    assert alone.changed == {"members": [2, 1]}


def test_members_that_stand_apart_are_trained_apart(tiny_training: Training, tmp_path: Path) -> None:
    members = in_folders(tmp_path)
    with pytest.raises(TrainingStopped):
        tiny_training(recipe=FIVE_EPOCHS, seed=SEEDS[1], checkpoints=members[1].checkpoints, on_step=stop_at(6))
    for seed, member in zip(SEEDS, together(tiny_training, members, recipe=FIVE_EPOCHS), strict=True):
        check_same(member, tiny_training(recipe=FIVE_EPOCHS, seed=seed))


# Divergence


def spoil(monkeypatch: pytest.MonkeyPatch, *seeds: int) -> None:
    """Let the weights of some seeds overflow from the third step on, alone as in company."""
    factor = Trainer.step_seed

    def step_seed(trainer: Trainer, purpose: str, *more: int) -> int:
        if trainer.seed in seeds and purpose == "step" and trainer.num_steps_done == 2:
            batch = next((batch for batch in batches if trainer in batch.trainers.values()), None)
            network, part = (
                (trainer.model, slice(None))
                if batch is None
                else (batch.network, list(batch.trainers.values()).index(trainer))
            )
            with torch.no_grad():
                dict(network.named_parameters())["head.classifier.weight"][part] = torch.inf
        return factor(trainer, purpose, *more)

    batches: list[_SeedBatch] = []
    stack = _SeedBatch._stack

    def remember(batch: _SeedBatch) -> None:
        stack(batch)
        batches.append(batch)

    monkeypatch.setattr(_SeedBatch, "_stack", remember)
    monkeypatch.setattr(Trainer, "step_seed", step_seed)


def test_a_member_that_diverges_leaves_the_other_alone(
    tiny_training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, SEEDS[0])
    diverged, other = together(tiny_training, recipe=FIVE_EPOCHS)
    assert diverged.status == "diverged"
    assert "epoch 1, step 3" in (diverged.reason or "")
    check_same(diverged, tiny_training(recipe=FIVE_EPOCHS, seed=SEEDS[0]))
    check_same(other, tiny_training(recipe=FIVE_EPOCHS, seed=SEEDS[1]))
    assert diverged.how == other.how == {"seed_batch": 2}


def test_several_that_diverge_at_once_are_judged_alone(
    tiny_training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, *SEEDS)
    results = together(tiny_training)
    assert [result.how for result in results] == [{}, {}]
    for seed, result in zip(SEEDS, results, strict=True):
        assert result.status == "diverged"
        check_same(result, tiny_training(seed=seed))


@pytest.mark.parametrize(
    ("changes", "field"), [({"precision": "float16"}, "precision"), ({"batch_norm_shares": 2}, "batch_norm_shares")]
)
def test_recipes_that_tie_members_together_are_refused(
    tiny_training: Training, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValueError, match=f"Recipe.{field}"):
        together(tiny_training, recipe=tiny_recipe(**changes))


@pytest.mark.gpu
@pytest.mark.parametrize("execution", [PLAIN, QUICK])
def test_members_match_solo_runs_on_a_gpu(tiny_training: Training, execution: Execution) -> None:
    model = tiny_model().replace_at("head.dropout", 0.3).replace_at("residual.stochastic_depth", 0.4)
    with torch.backends.cudnn.flags(allow_tf32=False):
        results = together(tiny_training, model=model, recipe=FIVE_EPOCHS, device="cuda", execution=execution)
        for seed, member in zip(SEEDS, results, strict=True):
            check_same(
                member,
                fit(**given(tiny_training, model=model, recipe=FIVE_EPOCHS, device="cuda"), seed=seed, execution=PLAIN),
            )
