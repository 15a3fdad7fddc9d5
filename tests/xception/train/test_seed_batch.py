"""Each member of a seed batch trains as it would alone: the same losses, accuracies and checkpoints, whatever the
others do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.xception.train.tiny_training import PLAIN, Training, tiny_model, tiny_recipe
from xception.data.config import AugmentConfig
from xception.network.stacked import stack
from xception.train import stacked_training
from xception.train.checkpoint import CheckpointFolder, TrainingStopped
from xception.train.execution import QUICK, Execution
from xception.train.loop import FitResult
from xception.train.recipe import SGD, AdamW, Muon, Recipe, RMSprop, Transfer
from xception.train.seed_batch import Member, fit_members
from xception.train.trainer import Trainer

pytestmark = pytest.mark.numeric

SEEDS = (0, 10_000)
TOLERANCE = 1e-9  # relative, of losses in float64 over eight steps


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
    """Check that two trainings in float64 are the same except for rounding."""
    assert (member.status, member.reason) == (alone.status, alone.reason)
    assert len(member.curves) == len(alone.curves)
    for row, other in zip(member.curves, alone.curves, strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"], rel=TOLERANCE)
        assert row["val_loss"] == pytest.approx(other["val_loss"], rel=TOLERANCE)
        assert row["val_accuracy"] == other["val_accuracy"]
    if alone.test_accuracy is not None:
        assert member.test_loss == pytest.approx(alone.test_loss, rel=TOLERANCE)
        assert member.test_accuracy == alone.test_accuracy
    assert (member.num_test, member.num_classes, member.params) == (alone.num_test, alone.num_classes, alone.params)


TWO_EPOCHS = tiny_recipe(batch_size=8, optimizer=SGD(learning_rate=0.05, nesterov=True, weight_decay=5e-4))
EVERY_DRAW = tiny_model().replace_at("head.dropout", 0.3).replace_at("residual.stochastic_depth", 0.4)


@pytest.mark.parametrize(
    ("model", "recipe"),
    [
        (tiny_model(), TWO_EPOCHS),
        (
            tiny_model(),
            TWO_EPOCHS.replace(
                optimizer=AdamW(learning_rate=1e-4, epsilon=1e-4, weight_decay=0.01), label_smoothing=0.1, ema_decay=0.0
            ),
        ),
        (tiny_model(), TWO_EPOCHS.replace(optimizer=RMSprop(learning_rate=1e-4), gradient_clip=None)),
        (tiny_model(), TWO_EPOCHS.replace(optimizer=Muon(weight_decay=5e-4))),
        (
            EVERY_DRAW,
            TWO_EPOCHS.replace(
                augment=AugmentConfig(flip=True, crop_padding=2, cutout=8, randaugment_operations=1, mixup_alpha=0.2)
            ),
        ),
    ],
    ids=["sgd", "adamw", "rmsprop", "muon", "every draw"],
)
def test_all_steps_of_each_member_match_its_solo_run(training_in_float64: Training, model: Any, recipe: Recipe) -> None:
    results = together(training_in_float64, model=model, recipe=recipe)
    for seed, member in zip(SEEDS, results, strict=True):
        check_same(member, training_in_float64(model=model, recipe=recipe, seed=seed))
        assert member.how == {"seed_batch": len(SEEDS)}


def step_from(
    tiny_training: Training, folder: Path, *, step: int, together_from: int, **changes: Any
) -> dict[int, Mapping[str, torch.Tensor]]:
    """Train each seed alone to `together_from`, then all together to `step`; return each seed's checkpoint there."""
    members = in_folders(folder)
    for member in members:
        options = {**changes, "execution": PLAIN, "on_step": stop_at(together_from)}
        with pytest.raises(TrainingStopped):
            tiny_training(**options, seed=member.seed, checkpoints=member.checkpoints)
    if step > together_from:
        with pytest.raises(TrainingStopped):
            together(tiny_training, members, **changes, on_step=stop_at(step - together_from))
    return {member.seed: newest_tensors(member) for member in members}


def newest_tensors(member: Member) -> Mapping[str, torch.Tensor]:
    assert member.checkpoints is not None
    newest = member.checkpoints.newest(lambda checkpoint: None)
    assert newest is not None
    return newest.tensors


def check_step(tiny_training: Training, folder: Path, *, before: int, **changes: Any) -> None:
    """Check one step in float32 from one state: the loss, and the changes of the weights and their average."""
    start = step_from(tiny_training, folder / "start", step=before, together_from=before, **changes)
    alone = step_from(tiny_training, folder / "alone", step=before + 1, together_from=before + 1, **changes)
    stacked = step_from(tiny_training, folder / "stacked", step=before + 1, together_from=before, **changes)
    for seed in SEEDS:
        torch.testing.assert_close(stacked[seed]["losses"], alone[seed]["losses"], rtol=1e-5, atol=0.0)
        for kind in ("model.", "average."):
            names = [n for n, t in start[seed].items() if n.startswith(kind) and t.is_floating_point()]
            first, expected, found = (
                torch.cat([state[seed][name].flatten().double() for name in names]) for state in (start, alone, stacked)
            )
            assert (found - expected).norm() <= 1e-4 * (expected - first).norm()


