"""What a trial will cost: work from closed forms, time from this machine's measured speed."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from pathlib import Path

from ablations.design.trial import Trial
from xception.base.files import write_atomically
from xception.data.source import Source
from xception.network.config import ModelConfig, TorchvisionConfig, XceptionConfig

__all__ = ["duration", "estimate_seconds", "forward_work", "read_speed", "training_work", "trial_work", "write_speed"]

# Multiply-accumulates of one image and its side in pixels, from torchvision's documentation.
_TORCHVISION_MACS = {
    "vgg16": (15.47e9, 224),
    "resnet18": (1.81e9, 224),
    "resnet50": (4.09e9, 224),
    "resnet152": (11.51e9, 224),
    "inception_v3": (5.71e9, 299),
}
_CIFAR_STEM = 16  # a first convolution of stride 1 and no pooling leave maps 16 times as large
# The cost of one activation in multiply-accumulates: norms, activations and memory. On one core of an EPYC
# processor the time of a training step then follows work within a quarter over separable, regular, wide, deep and
# headless networks.
_MACS_PER_ACTIVATION = 60
_TRAINING = 3  # forward and backward cost about three forward passes


@functools.cache
def forward_work(model: ModelConfig, image_size: int) -> float:
    """The work of one forward pass: exact counts for networks of ours, in proportion to the area for torchvision's."""
    if not isinstance(model, XceptionConfig):
        if not isinstance(model, TorchvisionConfig) or model.name not in _TORCHVISION_MACS:
            return _counted_macs(model, image_size)
        macs, size = _TORCHVISION_MACS[model.name]
        return macs * (_CIFAR_STEM if model.stem == "cifar" else 1) * (image_size / size) ** 2
    from xception.network.closed_form import totals

    _, macs_of_image, activations = totals(model, image_size)
    return float(macs_of_image + _MACS_PER_ACTIVATION * activations)


def _counted_macs(model: ModelConfig, image_size: int) -> float:
    """The multiply-accumulates of a forward pass of any network, counted on the meta device."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from xception.network.model import build

    network = build(model).eval().to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, model.in_channels, image_size, image_size, device="meta"))
    return float(counter.get_total_flops()) / 2


def training_work(trial: Trial, source: Source) -> float:
    """Return the work of a trial's training steps, in multiply-accumulates or equivalents of them in time."""
    data, transfer = trial.dataset, trial.recipe.transfer
    is_probe = transfer is not None and transfer.freeze == "backbone" and transfer.thaw_epoch is None
    images = (data.train_size or source.num_available(data.val_size)) * trial.recipe.epochs
    return forward_work(trial.model, data.image_size) * (1 if is_probe else _TRAINING) * images


def trial_work(trial: Trial, source: Source) -> float:
    """Return the work of a whole trial: its training, validation after each epoch, and the test."""
    data = trial.dataset
    evaluated = data.val_size * trial.recipe.epochs + (data.test_size or source.num_test)
    return training_work(trial, source) + forward_work(trial.model, data.image_size) * evaluated


def read_speed(folder: Path) -> float | None:
    """Return the measured work per second of all workers together, or None before a first run."""
    return _speed(folder)[0]


def write_speed(folder: Path, *, work: float, work_per_second: float) -> None:
    """Keep a run's measured speed, unless the stored one was measured over far more work."""
    speed, before = _speed(folder)
    if speed is not None and work < before / 4:
        return
    content = json.dumps({"work_per_second": work_per_second, "work": work})
    write_atomically(folder / "speed.json", content + "\n")


def estimate_seconds(trials: Iterable[tuple[Trial, Source]], speed: float | None) -> float | None:
    """Return the estimated seconds of trials on their data sets at a speed; None if unknown."""
    return None if speed is None else sum(trial_work(trial, source) for trial, source in trials) / speed


def duration(seconds: float) -> str:
    """Return a rough time in words: 45 s, 12 min, 3.4 h, 2.1 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def _speed(folder: Path) -> tuple[float | None, float]:
    """The stored speed, and the work that it was measured over."""
    try:
        kept = json.loads((folder / "speed.json").read_text(encoding="utf-8"))
        return float(kept["work_per_second"]), float(kept["work"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, 0.0
