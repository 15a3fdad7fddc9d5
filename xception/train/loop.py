"""The training loop: from configs, data and a seed to accuracies, the same bits every time on a CPU.

No random state is carried from step to step (`xception.train.randomness`), so the state of a training is its tensors
and its position. Killed at any step and continued from a checkpoint, it gives the same bits.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from xception.data.config import DatasetConfig
from xception.data.dataset import Dataset
from xception.network.config import ModelConfig
from xception.train.checkpoint import CheckpointFolder, TrainingStopped
from xception.train.confidence import pack_confidence
from xception.train.distributed import ALONE, Group
from xception.train.evaluate import Evaluation
from xception.train.execution import QUICK, Execution
from xception.train.predictions import pack_predictions
from xception.train.recipe import Recipe
from xception.train.saved_state import continue_from, resume, save
from xception.train.trainer import Diverged, Trainer

__all__ = ["FitResult", "KeptState", "TrainingStopped", "fit"]


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """The result of a training; accuracies are fractions, losses mean cross-entropies in nats."""

    status: Literal["complete", "diverged"]
    reason: str | None
    curves: list[dict[str, Any]]
    val_accuracy: float | None
    val_loss: float | None
    test_accuracy: float | None
    test_top5_accuracy: float | None
    test_loss: float | None
    num_test: int
    num_classes: int
    correct: bytes | None
    predictions: bytes | None  # as `xception.train.predictions` packs them
    confidence: bytes | None  # as `xception.train.confidence` packs it
    params: int
    train_seconds: float
    images_per_second: float
    device: str
    # The conditions ('threads', 'device', 'torch') that changed while a training was continued; its last bits may
    # differ.
    changed: dict[str, list[Any]]
    # How steps were computed, where not eagerly with PyTorch's own choices ('cuda_graph', 'seed_batch', 'depthwise',
    # 'compiled').
    how: dict[str, Any]
    # With the weights that were evaluated: the running average if there is one.
    model: nn.Module = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class KeptState:
    """Where the state after an epoch is kept."""

    folder: CheckpointFolder
    epoch: int


def fit(
    *,
    model: ModelConfig,
    recipe: Recipe,
    dataset: Dataset,
    data: DatasetConfig,
    seed: int,
    stream: int = 0,
    device: str | torch.device = "cpu",
    weights: Path | None = None,
    checkpoints: CheckpointFolder | None = None,
    parent: CheckpointFolder | None = None,
    keep: KeptState | None = None,
    group: Group = ALONE,
    on_epoch: Callable[[dict[str, Any]], None] = lambda row: None,
    on_step: Callable[[], None] = lambda: None,
    execution: Execution = QUICK,
) -> FitResult:
    """Train a network by a recipe, and read the test set once at the end.

    The seed draws the validation split; seed and stream draw initial values, the order of images,
    augmentation and dropout, so that two networks under the same seed see the same batches.

    `weights` is the file that a recipe with `transfer` begins with. All processes of a `group` call this with the same
    arguments, except that only the first has checkpoints.

    `parent` is the folder with the state that a recipe with `continues` continues from. `keep` says where, and after
    which epoch, the state is kept for a training that continues this one.

    With `checkpoints` the training continues from what its folder holds. `on_step` is called after each step and each
    evaluated batch; raising `TrainingStopped` there saves the state and ends the training. `execution` says how a step
    is computed.

    Raises:
        ValueError: the training set is smaller than a batch, the network does not fit the data, or the weights not the
            network.
        CheckpointError: the folder holds a checkpoint of another training.
        TrainingStopped: `on_step` raised it.
    """
    with _own_random_state(torch.device(device)):
        trainer = Trainer(
            model,
            recipe,
            dataset,
            data,
            seed,
            stream,
            torch.device(device),
            weights,
            checkpoints,
            group,
            on_step,
            execution,
        )
        resume(trainer)
        if parent is not None and trainer.num_steps_done == 0:
            continue_from(trainer, parent)
        return finish(trainer, on_epoch, keep)


@contextlib.contextmanager
def _own_random_state(device: torch.device) -> Iterator[None]:
    """Restore torch's global generators at the end: building a network draws from them, and each step seeds them."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def finish(trainer: Trainer, on_epoch: Callable[[dict[str, Any]], None], keep: KeptState | None = None) -> FitResult:
    """Train from the present position to the end.

    Raises:
        TrainingStopped: its `on_step` raised it.
    """
    reason = None
    test: Evaluation | None = None
    try:
        while trainer.epoch < trainer.recipe.epochs:
            if keep is not None and trainer.epoch == keep.epoch and trainer.step == 0:
                save(trainer, keep.folder)
            on_epoch(trainer.run_epoch())
        test = trainer.evaluate(trainer.own_test, trainer.test)
    except Diverged as diverged:
        reason = str(diverged)
    except TrainingStopped:
        save(trainer)
        raise
    if trainer.average is not None:
        trainer.average.swap()
    return result_of(trainer, reason, test)


def result_of(trainer: Trainer, reason: str | None, test: Evaluation | None) -> FitResult:
    """Return the result of a training that ended: with the reason if it diverged, else with its evaluation on the test
    set.
    """
    last = None if reason else trainer.curves[-1]
    seconds = trainer.stopwatch.seconds
    return FitResult(
        status="diverged" if reason else "complete",
        reason=None if reason is None else _with_last_finite(reason, trainer.curves),
        curves=[row for row in trainer.curves if math.isfinite(row["val_loss"])],
        val_accuracy=last["val_accuracy"] if last else None,
        val_loss=last["val_loss"] if last else None,
        test_accuracy=test.accuracy if test else None,
        test_top5_accuracy=test.top5_accuracy if test else None,
        test_loss=test.loss if test else None,
        num_test=len(trainer.test),
        num_classes=trainer.num_classes,
        correct=np.packbits(test.correct.numpy()).tobytes() if test else None,
        predictions=pack_predictions(test.predicted.numpy(), test.labels.numpy(), trainer.num_classes)
        if test
        else None,
        confidence=_confidence(test) if test else None,
        params=sum(p.numel() for p in trainer.model.parameters()),
        train_seconds=seconds,
        images_per_second=trainer.num_steps_done * trainer.recipe.batch_size / seconds if seconds else 0.0,
        device=trainer.conditions["device"],
        changed=trainer.changed,
        how=trainer.compute.how
        | trainer.how
        | ({} if trainer.continued_from is None else {"continued_from_epoch": trainer.continued_from}),
        model=trainer.model,
    )


def _confidence(test: Evaluation) -> bytes | None:
    """The histogram of confidence; None where a network has no finite probabilities."""
    if not bool(torch.isfinite(test.confidence).all()):
        return None
    return pack_confidence(test.confidence.numpy(), test.correct.numpy())


def _with_last_finite(reason: str, curves: list[dict[str, Any]]) -> str:
    finite = [row for row in curves if math.isfinite(row["val_loss"])]
    if not finite:
        return f"{reason}; no epoch was finished"
    last = finite[-1]
    return f"{reason}; after epoch {last['epoch']} the validation accuracy was {last['val_accuracy']:.4f}"
