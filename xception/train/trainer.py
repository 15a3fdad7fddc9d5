"""The state of one training: network, optimiser, average, data on the device, and position."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xception.base.canonical import Plain, to_plain
from xception.data.augment import augment, normalise
from xception.data.config import DatasetConfig
from xception.data.dataset import Dataset, Images
from xception.data.splits import split
from xception.network.config import ModelConfig
from xception.network.initialisation import initialise
from xception.network.model import build
from xception.network.transfer import freeze
from xception.network.weights import load_pretrained
from xception.train.checkpoint import CheckpointFolder
from xception.train.compiled import CompiledNetwork
from xception.train.distributed import Group
from xception.train.evaluate import Evaluation, evaluate
from xception.train.execution import Execution
from xception.train.optimiser import WeightAverage, build_optimiser
from xception.train.randomness import derive_seed
from xception.train.recipe import Recipe
from xception.train.saved_state import save
from xception.train.step import at_least_float32, build_step

__all__ = ["Diverged", "Stopwatch", "Trainer", "choose_depthwise", "require_finite"]


class Diverged(Exception):  # noqa: N818 - no error: how a training ends
    """The loss stopped being a number."""


class Stopwatch:
    """Seconds of training, over all processes that took part in it; runs inside a `with`."""

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


class Trainer:
    """The state of one training: network, optimiser, average, data on the device, and position.

    `epoch` and `step` are those to be done next, counted from 0; `step` reaches `steps_per_epoch` while the epoch is
    evaluated.
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
        execution: Execution,
        *,
        in_batch: bool = False,
    ) -> None:
        self.recipe, self.seed, self.stream, self.device, self.group = recipe, seed, stream, device, group
        self.checkpoints, self.on_step = checkpoints, on_step
        parts = split(dataset, data, seed)
        self.num_train = len(parts.train)
        if self.num_train < recipe.batch_size:
            raise ValueError(
                f"Recipe.batch_size: {recipe.batch_size} is not allowed; at most the number of training images,"
                f" {self.num_train}"
            )
        recipe.augment.check_size(data.image_size)
        self.val, self.test = parts.val, parts.test
        self.own_val, self.own_test = group.part(parts.val).place(device), group.part(parts.test).place(device)
        # With several processes, each reads its share of a batch from the mapped files.
        self.train = parts.train.place(device) if group.size == 1 else parts.train
        self.statistics, self.num_classes = dataset.statistics, dataset.source.num_classes

        network = build(config)
        initialise(network, config.initialisation, seed=derive_seed("initial values", seed, stream))
        _begin_with(network, recipe, weights)
        network = group.prepare(network, recipe, device)
        self.model: nn.Module = network.to(device).to(memory_format=torch.channels_last).train()
        self.optimiser = build_optimiser(self.model, recipe)
        self.average = WeightAverage(self.model, recipe.ema_decay) if recipe.ema_decay else None
        self.compute = build_step(
            self.optimiser,
            recipe,
            self.average,
            device,
            cuda_graph=execution.cuda_graph and group.size == 1 and not in_batch,
        )
        self.how: dict[str, Any] = {} if in_batch else choose_depthwise(self.model, recipe, data, device, execution)
        # Freezing changes what trains, and several processes wrap the network; neither goes through the compiled
        # function.
        self.compiled: nn.Module | None = None
        if execution.compile and recipe.transfer is None and group.size == 1 and not in_batch:
            self.compiled = CompiledNetwork(self.model, config)
            self.how["compiled"] = True

        self.steps_per_epoch = self.num_train // recipe.batch_size  # the rest of a permutation is left out
        self.num_steps = self.steps_per_epoch * recipe.epochs
        self.epoch = 0
        self.step = 0
        self.losses = torch.zeros(self.steps_per_epoch, device=device)
        self.curves: list[dict[str, Any]] = []
        self.stopwatch = Stopwatch()

        self.identity: Plain = {
            "model": {"type": type(config).tag, **to_plain(config)},
            "recipe": to_plain(recipe),
            "data": to_plain(data),
            "seed": seed,
            "stream": stream,
            "semantics": checkpoints.semantics if checkpoints else None,
        }
        self.conditions: dict[str, Any] = {
            "threads": torch.get_num_threads(),
            "device": _device_name(device),
            "torch": str(torch.__version__),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "processes": group.size,
            "members": 1,
        }
        self.changed: dict[str, list[Any]] = {}
        self.continued_from: int | None = None  # the epoch at which a parent's state was taken over

    @property
    def num_steps_done(self) -> int:
        """Steps since the start of the training."""
        return self.epoch * self.steps_per_epoch + self.step

    def run_epoch(self) -> dict[str, Any]:
        """Train what is left of the present epoch, evaluate, and return the epoch's row of the curves."""
        self._train_epoch()
        require_finite(self.losses, self.epoch)
        row = self.close_epoch(self.evaluate(self.own_val, self.val))
        if self.checkpoints and self.checkpoints.is_due(at_epoch_end=True):
            save(self)
        return row

    def close_epoch(self, held_out: Evaluation) -> dict[str, Any]:
        """Record the evaluation of an epoch whose steps are done, move on to the next epoch, and return the row of the
        curves.

        Raises:
            Diverged: the validation loss is not a number.
        """
        train_loss = float(self.losses.mean())
        row = {
            "epoch": self.epoch + 1,
            "train_loss": train_loss,
            "val_loss": held_out.loss,
            "val_accuracy": held_out.accuracy,
        }
        self.curves.append(row)
        if not math.isfinite(held_out.loss):
            raise Diverged(f"the validation loss is {held_out.loss} after epoch {self.epoch + 1}")
        self.epoch, self.step = self.epoch + 1, 0
        self.losses.zero_()
        return row

    def begin_epoch(self, model: nn.Module) -> None:
        """Put a network of this training into training mode, and freeze the parts that the recipe freezes in this
        epoch.
        """
        model.train()
        if (transfer := self.recipe.transfer) is not None:
            freeze(model, transfer.freeze, epoch=self.epoch, thaw_epoch=transfer.thaw_epoch)

    def order(self) -> Tensor:
        """The indices of the present epoch's images in order, `(num_train,)`, int64, on the device that stores the
        images.
        """
        generator = torch.Generator().manual_seed(derive_seed("order", self.seed, self.stream, self.epoch))
        return torch.randperm(self.num_train, generator=generator).to(self.train.storage.device)

    def step_seed(self, purpose: str, *more: int) -> int:
        """The seed of what is drawn for one purpose in the present step."""
        return derive_seed(purpose, self.seed, self.stream, self.epoch, self.step, *more)

    def rate_factor(self) -> float:
        """The multiple of the peak rate at the present step."""
        return self.recipe.schedule.factor(self.num_steps_done, self.num_steps, self.steps_per_epoch)

    def _train_epoch(self) -> None:
        """Train from the present step to the end of the epoch; the time for checkpoints is not counted."""
        self.begin_epoch(self.model)
        parallel = self.compiled or self.group.parallel(self.model)
        self.compute.begin_epoch(parallel)
        order, size = self.order(), self.recipe.batch_size
        with self.stopwatch:
            while self.step < self.steps_per_epoch:
                self.losses[self.step] = self._train_step(parallel, order[self.step * size : (self.step + 1) * size])
                self.step += 1
                if self.device.type == "cpu" or self.step % 64 == 0:
                    require_finite(self.losses[: self.step], self.epoch)
                self.on_step()
                if (
                    self.checkpoints
                    and self.step < self.steps_per_epoch
                    and self.checkpoints.is_due(at_epoch_end=False)
                ):
                    self.stopwatch.stop()
                    save(self)
                    self.stopwatch.start()
            self.losses.sum().item()  # waits for the device, so that its work is counted

    def _train_step(self, parallel: nn.Module, batch: Tensor) -> Tensor:
        share = self.group.share(len(batch))
        others = (self.group.rank,) if self.group.rank else ()
        torch.manual_seed(self.step_seed("step", *others))  # for dropout, stochastic depth
        self.compute.prepare(self.rate_factor())
        generator = torch.Generator().manual_seed(self.step_seed("augmentation"))
        own = batch if share is None else batch[share.rows(self.recipe.augment)]
        images, labels = (part.to(self.device, non_blocking=True) for part in self.train.batch(own))
        images, target = augment(
            images,
            labels,
            self.recipe.augment,
            generator,
            statistics=self.statistics,
            num_classes=self.num_classes,
            share=share,
        )
        return self.group.mean(self.compute(parallel, images.contiguous(memory_format=torch.channels_last), target))

    def evaluate(self, own: Images, part: Images) -> Evaluation:
        """Evaluate the running average of weights, or the weights if there is no average, on images of which this
        process holds `own`.
        """
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
        with self.compute.autocast():
            logits: Tensor = self.model(
                normalise(images, self.statistics).contiguous(memory_format=torch.channels_last)
            )
        return at_least_float32(logits)


