"""Several seeds of one network trained at once: each member draws, learns and ends as it would alone.

The members' networks are one stacked network (`xception.network.stacked`) with one optimiser, so that a step is one
step of the device for all. Splits, order, augmentation, dropout, losses, clipping and accuracies are each member's own.
So is its checkpoint, which has the form of a single training's: a single training can continue a member's, and the
other way round.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xception.data.augment import augment, normalise
from xception.data.config import DatasetConfig
from xception.data.dataset import Dataset, Images
from xception.network.config import ModelConfig
from xception.network.stacked import stack, use_generators
from xception.train.checkpoint import CheckpointFolder, TrainingStopped
from xception.train.cuda_graph import build_step
from xception.train.distributed import ALONE
from xception.train.evaluate import Evaluation, evaluate_members
from xception.train.execution import QUICK, Execution
from xception.train.loop import FitResult, finish, result_of
from xception.train.optimiser import WeightAverage, stack_optimisers, unstack_optimiser
from xception.train.recipe import Recipe
from xception.train.saved_state import resume, save
from xception.train.step import at_least_float32
from xception.train.trainer import Diverged, Stopwatch, Trainer, choose_depthwise, require_finite

__all__ = ["Member", "check_recipe", "fit_members"]


@dataclass(frozen=True, kw_only=True)
class Member:
    """What belongs to one of several trainings; see `xception.train.loop.fit`."""

    seed: int
    stream: int = 0
    weights: Path | None = None
    checkpoints: CheckpointFolder | None = None


def check_recipe(recipe: Recipe, execution: Execution = QUICK) -> None:
    """Refuse recipes under which members would depend on each other, and ways of computing that stacked networks do not
    support.

    Raises:
        ValueError: the recipe's precision or batch norm, or the way of computing, does not allow several members.
    """
    if recipe.precision == "float16":
        raise ValueError(
            "Recipe.precision: 'float16' is not allowed for several members, as the scale of a loss follows its own"
            " history; float32 or bfloat16"
        )
    if recipe.batch_norm_shares > 1:
        raise ValueError(f"Recipe.batch_norm_shares: {recipe.batch_norm_shares} is not allowed for several members; 1")
    if execution.compile:
        raise ValueError("Execution.compile: True is not allowed for several members; False")


def fit_members(
    *,
    model: ModelConfig,
    recipe: Recipe,
    dataset: Dataset,
    data: DatasetConfig,
    members: Sequence[Member],
    device: str | torch.device = "cpu",
    execution: Execution = QUICK,
    on_epoch: Callable[[int, dict[str, Any]], None] = lambda member, row: None,
    on_step: Callable[[], None] = lambda: None,
) -> list[FitResult]:
    """Train members of one network and recipe at once; return what came of each, as `fit` would for it alone.

    `on_epoch` is called with a member's number and its row of the curves, `on_step` after each step of all. A member
    that diverges leaves the batch. If several have stopped being finite when the losses are read, each is trained again
    alone, as one may have spoilt another's numbers. Times are each member's share of the whole.

    Raises:
        ValueError: as for `fit`; also where recipe or network do not allow several members.
        CheckpointError: a folder holds a checkpoint of another training.
        TrainingStopped: `on_step` raised it.
    """
    check_recipe(recipe, execution)
    where = torch.device(device)
    # One copy on the device serves all members.
    shared = dataclasses.replace(dataset, train=dataset.train.place(where)) if where.type == "cuda" else dataset

    def begin(member: Member, *, in_batch: bool) -> Trainer:
        return Trainer(
            model,
            recipe,
            shared,
            data,
            member.seed,
            member.stream,
            where,
            member.weights,
            member.checkpoints,
            ALONE,
            on_step,
            execution,
            in_batch=in_batch,
        )

    trainers = {number: begin(member, in_batch=True) for number, member in enumerate(members)}
    together: dict[int, dict[int, Trainer]] = {}  # by position
    for number, trainer in trainers.items():
        trainer.conditions["members"] = len(members)
        resume(trainer)
        together.setdefault(trainer.num_steps_done, {})[number] = trainer
    results: dict[int, FitResult] = {}
    for part in together.values():
        batch = _SeedBatch(part, data, execution, on_epoch)
        results |= batch.run()
        for number in batch.spoilt:
            alone = begin(members[number], in_batch=False)
            resume(alone)
            results[number] = finish(alone, partial(on_epoch, number))
    return [results[number] for number in range(len(members))]


class _SeedBatch:
    """Trainings at the same step, and the stack that trains them."""

    def __init__(
        self,
        trainers: dict[int, Trainer],
        data: DatasetConfig,
        execution: Execution,
        on_epoch: Callable[[int, dict[str, Any]], None],
    ) -> None:
        self.trainers, self.data, self.on_epoch, self.execution = dict(trainers), data, on_epoch, execution
        self.num_members = len(trainers)
        self.spoilt: list[int] = []
        self.results: dict[int, FitResult] = {}
        self.stopwatch = Stopwatch()
        self._stack()

    @property
    def first(self) -> Trainer:
        """Any of the trainings, for what is the same in all."""
        return next(iter(self.trainers.values()))

    def run(self) -> dict[int, FitResult]:
        """Train to the end; return the results by member, without those of `spoilt` ones."""
        try:
            while self.trainers and self.first.epoch < self.first.recipe.epochs:
                self._train_epoch()
                if self.trainers:
                    self._close_epoch()
            if self.trainers:
                tests = self._evaluate([trainer.own_test for trainer in self.trainers.values()])
                self._unstack()
                for (number, trainer), test in zip(self.trainers.items(), tests, strict=True):
                    self._end(number, trainer, None, test)
        except TrainingStopped:
            self._save()
            raise
        return self.results

    def _stack(self) -> None:
        """Take the state of all trainings into the stack."""
        trainers = list(self.trainers.values())
        first = self.first
        self.network = stack([trainer.model for trainer in trainers])
        self.how = choose_depthwise(self.network, first.recipe, self.data, first.device, self.execution, len(trainers))
        self.optimiser = stack_optimisers(self.network, [(trainer.model, trainer.optimiser) for trainer in trainers])
        self.average = None
        if first.average is not None:
            self.average = WeightAverage(self.network, first.recipe.ema_decay)
            self.average.num_updates = first.average.num_updates
            for i, average in enumerate(self.average.average):
                average.copy_(
                    torch.stack([trainer.average.average[i] for trainer in trainers if trainer.average is not None])
                )
        self.generators = [torch.Generator(first.device) for _ in trainers]
        use_generators(self.network, self.generators)
        self.losses = torch.stack([trainer.losses for trainer in trainers])
        self.compute = build_step(
            self.optimiser,
            first.recipe,
            self.average,
            first.device,
            cuda_graph=self.execution.cuda_graph,
            num_members=len(trainers),
            generators=self.generators,
        )

    @torch.no_grad()
    def _unstack(self) -> None:
        """Copy the stack's state back into every training."""
        tensors = self.network.state_dict()
        for i, trainer in enumerate(self.trainers.values()):
            for name, tensor in trainer.model.state_dict().items():
                tensor.copy_(tensors[name][i])
            unstack_optimiser(self.optimiser, i, trainer.optimiser)
            if self.average is not None and trainer.average is not None:
                trainer.average.num_updates = self.average.num_updates
                for own, average in zip(trainer.average.average, self.average.average, strict=True):
                    own.copy_(average[i])
            trainer.losses.copy_(self.losses[i])
            trainer.stopwatch.seconds += self.stopwatch.seconds / len(self.trainers)
        self.stopwatch.seconds = 0.0

    # Steps

    def _train_epoch(self) -> None:
        first = self.first
        self._begin_epoch()
        with self.stopwatch:
            while self.trainers and first.step < first.steps_per_epoch:
                self._take_step()
                if first.device.type == "cpu" or first.step % 64 == 0 or first.step == first.steps_per_epoch:
                    self._drop_diverged()
                    if not self.trainers:
                        return
                    first = self.first
                first.on_step()
                if first.step < first.steps_per_epoch and self._is_due(at_epoch_end=False):
                    self.stopwatch.stop()
                    self._save()
                    self.stopwatch.start()

    def _begin_epoch(self) -> None:
        self.first.begin_epoch(self.network)
        self.compute.begin_epoch(self.network)
        orders = [trainer.order() for trainer in self.trainers.values()]
        self.orders = torch.stack(orders)
        parts = [trainer.train for trainer in self.trainers.values()]
        # Members that share one storage gather all images of a step at once.
        if all(part.storage is parts[0].storage and part.index is not None for part in parts):
            places = [part.index[order] for part, order in zip(parts, orders, strict=True) if part.index is not None]
            self.source: tuple[Images, Tensor] | None = (dataclasses.replace(parts[0], index=None), torch.stack(places))
        else:
            self.source = None

    def _take_step(self) -> None:
        first, trainers = self.first, list(self.trainers.values())
        size = first.recipe.batch_size
        for generator, trainer in zip(self.generators, trainers, strict=True):
            generator.manual_seed(trainer.step_seed("step"))
        self.compute.prepare(first.rate_factor())
        images, labels = self._batch(slice(first.step * size, (first.step + 1) * size))
        images, target = augment(
            images,
            labels,
            first.recipe.augment,
            [torch.Generator().manual_seed(t.step_seed("augmentation")) for t in trainers],
            statistics=first.statistics,
            num_classes=first.num_classes,
        )
        target = target.view(len(trainers), size, *target.shape[1:])
        self.losses[:, first.step] = self.compute(
            self.network, _side_by_side(images.view(len(trainers), size, *images.shape[1:])), target
        )
        for trainer in trainers:
            trainer.step += 1

    def _batch(self, places: slice) -> tuple[Tensor, Tensor]:
        """Images (members × N, C, H, W) and labels of one step, a member's after the other's."""
        if self.source is not None:
            images, positions = self.source
            return images.batch(positions[:, places].flatten())
        batches = [
            trainer.train.batch(order[places])
            for trainer, order in zip(self.trainers.values(), self.orders, strict=True)
        ]
        images_of, labels_of = zip(*batches, strict=True)
        return torch.cat(images_of).to(self.first.device), torch.cat(labels_of).to(self.first.device)

    # Epochs

    def _close_epoch(self) -> None:
        held_out = self._evaluate([trainer.own_val for trainer in self.trainers.values()])
        self._unstack()
        diverged: dict[int, str] = {}
        for (number, trainer), evaluation in zip(self.trainers.items(), held_out, strict=True):
            try:
                self.on_epoch(number, trainer.close_epoch(evaluation))
            except Diverged as why:
                diverged[number] = str(why)
        self.losses.zero_()
        if diverged:
            self._drop(diverged)
        if self.trainers and self._is_due(at_epoch_end=True):
            self._save()

    def _evaluate(self, parts: list[Images]) -> list[Evaluation]:
        """Evaluate every member's weights that count on images of its own."""
        first = self.first

        def predict(images: list[Tensor]) -> list[Tensor]:
            first.on_step()
            self.network.eval()
            with self.compute.autocast():
                logits: Tensor = self.network(
                    _side_by_side(torch.stack([normalise(part, first.statistics) for part in images]))
                )
            return list(at_least_float32(logits).view(len(logits), len(images), -1).unbind(1))

        if self.average is not None:
            self.average.swap()
        try:
            return evaluate_members(predict, parts)
        finally:
            if self.average is not None:
                self.average.swap()

    # Ends

    def _drop_diverged(self) -> None:
        """End a member whose loss stopped being finite; if several did at once, set them aside."""
        done = self.losses[:, : self.first.step]
        if bool(torch.isfinite(done).all()):
            return
        self.stopwatch.stop()
        self._unstack()
        diverged: dict[int, str] = {}
        for number, trainer in self.trainers.items():
            try:
                require_finite(trainer.losses[: trainer.step], trainer.epoch)
            except Diverged as why:
                diverged[number] = str(why)
        self._drop(diverged)
        if self.trainers:
            self._begin_epoch()
        self.stopwatch.start()

    def _drop(self, diverged: dict[int, str]) -> None:
        """Remove members from the batch; every training already holds its own state."""
        suspects = [
            number for number, trainer in self.trainers.items() if number in diverged or not _is_finite(trainer.model)
        ]
        for number in suspects:
            trainer = self.trainers.pop(number)
            if len(suspects) == 1:
                self._end(number, trainer, diverged[number], None)
            else:
                self.spoilt.append(number)
        if self.trainers:
            self._stack()

    def _end(self, number: int, trainer: Trainer, reason: str | None, test: Evaluation | None) -> None:
        if trainer.average is not None:
            trainer.average.swap()
        how = self.compute.how | self.how | {"seed_batch": self.num_members}
        self.results[number] = dataclasses.replace(result_of(trainer, reason, test), how=how)

    def _is_due(self, *, at_epoch_end: bool) -> bool:
        folders = [trainer.checkpoints for trainer in self.trainers.values() if trainer.checkpoints is not None]
        return any(folder.is_due(at_epoch_end=at_epoch_end, num_together=len(folders)) for folder in folders[:1])

    def _save(self) -> None:
        self._unstack()
        for trainer in self.trainers.values():
            save(trainer)


def _side_by_side(images: Tensor) -> Tensor:
    """Images (members, N, C, H, W) as (N, members × C, H, W), channels-last."""
    return images.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)


def _is_finite(network: nn.Module) -> bool:
    return all(
        bool(torch.isfinite(tensor).all()) for tensor in network.state_dict().values() if tensor.is_floating_point()
    )
