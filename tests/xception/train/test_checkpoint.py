"""A training continued from any checkpoint gives the same bits; damaged checkpoints are skipped."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.xception.train.tiny_training import Training, tiny_model, tiny_recipe
from xception.data.config import DatasetConfig
from xception.data.names import find
from xception.network.weights import save as save_weights
from xception.train.checkpoint import CheckpointError, CheckpointFolder, TrainingStopped
from xception.train.loop import FitResult
from xception.train.recipe import SGD, AdamW, Muon, RMSprop

pytestmark = pytest.mark.numeric

NOT_TIMINGS = [
    f.name for f in dataclasses.fields(FitResult) if f.name not in ("train_seconds", "images_per_second", "model")
]


def same(a: FitResult, b: FitResult) -> bool:
    weights, others = a.model.state_dict(), b.model.state_dict()
    bits = all(weights[name].numpy().tobytes() == others[name].numpy().tobytes() for name in weights)
    return bits and all(getattr(a, name) == getattr(b, name) for name in NOT_TIMINGS)


def stop_at(call: int) -> Callable[[], None]:
    """A callback that stops a training at the n-th step or evaluated batch."""
    count = 0

    def on_step() -> None:
        nonlocal count
        count += 1
        if count == call:
            raise TrainingStopped

    return on_step


def stopped(training: Training, folder: Path, call: int, **arguments: Any) -> None:
    with pytest.raises(TrainingStopped):
        training(checkpoints=CheckpointFolder(path=folder, semantics=1), on_step=stop_at(call), **arguments)


# Calls 1 to 4 and 6 to 9 are steps, 5 and 10 the validation of an epoch, 11 the test.
@pytest.mark.parametrize("call", [1, 4, 5, 6, 10, 11])
def test_stopped_anywhere_and_continued_equals_uninterrupted(
    tiny_training: Training, uninterrupted: FitResult, tmp_path: Path, call: int
) -> None:
    stopped(tiny_training, tmp_path, call)
    continued = tiny_training(checkpoints=CheckpointFolder(path=tmp_path, semantics=1))
    assert same(continued, uninterrupted)


@pytest.mark.parametrize(
    "optimizer", [SGD(momentum=0.0), RMSprop(), AdamW(weight_decay=0.01), Muon()], ids=lambda o: type(o).__name__
)
def test_every_optimiser_continues_to_the_same_bits(tiny_training: Training, tmp_path: Path, optimizer: Any) -> None:
    recipe = tiny_recipe(optimizer=optimizer, ema_decay=0.0)
    stopped(tiny_training, tmp_path, 6, recipe=recipe)
    continued = tiny_training(checkpoints=CheckpointFolder(path=tmp_path, semantics=1), recipe=recipe)
    assert same(continued, tiny_training(recipe=recipe))


def test_stopped_at_every_step_in_turn(tiny_training: Training, uninterrupted: FitResult, tmp_path: Path) -> None:
    for _ in range(8):
        stopped(tiny_training, tmp_path, 1)
    assert same(tiny_training(checkpoints=CheckpointFolder(path=tmp_path, semantics=1)), uninterrupted)


def test_an_interval_saves_within_an_epoch_and_two_are_kept(tiny_training: Training, tmp_path: Path) -> None:
    folder = CheckpointFolder(path=tmp_path, semantics=1, interval_seconds=0.0, largest_share=1e9)
    tiny_training(checkpoints=folder)
    assert sorted(p.name[:17] for p in tmp_path.iterdir()) == ["step-000000000007", "step-000000000008"]
    folder.clear()
    assert list(tmp_path.iterdir()) == []


def test_saving_too_dear_is_left_out(tiny_training: Training, tmp_path: Path) -> None:
    tiny_training(checkpoints=CheckpointFolder(path=tmp_path, semantics=1, interval_seconds=0.0, largest_share=1e-9))
    assert len(list(tmp_path.iterdir())) == 1


def damaged(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "truncated":
        content = content[: len(content) // 2]
    elif how == "bit flipped":
        content[len(content) // 2] ^= 1
    elif how == "empty":
        content = bytearray()
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["truncated", "bit flipped", "empty"])
@pytest.mark.parametrize("num_damaged", [1, 2])
def test_damaged_checkpoints_are_passed_over_with_a_line(
    tiny_training: Training, uninterrupted: FitResult, tmp_path: Path, how: str, num_damaged: int
) -> None:
    stopped(tiny_training, tmp_path, 6)
    stopped(tiny_training, tmp_path, 2)
    newest_first = sorted(tmp_path.iterdir(), reverse=True)
    assert len(newest_first) == 2
    for path in newest_first[:num_damaged]:
        damaged(path, how)
    lines: list[str] = []
    continued = tiny_training(checkpoints=CheckpointFolder(path=tmp_path, semantics=1, say=lines.append))
    expected = ["checkpoint of step 7 passed over", "checkpoint of step 5 passed over"]
    assert [line.partition(":")[0] for line in lines] == expected[:num_damaged]
    assert same(continued, uninterrupted)


def test_a_temporary_file_of_a_killed_process_is_removed(tiny_training: Training, tmp_path: Path) -> None:
    (tmp_path / ".step-000000000005-x.safetensors.123.tmp").write_bytes(b"torn")
    CheckpointFolder(path=tmp_path, semantics=1).newest(lambda checkpoint: None)
    assert list(tmp_path.iterdir()) == []


def other_data(name: str, train_size: int) -> DatasetConfig:
    return find(name, None).config(image_size=32, train_size=train_size, val_size=32, test_size=64)


@pytest.mark.parametrize(
    ("changes", "semantics", "shown"),
    [
        ({"recipe": tiny_recipe(epochs=3)}, 1, "recipe.epochs was 2, is 3"),
        ({"model": tiny_model(activation="silu")}, 1, "model.activation was the default, is silu"),
        ({"data": other_data("synthetic", train_size=48)}, 1, "data.train_size was 64, is 48"),
        ({"data": other_data("synthetic:kappa=1", train_size=64)}, 1, r"data.fingerprint was \w+"),
        ({"seed": 1}, 1, "seed was 0, is 1"),
        ({}, 2, "semantics was 1, is 2"),
    ],
)
def test_another_training_is_refused_with_the_difference(
    tiny_training: Training, tmp_path: Path, changes: dict[str, Any], semantics: int, shown: str
) -> None:
    stopped(tiny_training, tmp_path, 1)
    with pytest.raises(CheckpointError, match=shown):
        tiny_training(checkpoints=CheckpointFolder(path=tmp_path, semantics=semantics), **changes)


def test_another_number_of_threads_is_flagged(
    tiny_training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(tiny_training, tmp_path, 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    lines: list[str] = []
    result = tiny_training(checkpoints=CheckpointFolder(path=tmp_path, semantics=1, say=lines.append))
    assert result.changed == {"threads": [1, 7]}
    assert lines == ["continued under other conditions, so the last bits may differ: threads was 1, is 7"]


def test_a_folder_that_cannot_be_written_ends_no_training(
    tiny_training: Training, uninterrupted: FitResult, tmp_path: Path
) -> None:
    path = tmp_path / "a file"
    path.write_text("in the way")
    lines: list[str] = []
    result = tiny_training(checkpoints=CheckpointFolder(path=path / "folder", semantics=1, say=lines.append))
    assert len(lines) == 1
    assert lines[0].startswith("no checkpoint could be written; training continues without one: ")
    assert same(result, uninterrupted)


def test_a_diverged_training_keeps_its_step_through_a_continuation(tiny_training: Training, tmp_path: Path) -> None:
    recipe = tiny_recipe(optimizer=SGD(learning_rate=1e18, momentum=0.0), gradient_clip=None)
    straight = tiny_training(recipe=recipe)
    assert straight.status == "diverged"
    stopped(tiny_training, tmp_path, 1, recipe=recipe)
    assert same(tiny_training(checkpoints=CheckpointFolder(path=tmp_path, semantics=1), recipe=recipe), straight)


def test_saved_weights_are_those_that_were_evaluated(tiny_training: Training, tmp_path: Path) -> None:
    result = tiny_training()
    save_weights(result.model, tmp_path / "weights.safetensors")
    stored = load_file(tmp_path / "weights.safetensors")
    assert all(torch.equal(stored[name], tensor) for name, tensor in result.model.state_dict().items())


def test_a_checkpoint_holds_tensors_and_plain_values_alone(tiny_training: Training, tmp_path: Path) -> None:
    stopped(tiny_training, tmp_path, 6)
    content = max(tmp_path.iterdir()).read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    state = json.loads(header["__metadata__"]["state"])
    assert (state["epoch"], state["step"], len(state["curves"])) == (1, 1, 1)


@pytest.mark.gpu
def test_half_precision_on_a_gpu_continues_with_its_scale(tiny_training: Training, tmp_path: Path) -> None:
    recipe = tiny_recipe(precision="float16")
    stopped(tiny_training, tmp_path, 6, recipe=recipe, device="cuda")
    content = max(tmp_path.iterdir()).read_bytes()
    state = json.loads(json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["state"])
    result = tiny_training(checkpoints=CheckpointFolder(path=tmp_path, semantics=1), recipe=recipe, device="cuda")
    assert state["scaler"]["scale"] > 0
    assert result.status == "complete"
    assert result.curves[0] == state["curves"][0]