def choose_depthwise(
    network: nn.Module,
    recipe: Recipe,
    data: DatasetConfig,
    device: torch.device,
    execution: Execution,
    num_members: int = 1,
) -> dict[str, Any]:
    """Choose the backends of a network's depthwise convolutions if that is enabled; return what the record stores of
    it.
    """
    if device.type != "cuda" or execution.depthwise == "torch":
        return {}
    from xception.train.depthwise_choice import choose_backends

    images = torch.zeros((recipe.batch_size, 3 * num_members, data.image_size, data.image_size), device=device)
    dtype = getattr(torch, recipe.precision)
    return {"depthwise": choose_backends(network, images.contiguous(memory_format=torch.channels_last), dtype)}


def _begin_with(network: nn.Module, recipe: Recipe, weights: Path | None) -> None:
    """Load the backbone that a recipe with `transfer` begins with; the head keeps its initial values.

    Raises:
        ValueError: there are weights and no transfer or the other way round, or the file is not the one that the recipe
            names.
    """
    transfer = recipe.transfer
    if transfer is None or weights is None:
        if transfer is not None or weights is not None:
            raise ValueError(
                "Recipe.transfer: it goes with a file of weights, and one without the other is not allowed"
            )
        return
    kind, _, digest = (transfer.source or "").partition(":")
    if kind == "file" and hashlib.sha256(weights.read_bytes()).hexdigest() != digest:
        raise ValueError(f"Transfer.source: {transfer.source!r} is not the content of {str(weights)!r}")
    load_pretrained(network, weights, replace_head=True)


def require_finite(losses: Tensor, epoch: int) -> None:
    bad = (~torch.isfinite(losses)).nonzero()
    if len(bad):
        step = int(bad[0])
        before = f", {float(losses[step - 1]):.6g} one step before" if step else ""
        raise Diverged(f"the training loss is {float(losses[step])} at epoch {epoch + 1}, step {step + 1}{before}")


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
