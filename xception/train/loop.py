"""The training loop: from configs, data and a seed to accuracies, the same bits every time on a CPU.

Nothing random is carried from step to step (`xception.train.randomness`), so the state of a training is its tensors and where it
stands: killed at any step and continued from a checkpoint, it comes to the same bits.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xception.canonical import Plain, to_plain
from xception.config import ModelConfig
from xception.data.augment import augment, normalise
from xception.data.config import DatasetConfig
from xception.data.dataset import Dataset, Images
from xception.data.splits import split
from xception.initialisation import initialise
from xception.model import build
from xception.train.checkpoint import Checkpoint, CheckpointError, CheckpointFolder, TrainingStopped, difference
from xception.train.distributed import ALONE, Group
from xception.train.evaluate import Evaluation, evaluate
from xception.train.optimiser import WeightAverage, build_optimiser, optimiser_state, restore_optimiser
from xception.train.randomness import derive_seed
from xception.train.recipe import Recipe
from xception.transfer import freeze
from xception.weights import load_pretrained

__all__ = ["FitResult", "TrainingStopped", "fit"]

_CHECKPOINT_FORMAT = 1


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
    # What a continued training ran under where that changed on the way ('threads', 'device', 'torch'): its last bits may differ.
    changed: dict[str, list[Any]]
    # With the weights that were evaluated: the running average where there is one.
    model: nn.Module = field(repr=False, compare=False)


class _Diverged(Exception):  # noqa: N818 - no error: how a training ends
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
    weights: Path | None = None,
    checkpoints: CheckpointFolder | None = None,
    group: Group = ALONE,
    on_epoch: Callable[[dict[str, Any]], None] = lambda row: None,
    on_step: Callable[[], None] = lambda: None,
) -> FitResult:
    """Train a network by a recipe, and read the test set once at the end.

    The seed draws the validation split; seed and stream draw initial values, the order of images,
    augmentation and dropout, so that two networks under the same seed see the same batches.

    `weights` is the file that a recipe with `transfer` begins with. All processes of a `group` call this alike, the first with the
    checkpoints.

    With `checkpoints` the training continues from what its folder holds. `on_step` is called after each step and each evaluated
    batch; raising `TrainingStopped` there saves the state and ends the training.

    Raises:
        ValueError: the training set is smaller than a batch, the network does not fit the data, or the weights not the network.
        CheckpointError: the folder holds a checkpoint of another training.
        TrainingStopped: `on_step` raised it.
    """
    trainer = _Trainer(model, recipe, dataset, data, seed, stream, torch.device(device), weights, checkpoints, group, on_step)
    trainer.resume()
    reason = None
    test: Evaluation | None = None
    try:
        while trainer.epoch < recipe.epochs:
            on_epoch(trainer.run_epoch())
        test = trainer.evaluate(trainer.own_test, trainer.test)
    except _Diverged as diverged:
        reason = _with_last_finite(str(diverged), trainer.curves)
    except TrainingStopped:
        trainer.save()
        raise
    if trainer.average is not None:
        trainer.average.swap()
    last = None if reason else trainer.curves[-1]
    seconds = trainer.stopwatch.seconds
    return FitResult(
        status="diverged" if reason else "complete",
        reason=reason,
        curves=[row for row in trainer.curves if math.isfinite(row["val_loss"])],
        val_accuracy=last["val_accuracy"] if last else None,
        val_loss=last["val_loss"] if last else None,
        test_accuracy=test.accuracy if test else None,
        test_top5_accuracy=test.top5_accuracy if test else None,
        test_loss=test.loss if test else None,
        num_test=len(trainer.test),
        num_classes=trainer.num_classes,
        correct=np.packbits(test.correct.numpy()).tobytes() if test else None,
        params=sum(p.numel() for p in trainer.model.parameters()),
        train_seconds=seconds,
        images_per_second=trainer.num_steps_done * recipe.batch_size / seconds if seconds else 0.0,
        device=_device_name(trainer.device),
        changed=trainer.changed,
        model=trainer.model,
    )


class _Stopwatch:
    """Seconds of training, over all the processes that had a part in it; runs inside a `with`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began: float | None = None

    def start(self) -> None:
        self._began = time.perf_counter()

    def stop(self) -> None:
        if self._began is not None:
            self.seconds += time.perf_counter() - self._began
        self._began = None

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *raised: object) -> None:
        self.stop()


