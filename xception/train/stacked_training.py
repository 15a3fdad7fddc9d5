"""The state of several trainings of one architecture as a single network, optimiser and average, which take every step
together (`xception.network.stacked`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from xception.data.augment import augment, normalise
from xception.data.config import DatasetConfig
from xception.data.dataset import Images
from xception.network.stacked import stack, use_generators
from xception.train.evaluate import Evaluation, evaluate_members
from xception.train.execution import Execution
from xception.train.optimiser import WeightAverage, stack_optimisers, unstack_optimiser
from xception.train.step import at_least_float32, build_step
from xception.train.trainer import Trainer, choose_depthwise

__all__ = ["StackedTraining"]


class StackedTraining:
    """The stack that trains some members, which are at the same step.

    It holds copies of their state until `copy_back`. `losses` (members, steps of an epoch) stay on the device.
    """

    def __init__(self, trainers: Sequence[Trainer], data: DatasetConfig, execution: Execution) -> None:
        self.trainers = list(trainers)
        first = self.first = self.trainers[0]
        self.network = stack([trainer.model for trainer in self.trainers])
        self._depthwise = choose_depthwise(
            self.network, first.recipe, data, first.device, execution, len(self.trainers)
        )
        self.optimiser = stack_optimisers(
            self.network, [(trainer.model, trainer.optimiser) for trainer in self.trainers]
        )
        self.average = self._stacked_average()
        self.generators = [torch.Generator(first.device) for _ in self.trainers]
        use_generators(self.network, self.generators)
        self.losses = torch.stack([trainer.losses for trainer in self.trainers])
        self.compute = build_step(
            self.optimiser,
            first.recipe,
            self.average,
            first.device,
            cuda_graph=execution.cuda_graph,
            num_members=len(self.trainers),
            generators=self.generators,
        )

    @property
    def how(self) -> dict[str, Any]:
        """What a record says about how its steps were computed."""
        return self.compute.how | self._depthwise

    def _stacked_average(self) -> WeightAverage | None:
        averages = [trainer.average for trainer in self.trainers if trainer.average is not None]
        if not averages:
            return None
        stacked = WeightAverage(self.network, self.first.recipe.ema_decay)
        stacked.num_updates = averages[0].num_updates
        for average, parts in zip(stacked.average, zip(*(one.average for one in averages), strict=True), strict=True):
            average.copy_(torch.stack(parts))
        return stacked

    @torch.no_grad()
    def copy_back(self) -> None:
        """Copy the stack's state back into every training."""
        tensors = self.network.state_dict()
        for i, trainer in enumerate(self.trainers):
            for name, tensor in trainer.model.state_dict().items():
                tensor.copy_(tensors[name][i])
            unstack_optimiser(self.optimiser, i, trainer.optimiser)
            if self.average is not None and trainer.average is not None:
                trainer.average.num_updates = self.average.num_updates
                for own, average in zip(trainer.average.average, self.average.average, strict=True):
                    own.copy_(average[i])
            trainer.losses.copy_(self.losses[i])

    def begin_epoch(self) -> None:
        """Draw the order of each member's images, and set up the epoch's steps."""
        self.first.begin_epoch(self.network)
        self.compute.begin_epoch(self.network)
        orders = [trainer.order() for trainer in self.trainers]
        self.orders = torch.stack(orders)
        parts = [trainer.train for trainer in self.trainers]
        # Members that share one storage gather all images of a step at once.
        if all(part.storage is parts[0].storage and part.index is not None for part in parts):
            places = [part.index[order] for part, order in zip(parts, orders, strict=True) if part.index is not None]
            self.source: tuple[Images, Tensor] | None = (dataclasses.replace(parts[0], index=None), torch.stack(places))
        else:
            self.source = None

    def take_step(self) -> None:
        """Take the next step of every member."""
        first, size = self.first, self.first.recipe.batch_size
        for generator, trainer in zip(self.generators, self.trainers, strict=True):
            generator.manual_seed(trainer.step_seed("step"))
        self.compute.prepare(first.rate_factor())
        images, labels = self._batch(slice(first.step * size, (first.step + 1) * size))
        images, target = augment(
            images,
            labels,
            first.recipe.augment,
            [torch.Generator().manual_seed(trainer.step_seed("augmentation")) for trainer in self.trainers],
            statistics=first.statistics,
            num_classes=first.num_classes,
        )
        target = target.view(len(self.trainers), size, *target.shape[1:])
        images = _side_by_side(images.view(len(self.trainers), size, *images.shape[1:]))
        self.losses[:, first.step] = self.compute(self.network, images, target)
        for trainer in self.trainers:
            trainer.step += 1

    def _batch(self, places: slice) -> tuple[Tensor, Tensor]:
        """Images (members × N, C, H, W) and labels of one step, a member's after the other's."""
        if self.source is not None:
            images, positions = self.source
            return images.batch(positions[:, places].flatten())
        batches = [
            trainer.train.batch(order[places]) for trainer, order in zip(self.trainers, self.orders, strict=True)
        ]
        images_of, labels_of = zip(*batches, strict=True)
        return torch.cat(images_of).to(self.first.device), torch.cat(labels_of).to(self.first.device)

    def evaluate(self, parts: list[Images]) -> list[Evaluation]:
        """Evaluate each member on images of its own, with its averaged weights if there are any."""
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


def _side_by_side(images: Tensor) -> Tensor:
    """Images (members, N, C, H, W) as (N, members × C, H, W), channels-last."""
    return images.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
