"""The training loop: from configs, data and a seed to accuracies, the same bits every time on a CPU."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xception.config import ModelConfig
from xception.data.augment import augment, normalise
from xception.data.config import DatasetConfig
from xception.data.dataset import Dataset, Images
from xception.data.splits import split
from xception.initialisation import initialise
from xception.model import build
from xception.train.evaluate import Evaluation, evaluate
from xception.train.optimiser import WeightAverage, build_optimiser
from xception.train.randomness import derive_seed
from xception.train.recipe import Recipe

__all__ = ["FitResult", "fit"]


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What came of a training; accuracies are fractions, losses mean cross-entropies in nats."""

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
    params: int
    train_seconds: float
    images_per_second: float
    device: str
    model: nn.Module = field(repr=False, compare=False)


class _Diverged(Exception):
    """The loss stopped being a number."""


def fit(
    *,
    model: ModelConfig,
    recipe: Recipe,
    dataset: Dataset,
    data: DatasetConfig,
    seed: int,
    stream: int = 0,
    device: str | torch.device = "cpu",
    on_epoch: Callable[[dict[str, Any]], None] = lambda row: None,
) -> FitResult:
    """Train a network by a recipe, and read the test set once at the end.

    The seed draws the validation split; seed and stream draw initial values, the order of images,
    augmentation and dropout, so that two networks under the same seed see the same batches.

    Raises:
        ValueError: the training set is smaller than a batch, or the network does not fit the data.
    """
    trainer = _Trainer(model, recipe, dataset, data, seed, stream, torch.device(device))
    curves: list[dict[str, Any]] = []
    reason = None
    final: Evaluation | None = None
    try:
        for epoch in range(recipe.epochs):
            train_loss = trainer.train_epoch(epoch)
            final = trainer.evaluate(trainer.val)
            curves.append({"epoch": epoch + 1, "train_loss": train_loss, "val_loss": final.loss, "val_accuracy": final.accuracy})
            if not math.isfinite(final.loss):
                raise _Diverged(f"the validation loss is {final.loss} after epoch {epoch + 1}")
            on_epoch(curves[-1])
    except _Diverged as diverged:
        reason = _with_last_finite(str(diverged), curves)
    test = None if reason else trainer.evaluate(trainer.test)
    seconds = trainer.train_seconds
    return FitResult(
        status="diverged" if reason else "complete",
        reason=reason,
        curves=[row for row in curves if math.isfinite(row["val_loss"])],
        val_accuracy=final.accuracy if final and not reason else None,
        val_loss=final.loss if final and not reason else None,
        test_accuracy=test.accuracy if test else None,
        test_top5_accuracy=test.top5_accuracy if test else None,
        test_loss=test.loss if test else None,
        num_test=len(trainer.test),
        num_classes=trainer.num_classes,
        correct=np.packbits(test.correct.numpy()).tobytes() if test else None,
        params=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        train_seconds=seconds,
        images_per_second=trainer.images_seen / seconds if seconds else 0.0,
        device=_device_name(trainer.device),
        model=trainer.model,
    )


