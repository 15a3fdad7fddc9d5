"""Faults of a checkpoint: torn, damaged, hostile, of another training, or with no space for it."""

from __future__ import annotations

import hashlib
import os
import pickle
import resource
import select
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from ablations.execution.task import Task
from tests.faults.bench import Bench, Outcome, forked, require, small_disk
from tests.trials import small_task
from xception.data import load
from xception.train.checkpoint import CheckpointError, CheckpointFolder, TrainingStopped
from xception.train.loop import FitResult, fit


def train(
    folder: CheckpointFolder | None, task: Task | None = None, on_step: Callable[[], None] = lambda: None
) -> FitResult:
    task = task or small_task(0, epochs=4)
    trial = task.trial
    return fit(
        model=trial.model,
        recipe=trial.recipe,
        dataset=load(task.source, trial.dataset.image_size),
        data=trial.dataset,
        seed=trial.seed,
        checkpoints=folder,
        on_step=on_step,
    )


def outcome_of(result: FitResult) -> tuple[Any, ...]:
    weights = {name: tensor.numpy().tobytes() for name, tensor in result.model.state_dict().items()}
    return result.curves, result.correct, result.test_loss, weights


def stopped(path: Path, *, steps: int = 5, semantics: int = 1) -> None:
    """Train some steps and stop, twice, so that two checkpoints are there."""
    for _ in range(2):
        left = steps

        def on_step() -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                raise TrainingStopped

        try:
            train(CheckpointFolder(path=path, semantics=semantics), on_step=on_step)
        except TrainingStopped:
            continue
        raise AssertionError("the training was not stopped")


def newest_first(path: Path) -> list[Path]:
    return sorted(path.glob("step-*.safetensors"), reverse=True)


def damaged(bench: Bench, damage: Callable[[bytes], bytes], *, both: bool = False) -> Outcome:
    path = bench.new_folder()
    stopped(path)
    files = newest_first(path)[: 2 if both else 1]
    for file in files:
        file.write_bytes(damage(file.read_bytes()))
    lines: list[str] = []
    result = train(CheckpointFolder(path=path, semantics=1, say=lines.append))
    require(len(lines) == len(files) and all("passed over" in line for line in lines), f"said: {lines}")
    return Outcome(
        injected=len(files), bit_equal=len(files) * (outcome_of(result) == outcome_of(train(None))), message=lines[0]
    )


