"""One trial carried out in a process: the same function under every executor."""

from __future__ import annotations

import errno
import platform
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.design.trial import Trial
from ablations.records.record import Record
from ablations.records.trial_folder import TrialFolder
from xception.data.source import Source
from xception.network.config import XceptionConfig
from xception.train.execution import QUICK, Execution

if TYPE_CHECKING:
    from xception.data import Dataset
    from xception.train.checkpoint import CheckpointFolder
    from xception.train.distributed import Group
    from xception.train.loop import FitResult

__all__ = ["TRIAL_ERRORS", "Task", "carry_out", "failed", "ran_out_of_memory", "reason", "record_of"]

# Exceptions that make a trial fail while the others continue.
TRIAL_ERRORS = (ValueError, RuntimeError, ArithmeticError, LookupError, TypeError, AttributeError, OSError, MemoryError)

_LISTED = 20  # broken images named in a record
_OUT_OF_MEMORY = "out of memory"
_NO_MEMORY = ("allocate memory", "Cannot allocate", "could not create a primitive", "could not create a memory")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A trial with the way it runs: the data's source, the device, the threads of an operator and the execution of a
    step.

    `weights` is the file that a transfer starts from. The trained network is written into the folder `keep_weights`,
    named by key. The trial has a folder of its own below `trials`: checkpoints while it runs, then its record. Without
    `trials` nothing is saved. The state after the epoch `keep_state_at` is saved there too, for trials that continue
    this one.
    """

    trial: Trial
    source: Source
    device: str
    threads: int
    execution: Execution = QUICK
    weights: Path | None = None
    keep_weights: Path | None = None
    trials: Path | None = None
    keep_state_at: int | None = None

    @property
    def key(self) -> str:
        """The trial's key."""
        return self.trial.key

    @property
    def weights_path(self) -> Path | None:
        """The file of the trained network, if it is written."""
        return None if self.keep_weights is None else self.keep_weights / f"{self.key}.safetensors"


def carry_out(
    task: Task,
    on_epoch: Callable[[dict[str, Any]], None],
    *,
    on_step: Callable[[], None] = lambda: None,
    on_start: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda line: None,
    group: Group | None = None,
) -> Record:
    """Train the task's trial and return its record; an exception becomes a `failed` record with its reason.

    All processes of a `group` train the trial together, when the first one starts it.

    With a folder the trial continues from its last checkpoint; if any process has finished it, that record is returned
    and nothing is trained. `on_start` is called once no other process has the trial locked. `on_step` is called often;
    if it raises `TrainingStopped`, a checkpoint is saved first. `say` gets notices, a line each.

    Raises:
        TrainingStopped: `on_step` raised it.
    """
    from xception.train.process import return_freed_memory

    try:
        if task.trials is None:
            on_start()
            return _trained(task, None, on_epoch, on_step, say, group)
        folder = TrialFolder(task.trials, task.key)
        with folder.hold():
            on_start()
            return _finished(task, folder, on_epoch, on_step, say, group)
    except TRIAL_ERRORS as error:
        return failed(task, reason(error))
    finally:
        return_freed_memory()


def _finished(
    task: Task,
    folder: TrialFolder,
    on_epoch: Callable[[dict[str, Any]], None],
    on_step: Callable[[], None],
    say: Callable[[str], None],
    group: Group | None,
) -> Record:
    """The record in the trial's folder; without one, train the trial and write its record there."""
    from xception.data import DataError
    from xception.train.checkpoint import CheckpointFolder

    checkpoints = CheckpointFolder(path=folder.path, semantics=task.trial.semantics, say=say)
    record = folder.read_record(say)
    if record is None or (
        task.weights_path is not None and record.status == "complete" and not task.weights_path.is_file()
    ):
        trained = _trained(task, checkpoints, on_epoch, on_step, say, group)
        record = record or trained
        try:
            folder.write_record(record)
        except DataError as error:
            say(f"the record is kept in the store alone: {error}")
            return record
    checkpoints.clear()
    return record


