"""What a trial will cost: work from closed forms, time from the speed that was measured on this machine."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable
from pathlib import Path

from ablations.trial import Trial
from xception.config import ModelConfig, XceptionConfig

__all__ = ["duration", "estimate_seconds", "read_speed", "trial_macs", "write_speed"]

_BACKWARD = 3  # forward and backward cost about three forward passes


@functools.cache
def model_macs(model: ModelConfig, image_size: int) -> int | None:
    """Return the multiply-accumulates of one forward pass; None for networks that are not ours (no closed form)."""
    if not isinstance(model, XceptionConfig):
        return None
    from xception.closed_form import complexity

    return complexity(model, image_size).macs


def trial_macs(trial: Trial, num_train: int) -> float | None:
    """Return the multiply-accumulates of a whole training, evaluation left out."""
    macs = model_macs(trial.model, trial.dataset.image_size)
    if macs is None:
        return None
    return float(macs) * _BACKWARD * (trial.dataset.train_size or num_train) * trial.recipe.epochs


def read_speed(folder: Path) -> float | None:
    """Return the measured multiply-accumulates per second of all workers together, or None before a first run."""
    try:
        return float(json.loads((folder / "speed.json").read_text())["macs_per_second"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_speed(folder: Path, macs_per_second: float) -> None:
    """Keep the speed that a run was measured at."""
    path = folder / "speed.json"
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps({"macs_per_second": macs_per_second}) + "\n")
    os.replace(temporary, path)


def estimate_seconds(trials: Iterable[Trial], num_train: int, speed: float | None) -> float | None:
    """Return the seconds that trials will take at a speed; None where either is not known."""
    work = [trial_macs(t, num_train) for t in trials]
    known = [w for w in work if w is not None]
    if speed is None or len(known) != len(work):
        return None
    return sum(known) / speed


def duration(seconds: float) -> str:
    """Return a rough time for people: 45 s, 12 min, 3.4 h, 2.1 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
