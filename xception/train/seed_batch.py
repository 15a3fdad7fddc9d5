"""Several seeds of one network trained at once: each member trains as it would alone.

A step is one step of the device for all members (`xception.train.stacked_training`). Splits, order, augmentation,
dropout, losses, clipping and accuracies are each member's own. So is its checkpoint, which has the form of a single
training's: a single training can continue a member's, and the other way round.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xception.data.config import DatasetConfig
from xception.data.dataset import Dataset
from xception.network.config import ModelConfig
from xception.train.checkpoint import CheckpointFolder, TrainingStopped
from xception.train.distributed import ALONE
from xception.train.evaluate import Evaluation
from xception.train.execution import QUICK, Execution
from xception.train.loop import FitResult, finish, result_of
from xception.train.recipe import Recipe
from xception.train.saved_state import resume, save
from xception.train.stacked_training import StackedTraining
from xception.train.trainer import Diverged, Stopwatch, Trainer, require_finite

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
    """Train members of one network and recipe at once; return for each the result that `fit` would return.

    `on_epoch` is called with a member's number and its row of the curves, `on_step` after each step of all. A member
    that diverges leaves the batch. If several have stopped being finite when the losses are read, each is trained again
    alone, because one may have corrupted the others' values. Times are each member's share of the whole.

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
    """Trainings at the same step until each has ended: epochs, checkpoints, and members that diverge."""

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
        self.stack = self._stacked()

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
                tests = self.stack.evaluate([trainer.own_test for trainer in self.trainers.values()])
                self._copy_back()
                for (number, trainer), test in zip(self.trainers.items(), tests, strict=True):
                    self._end(number, trainer, None, test)
        except TrainingStopped:
            self._save()
            raise
        return self.results

    def _stacked(self) -> StackedTraining:
        return StackedTraining(list(self.trainers.values()), self.data, self.execution)

    def _copy_back(self) -> None:
        """Give every training its state, and its share of the time."""
        self.stack.copy_back()
        for trainer in self.trainers.values():
            trainer.stopwatch.seconds += self.stopwatch.seconds / len(self.trainers)
        self.stopwatch.seconds = 0.0

    def _train_epoch(self) -> None:
        first = self.first
        self.stack.begin_epoch()
        with self.stopwatch:
            while self.trainers and first.step < first.steps_per_epoch:
                self.stack.take_step()
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

    def _close_epoch(self) -> None:
        held_out = self.stack.evaluate([trainer.own_val for trainer in self.trainers.values()])
        self._copy_back()
        diverged: dict[int, str] = {}
        for (number, trainer), evaluation in zip(self.trainers.items(), held_out, strict=True):
            try:
                self.on_epoch(number, trainer.close_epoch(evaluation))
            except Diverged as why:
                diverged[number] = str(why)
        self.stack.losses.zero_()
        if diverged:
            self._drop(diverged)
        if self.trainers and self._is_due(at_epoch_end=True):
            self._save()

    def _drop_diverged(self) -> None:
        """End a member whose loss stopped being finite; if several did at once, set them aside."""
        done = self.stack.losses[:, : self.first.step]
        if bool(torch.isfinite(done).all()):
            return
        self.stopwatch.stop()
        self._copy_back()
        diverged: dict[int, str] = {}
        for number, trainer in self.trainers.items():
            try:
                require_finite(trainer.losses[: trainer.step], trainer.epoch)
            except Diverged as why:
                diverged[number] = str(why)
        self._drop(diverged)
        if self.trainers:
            self.stack.begin_epoch()
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
            self.stack = self._stacked()

    def _end(self, number: int, trainer: Trainer, reason: str | None, test: Evaluation | None) -> None:
        if trainer.average is not None:
            trainer.average.swap()
        how = self.stack.how | {"seed_batch": self.num_members}
        self.results[number] = dataclasses.replace(result_of(trainer, reason, test), how=how)

    def _is_due(self, *, at_epoch_end: bool) -> bool:
        folders = [trainer.checkpoints for trainer in self.trainers.values() if trainer.checkpoints is not None]
        return any(folder.is_due(at_epoch_end=at_epoch_end, num_together=len(folders)) for folder in folders[:1])

    def _save(self) -> None:
        self._copy_back()
        for trainer in self.trainers.values():
            save(trainer)


def _is_finite(network: nn.Module) -> bool:
    return all(
        bool(torch.isfinite(tensor).all()) for tensor in network.state_dict().values() if tensor.is_floating_point()
    )