class _Trainer:
    """The state of one training: network, optimiser, average, data on the device."""

    def __init__(
        self, config: ModelConfig, recipe: Recipe, dataset: Dataset, data: DatasetConfig, seed: int, stream: int, device: torch.device
    ) -> None:
        self.recipe, self.seed, self.stream, self.device = recipe, seed, stream, device
        parts = split(dataset, data, seed)
        self.num_train = len(parts.train)
        if self.num_train < recipe.batch_size:
            raise ValueError(f"Recipe.batch_size: {recipe.batch_size} is not allowed; at most the number of training images, {self.num_train}")
        recipe.augment.check_size(data.image_size)
        self.train, self.val, self.test = parts.train.to(device), parts.val.to(device), parts.test.to(device)
        self.statistics, self.num_classes = dataset.statistics, dataset.source.num_classes

        network = build(config)
        initialise(network, seed=derive_seed("initial values", seed, stream), scheme=getattr(config, "initialisation", None))
        self.model = network.to(device=device, memory_format=torch.channels_last).train()
        self.optimiser = build_optimiser(self.model, recipe)
        self.peak_rates = [float(group["lr"]) for group in self.optimiser.param_groups]
        self.average = WeightAverage(self.model, recipe.ema_decay) if recipe.ema_decay else None
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16")
        self.precision = None if recipe.precision == "float32" else getattr(torch, recipe.precision)

        self.steps_per_epoch = self.num_train // recipe.batch_size  # the rest of a permutation waits for the next epoch's
        self.num_steps = self.steps_per_epoch * recipe.epochs
        self.train_seconds = 0.0
        self.images_seen = 0

    def train_epoch(self, epoch: int) -> float:
        """Train one epoch (counted from 0) and return the mean loss over its steps."""
        started = time.perf_counter()
        self.model.train()
        generator = torch.Generator().manual_seed(derive_seed("order", self.seed, self.stream, epoch))
        order = torch.randperm(self.num_train, generator=generator).to(self.device)
        losses = torch.zeros(self.steps_per_epoch, device=self.device)
        for step in range(self.steps_per_epoch):
            losses[step] = self._step(epoch, step, order[step * self.recipe.batch_size : (step + 1) * self.recipe.batch_size])
            if self.device.type == "cpu" or step % 64 == 63:
                _require_finite(losses[: step + 1], epoch)
        mean = float(losses.mean())
        self.train_seconds += time.perf_counter() - started
        self.images_seen += self.steps_per_epoch * self.recipe.batch_size
        _require_finite(losses, epoch)
        return mean

    def _step(self, epoch: int, step: int, batch: Tensor) -> Tensor:
        torch.manual_seed(derive_seed("step", self.seed, self.stream, epoch, step))  # for dropout and stochastic depth
        factor = self.recipe.schedule.factor(epoch * self.steps_per_epoch + step, self.num_steps, self.steps_per_epoch)
        for group, peak in zip(self.optimiser.param_groups, self.peak_rates, strict=True):
            group["lr"] = peak * factor
        generator = torch.Generator().manual_seed(derive_seed("augmentation", self.seed, self.stream, epoch, step))
        images, target = augment(
            *self.train.batch(batch), self.recipe.augment, generator, statistics=self.statistics, num_classes=self.num_classes
        )
        with torch.autocast(self.device.type, dtype=self.precision, enabled=self.precision is not None):
            logits = self.model(images.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits.float(), target, label_smoothing=self.recipe.label_smoothing)
        self.scaler.scale(loss).backward()
        if self.recipe.gradient_clip is not None:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.gradient_clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update()
        return loss.detach()

    def evaluate(self, part: Images) -> Evaluation:
        """Evaluate the weights that count: the running average where there is one."""
        if self.average is not None:
            self.average.swap()
        try:
            return evaluate(self._logits, part)
        finally:
            if self.average is not None:
                self.average.swap()

    def _logits(self, images: Tensor) -> Tensor:
        self.model.eval()
        with torch.autocast(self.device.type, dtype=self.precision, enabled=self.precision is not None):
            logits: Tensor = self.model(normalise(images, self.statistics).contiguous(memory_format=torch.channels_last))
        return logits.float()


def _require_finite(losses: Tensor, epoch: int) -> None:
    bad = (~torch.isfinite(losses)).nonzero()
    if len(bad):
        step = int(bad[0])
        before = f", {float(losses[step - 1]):.6g} one step before" if step else ""
        raise _Diverged(f"the training loss is {float(losses[step])} at epoch {epoch + 1}, step {step + 1}{before}")


def _with_last_finite(reason: str, curves: list[dict[str, Any]]) -> str:
    finite = [row for row in curves if math.isfinite(row["val_loss"])]
    if not finite:
        return f"{reason}; no epoch was finished"
    last = finite[-1]
    return f"{reason}; after epoch {last['epoch']} the validation accuracy was {last['val_accuracy']:.4f}"


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