class _Trainer:
    """The state of one training: network, optimiser, average, data on the device, and where it stands.

    `epoch` and `step` are those to be done next, counted from 0; `step` reaches `steps_per_epoch` while the epoch is evaluated.
    """

    def __init__(
        self,
        config: ModelConfig,
        recipe: Recipe,
        dataset: Dataset,
        data: DatasetConfig,
        seed: int,
        stream: int,
        device: torch.device,
        weights: Path | None,
        checkpoints: CheckpointFolder | None,
        group: Group,
        on_step: Callable[[], None],
    ) -> None:
        self.recipe, self.seed, self.stream, self.device, self.group = recipe, seed, stream, device, group
        self.checkpoints, self.on_step = checkpoints, on_step
        parts = split(dataset, data, seed)
        self.num_train = len(parts.train)
        if self.num_train < recipe.batch_size:
            raise ValueError(
                f"Recipe.batch_size: {recipe.batch_size} is not allowed; at most the number of training images, {self.num_train}"
            )
        recipe.augment.check_size(data.image_size)
        self.val, self.test = parts.val, parts.test
        self.own_val, self.own_test = group.part(parts.val).place(device), group.part(parts.test).place(device)
        # Several processes each read their share of a batch from the files that they all map.
        self.train = parts.train.place(device) if group.size == 1 else parts.train
        self.statistics, self.num_classes = dataset.statistics, dataset.source.num_classes

        network = build(config)
        initialise(network, config.initialisation, seed=derive_seed("initial values", seed, stream))
        _begin_with(network, recipe, weights)
        network = group.prepare(network, recipe, device)
        self.model: nn.Module = network.to(device).to(memory_format=torch.channels_last).train()
        self.optimiser = build_optimiser(self.model, recipe)
        self.peak_rates = [float(group["lr"]) for group in self.optimiser.param_groups]
        self.average = WeightAverage(self.model, recipe.ema_decay) if recipe.ema_decay else None
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16")
        self.precision = None if recipe.precision == "float32" else getattr(torch, recipe.precision)

        self.steps_per_epoch = self.num_train // recipe.batch_size  # the rest of a permutation waits for the next epoch's
        self.num_steps = self.steps_per_epoch * recipe.epochs
        self.epoch = 0
        self.step = 0
        self.losses = torch.zeros(self.steps_per_epoch, device=device)
        self.curves: list[dict[str, Any]] = []
        self.stopwatch = _Stopwatch()

        self.identity: Plain = {
            "model": {"type": type(config).tag, **to_plain(config)}, "recipe": to_plain(recipe), "data": to_plain(data),
            "seed": seed, "stream": stream, "semantics": checkpoints.semantics if checkpoints else None,
        }  # fmt: skip
        self.conditions: dict[str, Any] = {
            "threads": torch.get_num_threads(), "device": _device_name(device), "torch": str(torch.__version__),
            "processes": group.size,
        }  # fmt: skip
        self.changed: dict[str, list[Any]] = {}

    @property
    def num_steps_done(self) -> int:
        """Steps since the start of the training."""
        return self.epoch * self.steps_per_epoch + self.step

    def run_epoch(self) -> dict[str, Any]:
        """Train what is left of the present epoch, evaluate, and return the epoch's row of the curves."""
        self._train_epoch()
        train_loss = float(self.losses.mean())
        _require_finite(self.losses, self.epoch)
        held_out = self.evaluate(self.own_val, self.val)
        row = {"epoch": self.epoch + 1, "train_loss": train_loss, "val_loss": held_out.loss, "val_accuracy": held_out.accuracy}
        self.curves.append(row)
        if not math.isfinite(held_out.loss):
            raise _Diverged(f"the validation loss is {held_out.loss} after epoch {self.epoch + 1}")
        self.epoch, self.step = self.epoch + 1, 0
        self.losses.zero_()
        if self.checkpoints and self.checkpoints.is_due(at_epoch_end=True):
            self.save()
        return row

    def _train_epoch(self) -> None:
        """Train from the present step to the end of the epoch; the time for checkpoints is not counted."""
        self.model.train()
        if (transfer := self.recipe.transfer) is not None:
            freeze(self.model, transfer.freeze, epoch=self.epoch, thaw_epoch=transfer.thaw_epoch)
        parallel = self.group.parallel(self.model)
        generator = torch.Generator().manual_seed(derive_seed("order", self.seed, self.stream, self.epoch))
        order = torch.randperm(self.num_train, generator=generator).to(self.train.storage.device)
        size = self.recipe.batch_size
        with self.stopwatch:
            while self.step < self.steps_per_epoch:
                self.losses[self.step] = self._train_step(parallel, order[self.step * size : (self.step + 1) * size])
                self.step += 1
                if self.device.type == "cpu" or self.step % 64 == 0:
                    _require_finite(self.losses[: self.step], self.epoch)
                self.on_step()
                if self.checkpoints and self.step < self.steps_per_epoch and self.checkpoints.is_due(at_epoch_end=False):
                    self.stopwatch.stop()
                    self.save()
                    self.stopwatch.start()
            self.losses.sum().item()  # waits for the device, so that its work is counted

    def _train_step(self, parallel: nn.Module, batch: Tensor) -> Tensor:
        share = self.group.share(len(batch))
        others = (self.group.rank,) if self.group.rank else ()
        torch.manual_seed(derive_seed("step", self.seed, self.stream, self.epoch, self.step, *others))  # for dropout, stochastic depth
        factor = self.recipe.schedule.factor(self.num_steps_done, self.num_steps, self.steps_per_epoch)
        for group, peak in zip(self.optimiser.param_groups, self.peak_rates, strict=True):
            group["lr"] = peak * factor
        generator = torch.Generator().manual_seed(derive_seed("augmentation", self.seed, self.stream, self.epoch, self.step))
        own = batch if share is None else batch[share.rows(self.recipe.augment)]
        images, labels = (part.to(self.device, non_blocking=True) for part in self.train.batch(own))
        images, target = augment(
            images, labels, self.recipe.augment, generator, statistics=self.statistics, num_classes=self.num_classes, share=share
        )
        with torch.autocast(self.device.type, dtype=self.precision, enabled=self.precision is not None):
            logits = parallel(images.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits.float(), target, label_smoothing=self.recipe.label_smoothing)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self.recipe.gradient_clip is not None:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.gradient_clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update()
        return self.group.mean(loss.detach())

    def evaluate(self, own: Images, part: Images) -> Evaluation:
        """Evaluate the weights that count, the running average where there is one, on some images, of which `own` are here."""
        if self.average is not None:
            self.average.swap()
        try:
            self.group.level(self.model, self.recipe)
            return self.group.whole(evaluate(self._logits, own), part)
        finally:
            if self.average is not None:
                self.average.swap()

    def _logits(self, images: Tensor) -> Tensor:
        self.on_step()
        self.model.eval()
        with torch.autocast(self.device.type, dtype=self.precision, enabled=self.precision is not None):
            logits: Tensor = self.model(normalise(images, self.statistics).contiguous(memory_format=torch.channels_last))
        return logits.float()

    # The way to disk and back

    def save(self) -> None:
        """Write a checkpoint, where there is a folder for it."""
        if self.checkpoints is None:
            return
        state = {
            "format": _CHECKPOINT_FORMAT,
            "training": self.identity,
            "conditions": self.conditions,
            "changed": self.changed,
            "epoch": self.epoch,
            "step": self.step,
            "curves": self.curves,
            "train_seconds": self.stopwatch.seconds,
            "num_updates": self.average.num_updates if self.average else 0,
            "scaler": self.scaler.state_dict(),
        }
        tensors = self._fixed_tensors()
        tensors |= {f"optimiser.{name}": value for name, value in optimiser_state(self.optimiser).items()}
        self.checkpoints.save(self.num_steps_done, tensors, state)

    def resume(self) -> None:
        """Continue from the newest checkpoint that is whole, where there is one.

        Raises:
            CheckpointError: it belongs to another training.
        """
        checkpoints = self.checkpoints
        found = self.group.from_first(lambda: None if checkpoints is None else checkpoints.newest(self._complaint))
        if found is None:
            return
        with torch.no_grad():
            for name, tensor in self._fixed_tensors().items():
                tensor.copy_(found.tensors[name])
        state = {name: tensor for name, tensor in found.tensors.items() if name.startswith("optimiser.")}
        restore_optimiser(self.optimiser, {name.removeprefix("optimiser."): tensor for name, tensor in state.items()})
        self.scaler.load_state_dict(found.state["scaler"])
        if self.average is not None:
            self.average.num_updates = found.state["num_updates"]
        self.epoch, self.step, self.curves = found.state["epoch"], found.state["step"], found.state["curves"]
        self.stopwatch.seconds = found.state["train_seconds"]
        self.changed = found.state["changed"]
        for name, now in self.conditions.items():
            before = found.state["conditions"].get(name)
            if before != now:
                self.changed[name] = [*self.changed.get(name, [before]), now]
                if checkpoints is not None:
                    checkpoints.say(f"continued under other conditions, the last bits may differ: {name} was {before}, is {now}")

    def _complaint(self, checkpoint: Checkpoint) -> str | None:
        """Why a checkpoint cannot be used, or None."""
        state = checkpoint.state
        if state.get("format") != _CHECKPOINT_FORMAT:
            return f"its format is {state.get('format')!r}, and {_CHECKPOINT_FORMAT} is read"
        differences = difference(state.get("training"), self.identity)
        if differences:
            raise CheckpointError(
                f"{str(checkpoint.path.parent)!r}: its checkpoint is of another training ({'; '.join(differences)}); "
                "remove the folder to begin anew"
            )
        fixed = {name: tensor.shape for name, tensor in self._fixed_tensors().items()}
        found = {name: tensor.shape for name, tensor in checkpoint.tensors.items() if not name.startswith("optimiser.")}
        return None if fixed == found else "its tensors are not those of this network"

    def _fixed_tensors(self) -> dict[str, Tensor]:
        """The tensors that every training of this network has, by name: weights, their average, losses."""
        out = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        out |= {f"average.{i}": tensor for i, tensor in enumerate(self.average.average if self.average else ())}
        return out | {"losses": self.losses}


def _begin_with(network: nn.Module, recipe: Recipe, weights: Path | None) -> None:
    """Load the backbone that a recipe with `transfer` begins with; the head stays as it was drawn.

    Raises:
        ValueError: there are weights and no transfer or the other way round, or the file is not the one that the recipe names.
    """
    transfer = recipe.transfer
    if transfer is None or weights is None:
        if transfer is not None or weights is not None:
            raise ValueError("Recipe.transfer: it goes with a file of weights, and one without the other is not allowed")
        return
    kind, _, digest = (transfer.source or "").partition(":")
    if kind == "file" and hashlib.sha256(weights.read_bytes()).hexdigest() != digest:
        raise ValueError(f"Transfer.source: {transfer.source!r} is not the content of {str(weights)!r}")
    load_pretrained(network, weights, replace_head=True)


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