def truncated(bench: Bench) -> Outcome:
    return damaged(bench, lambda content: content[: len(content) // 2])


def bit_flipped(bench: Bench) -> Outcome:
    place = bench.random.random()

    def flip(content: bytes) -> bytes:
        i = int(place * len(content))
        return content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :]

    return damaged(bench, flip)


def all_damaged(bench: Bench) -> Outcome:
    return damaged(bench, lambda content: b"", both=True)


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def pickled(bench: Bench) -> Outcome:
    """A pickle that would run a command, under the name and with the hash that a checkpoint has."""
    path = bench.new_folder()
    content = pickle.dumps({"state": Bomb(f"touch {path / 'burnt'}")})
    (path / f"step-{99:012d}-{hashlib.sha256(content).hexdigest()}.safetensors").write_bytes(content)
    lines: list[str] = []
    result = train(CheckpointFolder(path=path, semantics=1, say=lines.append))
    require(not (path / "burnt").exists(), "the command was run")
    return Outcome(bit_equal=int(outcome_of(result) == outcome_of(train(None))), message=lines[0])


def killed_while_saving(bench: Bench) -> Outcome:
    """A process that saves without a pause is killed at random moments; a whole checkpoint must always be there."""
    times = 10 if bench.short else 100
    path = bench.new_folder()
    tensors = {"weights": torch.arange(200_000, dtype=torch.float32)}

    def save() -> None:
        folder = CheckpointFolder(path=path, semantics=1)
        for step in range(10**9):
            folder.save(step, tensors, {"step": step})

    torn = lost = passed_over = 0
    for _ in range(times):
        pid = forked(save)
        while not newest_first(path):
            select.select([], [], [], 0.001)
        select.select([], [], [], bench.random.uniform(0.005, 0.1))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        torn += len(list(path.glob(".step-*")))
        lines: list[str] = []
        found = CheckpointFolder(path=path, semantics=1, say=lines.append).newest(lambda checkpoint: None)
        lost += found is None or not torch.equal(found.tensors["weights"], tensors["weights"])
        passed_over += len(lines)
        for file in newest_first(path):
            file.unlink()
    return Outcome(
        injected=times, lost=lost, message=f"{torn} writes were torn, {passed_over} of them under a checkpoint's name"
    )


def other_training(bench: Bench) -> Outcome:
    path = bench.new_folder()
    stopped(path)
    try:
        train(CheckpointFolder(path=path, semantics=1), small_task(0, epochs=5, batch_size=16))
    except CheckpointError as error:
        message = str(error).replace(str(path), "FOLDER")
        require("recipe.epochs was 4, is 5" in message and "recipe.batch_size was 32, is 16" in message, message)
        return Outcome(message=message)
    raise AssertionError("a checkpoint of another training was continued")


def other_semantics(bench: Bench) -> Outcome:
    path = bench.new_folder()
    stopped(path)
    try:
        train(CheckpointFolder(path=path, semantics=2))
    except CheckpointError as error:
        return Outcome(message=str(error).replace(str(path), "FOLDER"))
    raise AssertionError("a checkpoint of other semantics was continued")


def other_threads(bench: Bench) -> Outcome:
    path = bench.new_folder()
    stopped(path)
    lines: list[str] = []
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        result = train(CheckpointFolder(path=path, semantics=1, say=lines.append))
    finally:
        torch.set_num_threads(before)
    require(result.changed == {"threads": [before, before + 1]}, f"not flagged: {result.changed}")
    return Outcome(message=lines[0])


def other_cpu(bench: Bench) -> Outcome:
    """Continued on a CPU with other vector units, as AVX2 after AVX-512."""
    path = bench.new_folder()
    stopped(path)
    lines: list[str] = []
    before = torch.backends.cpu.get_cpu_capability()
    with mock.patch("torch.backends.cpu.get_cpu_capability", return_value="ANOTHER"):
        result = train(CheckpointFolder(path=path, semantics=1, say=lines.append))
    require(result.changed == {"cpu_capability": [before, "ANOTHER"]}, f"not flagged: {result.changed}")
    return Outcome(message=lines[0])


def goes_on_without(bench: Bench, path: Path) -> Outcome:
    lines: list[str] = []
    result = train(CheckpointFolder(path=path, semantics=1, say=lines.append, largest_share=1e9))
    require(len(lines) == 1 and "training continues without one" in lines[0], f"said: {lines}")
    return Outcome(
        bit_equal=int(outcome_of(result) == outcome_of(train(None))), message=lines[0].replace(str(path), "FOLDER")
    )


def disk_full(bench: Bench) -> Outcome:
    with small_disk(bench.folder / "tiny", "64k") as disk:
        return goes_on_without(bench, disk / "trial")


def disk_read_only(bench: Bench) -> Outcome:
    with small_disk(bench.folder / "locked", "64k", read_only=True) as disk:
        return goes_on_without(bench, disk / "trial")


def file_size_limited(bench: Bench) -> Outcome:
    """`ulimit -f`, in this process."""
    bench.reference  # noqa: B018 - with it the data is in the cache, which is a larger file
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        return goes_on_without(bench, bench.new_folder())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def diverged(bench: Bench) -> Outcome:
    """A loss that is NaN ends the trial as diverged, finally, with the step and the last finite values."""
    from ablations.execution.events import Epoch
    from ablations.execution.executor import SerialExecutor
    from tests.trials import bits, finished

    path = bench.new_folder()
    task = small_task(0, epochs=4)
    wild = task.trial.replace_at("recipe.optimizer.learning_rate", 1e20)
    task = Task(trial=wild, source=task.source, device="cpu", threads=1, trials=path)
    (first,) = finished(SerialExecutor().run([task])).values()
    events = list(SerialExecutor().run([task]))
    (second,) = finished(events).values()
    require(first.status == "diverged", f"it is {first.status}")
    again = any(isinstance(event, Epoch) for event in events)
    return Outcome(duplicated=int(again), bit_equal=int(bits(first) == bits(second)), message=str(first.reason))