def _trained(
    task: Task,
    checkpoints: CheckpointFolder | None,
    on_epoch: Callable[[dict[str, Any]], None],
    on_step: Callable[[], None],
    say: Callable[[str], None],
    group: Group | None,
) -> Record:
    from xception.data import load
    from xception.train.checkpoint import CheckpointFolder
    from xception.train.distributed import ALONE
    from xception.train.loop import KeptState, fit

    group = group or ALONE
    if group.rank == 0:
        group.from_first(lambda: task)  # the others wait for it
    trial = task.trial
    dataset = load(task.source.seen_by(trial.dataset), trial.dataset.image_size)

    def states(key: str) -> CheckpointFolder | None:
        """The folder in which a trial saves the state from which others continue."""
        if task.trials is None:
            return None
        return CheckpointFolder(path=task.trials / key / "state", semantics=trial.semantics, say=say)

    own = None if task.keep_state_at is None else states(task.key)
    result = fit(
        model=trial.model,
        recipe=trial.recipe,
        dataset=dataset,
        data=trial.dataset,
        seed=trial.seed,
        stream=trial.stream,
        device=task.device,
        weights=task.weights,
        checkpoints=checkpoints,
        parent=None if trial.recipe.continues is None else states(trial.recipe.continues.parent),
        keep=None if own is None or task.keep_state_at is None else KeptState(folder=own, epoch=task.keep_state_at),
        group=group,
        on_epoch=on_epoch,
        on_step=on_step,
        execution=task.execution,
    )
    return record_of(task, result, dataset)


def record_of(task: Task, result: FitResult, dataset: Dataset) -> Record:
    """Return the record of a finished training, and write the trained network if the task requires it.

    Raises:
        DataError: the network cannot be written.
    """
    trial = task.trial
    if task.weights_path is not None and result.status == "complete":
        from xception.train.trained_network import TrainedNetwork, save_network

        network = TrainedNetwork(
            model=result.model,
            config=trial.model,
            class_names=dataset.source.class_names,
            image_size=trial.dataset.image_size,
            statistics=dataset.statistics,
            data=dataset.source.title,
            key=task.key,
            recipe=trial.recipe,
        )
        save_network(network, task.weights_path)
    return Record(
        key=task.key,
        trial=trial.to_json(),
        status=result.status,
        reason=result.reason,
        val_accuracy=result.val_accuracy,
        val_loss=result.val_loss,
        test_accuracy=result.test_accuracy,
        test_top5_accuracy=result.test_top5_accuracy,
        test_loss=result.test_loss,
        num_test=result.num_test,
        num_classes=result.num_classes,
        correct=result.correct,
        predictions=result.predictions,
        confidence=result.confidence,
        params=result.params,
        macs=_macs(trial, result),
        curves=result.curves,
        train_seconds=result.train_seconds,
        images_per_second=result.images_per_second,
        device=result.device,
        threads=task.threads,
        environment=environment()
        | result.how
        | ({"changed": result.changed} if result.changed else {})
        | _broken(dataset),
        created_at=_now(),
    )


def _macs(trial: Trial, result: FitResult) -> int:
    """Multiply-accumulates of one image: in closed form for networks of ours, since importing tracers takes seconds per
    worker.
    """
    if isinstance(trial.model, XceptionConfig):
        from xception.network.closed_form import complexity

        return complexity(trial.model, trial.dataset.image_size).macs
    from xception.profile.complexity import complexity as count

    return count(result.model, trial.input_shape, fvcore=False).macs


def _broken(dataset: Dataset) -> dict[str, Any]:
    """The number of image files that cannot be decoded and were skipped, and the first of them."""
    return (
        {"num_broken_images": dataset.num_broken, "broken_images": list(dataset.broken[:_LISTED])}
        if dataset.num_broken
        else {}
    )


def failed(task: Task, reason: str) -> Record:
    """Return the record of a trial that could not be carried out."""
    trial = task.trial.to_json()
    return Record(
        key=task.key,
        trial=trial,
        status="failed",
        reason=reason,
        device=task.device,
        threads=task.threads,
        created_at=_now(),
    )


def ran_out_of_memory(record: Record) -> bool:
    """Whether a trial ran out of memory, so that a retry may succeed."""
    return record.status == "failed" and (record.reason or "").startswith(_OUT_OF_MEMORY)


def reason(error: Exception) -> str:
    """Return what went wrong and where, in a line."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())[:500]
    what = f"{type(error).__name__}: {text} ({place.filename.rpartition('/')[2]}:{place.lineno})"
    # torch.OutOfMemoryError for CUDA; a RuntimeError where the CPU's allocator or oneDNN runs out of memory; Python's
    # MemoryError; the system's ENOMEM.
    is_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    is_memory = is_memory or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    is_memory = is_memory or (isinstance(error, RuntimeError) and any(words in text for words in _NO_MEMORY))
    return f"{_OUT_OF_MEMORY}: {what}" if is_memory else what


def environment() -> dict[str, Any]:
    """Return the versions that a training's bits depend on."""
    import torch

    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # a TorchVersion, which only a process with torch can unpickle
        "torchvision": metadata.version("torchvision"),  # importing it for its version takes a second
        "platform": platform.platform(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