@pytest.mark.parametrize("before", [1, 2, 3])
def test_a_step_in_float32_matches_from_the_same_state(tiny_training: Training, tmp_path: Path, before: int) -> None:
    check_step(tiny_training, tmp_path, before=before, model=EVERY_DRAW, recipe=tiny_recipe())


def test_each_member_reports_its_epochs(training_in_float64: Training) -> None:
    rows: list[tuple[int, int]] = []
    members = [Member(seed=0), Member(seed=0, stream=1)]
    results = together(training_in_float64, members, on_epoch=lambda number, row: rows.append((number, row["epoch"])))
    assert rows == [(0, 1), (1, 1), (0, 2), (1, 2)]
    check_same(results[1], training_in_float64(stream=1))
    assert results[0].curves != results[1].curves


def test_frozen_parts_stay_and_thaw_as_alone(training_in_float64: Training, tmp_path: Path) -> None:
    from xception.network.weights import save as save_weights

    save_weights(
        training_in_float64(recipe=tiny_recipe(epochs=1, batch_size=8)).model, tmp_path / "weights.safetensors"
    )
    transfer = Transfer(source=f"trial:{'0' * 64}", freeze="backbone", thaw_epoch=1, backbone_rate=0.5)
    recipe = TWO_EPOCHS.replace(transfer=transfer)
    members = [Member(seed=seed, weights=tmp_path / "weights.safetensors") for seed in (0, 1)]
    for seed, member in zip((0, 1), together(training_in_float64, members, recipe=recipe), strict=True):
        check_same(member, training_in_float64(recipe=recipe, seed=seed, weights=tmp_path / "weights.safetensors"))


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


def test_a_member_is_continued_alone_and_the_change_is_flagged(training_in_float64: Training, tmp_path: Path) -> None:
    with pytest.raises(TrainingStopped):
        together(training_in_float64, in_folders(tmp_path), recipe=TWO_EPOCHS, on_step=stop_at(7))
    alone = training_in_float64(
        recipe=TWO_EPOCHS, seed=10_000, checkpoints=CheckpointFolder(path=tmp_path / "10000", semantics=1)
    )
    check_same(alone, training_in_float64(recipe=TWO_EPOCHS, seed=10_000))
    assert alone.changed == {"members": [2, 1]}


def test_members_at_different_steps_are_trained_separately(training_in_float64: Training, tmp_path: Path) -> None:
    members = in_folders(tmp_path)
    with pytest.raises(TrainingStopped):
        training_in_float64(recipe=TWO_EPOCHS, seed=SEEDS[1], checkpoints=members[1].checkpoints, on_step=stop_at(6))
    for seed, member in zip(SEEDS, together(training_in_float64, members, recipe=TWO_EPOCHS), strict=True):
        check_same(member, training_in_float64(recipe=TWO_EPOCHS, seed=seed))


# Divergence


def spoil(monkeypatch: pytest.MonkeyPatch, *seeds: int) -> None:
    """Make the weights of some seeds overflow at the third step, alone as in a batch."""
    drawn = Trainer.step_seed
    batches: list[tuple[list[nn.Module], nn.Module]] = []  # the members' networks, and the stack of them

    def remember(networks: list[nn.Module]) -> nn.Module:
        batches.append((networks, stack(networks)))
        return batches[-1][1]

    def step_seed(trainer: Trainer, purpose: str, *more: int) -> int:
        if trainer.seed in seeds and purpose == "step" and trainer.num_steps_done == 2:
            stacks = [pair for pair in batches if any(network is trainer.model for network in pair[0])]
            weights = dict((stacks[-1][1] if stacks else trainer.model).named_parameters())["head.classifier.weight"]
            place = [network is trainer.model for network in stacks[-1][0]].index(True) if stacks else slice(None)
            with torch.no_grad():
                weights[place] = torch.inf
        return drawn(trainer, purpose, *more)

    monkeypatch.setattr(stacked_training, "stack", remember)
    monkeypatch.setattr(Trainer, "step_seed", step_seed)


def test_a_member_that_diverges_leaves_the_other_alone(
    training_in_float64: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, SEEDS[0])
    diverged, other = together(training_in_float64, recipe=TWO_EPOCHS)
    assert diverged.status == "diverged"
    assert "epoch 1, step 3" in (diverged.reason or "")
    check_same(diverged, training_in_float64(recipe=TWO_EPOCHS, seed=SEEDS[0]))
    check_same(other, training_in_float64(recipe=TWO_EPOCHS, seed=SEEDS[1]))
    assert diverged.how == other.how == {"seed_batch": 2}


def test_several_that_diverge_at_once_are_judged_alone(
    training_in_float64: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, *SEEDS)
    results = together(training_in_float64)
    assert [result.how for result in results] == [{}, {}]
    for seed, result in zip(SEEDS, results, strict=True):
        assert result.status == "diverged"
        check_same(result, training_in_float64(seed=seed))


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
def test_a_step_on_a_gpu_matches_from_the_same_state(
    tiny_training: Training, tmp_path: Path, execution: Execution
) -> None:
    with torch.backends.cudnn.flags(allow_tf32=False):
        check_step(
            tiny_training,
            tmp_path,
            before=2,
            model=EVERY_DRAW,
            recipe=tiny_recipe(),
            device="cuda",
            execution=execution,
        )
