"""One trial carried out in a process: the same function under every executor."""

from __future__ import annotations

import platform
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ablations.record import Record
from ablations.trial import Trial
from xception.data.source import Source

__all__ = ["Task", "carry_out", "failed"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A trial and where it runs: the data's source, the device and the threads of one operator.

    `weights` is the file that a transfer begins with; into the folder `keep_weights` the trained network is written, named by key.
    """

    trial: Trial
    source: Source
    device: str
    threads: int
    weights: Path | None = None
    keep_weights: Path | None = None

    @property
    def key(self) -> str:
        """The trial's key."""
        return self.trial.key


def carry_out(task: Task, on_epoch: Callable[[dict[str, Any]], None]) -> Record:
    """Train the task's trial and return its record; an exception becomes a `failed` record with its reason."""
    from xception.data import DataError, load
    from xception.profile.complexity import complexity
    from xception.train.checkpoint import save_weights
    from xception.train.loop import fit

    trial = task.trial
    try:
        dataset = load(task.source, trial.dataset.image_size)
        result = fit(
            model=trial.model,
            recipe=trial.recipe,
            dataset=dataset,
            data=trial.dataset,
            seed=trial.seed,
            stream=trial.stream,
            device=task.device,
            weights=task.weights,
            on_epoch=on_epoch,
        )
        if task.keep_weights is not None and result.status == "complete":
            task.keep_weights.mkdir(parents=True, exist_ok=True)
            save_weights(result.model, task.keep_weights / f"{task.key}.safetensors")
        counted = complexity(result.model, (trial.model.in_channels, trial.dataset.image_size, trial.dataset.image_size), fvcore=False)
    except (DataError, ValueError, RuntimeError, ArithmeticError, LookupError, TypeError, AttributeError, OSError, MemoryError) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return failed(task, f"{type(error).__name__}: {' '.join(str(error).split())[:500]} ({place.filename.rpartition('/')[2]}:{place.lineno})")
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
        params=result.params,
        macs=counted.macs,
        curves=result.curves,
        train_seconds=result.train_seconds,
        images_per_second=result.images_per_second,
        device=result.device,
        threads=task.threads,
        environment=environment(),
        created_at=_now(),
    )


def failed(task: Task, reason: str) -> Record:
    """Return the record of a trial that could not be carried out."""
    return Record(key=task.key, trial=task.trial.to_json(), status="failed", reason=reason, device=task.device, threads=task.threads, created_at=_now())


def environment() -> dict[str, Any]:
    """Return the versions that a training's bits depend on."""
    import torch
    import torchvision

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "platform": platform.platform(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
