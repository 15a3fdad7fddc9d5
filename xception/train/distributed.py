"""One training over several devices: the processes that torchrun started share each batch and average their gradients.

A process reads, augments and computes its share of every batch. The result is that of one process except for the order
of sums: together the processes train on the recipe's batch, each image is augmented as in the whole batch, and batch
norm takes its statistics over all of it. Gradients are averaged by DistributedDataParallel (Li et al. 2020,
arXiv:2006.15704).
"""

from __future__ import annotations

import datetime
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from xception.data.augment import Share
from xception.data.dataset import Images
from xception.train.evaluate import Evaluation
from xception.train.recipe import Recipe

__all__ = ["ALONE", "Group", "join"]

T = TypeVar("T")

# Batch norm's running statistics are equal already, or separate until an evaluation. PyTorch is renaming the argument.
_NAMES = inspect.signature(nn.parallel.DistributedDataParallel).parameters
_SYNCHRONISE_BUFFERS = "forward_sync_buffers" if "forward_sync_buffers" in _NAMES else "broadcast_buffers"

_BATCH_NORM = nn.modules.batchnorm._BatchNorm
# The first process may be busy for a long time while the others wait for a task.
_PATIENCE = datetime.timedelta(days=30)
_SETTLE_SECONDS = 120


@dataclass(frozen=True)
class Group:
    """The processes that train together; rank 0 decides, writes and reports."""

    rank: int = 0
    size: int = 1
    control: Any = None  # a gloo group for objects that are not tensors

    # Data

    def share(self, batch_size: int) -> Share | None:
        """Return which images of a batch are this process's; None where it is alone."""
        each = batch_size // self.size
        return None if self.size == 1 else Share(total=batch_size, start=self.rank * each, stop=(self.rank + 1) * each)

    def part(self, images: Images) -> Images:
        """Return this process's part of images to evaluate on; all of them if there are too few to divide."""
        if self.size == 1 or len(images) < self.size:
            return images
        first, last = (len(images) * rank // self.size for rank in (self.rank, self.rank + 1))
        return images.select(torch.arange(first, last, device=images.storage.device))

    # Computing

    def prepare(self, network: nn.Module, recipe: Recipe, device: torch.device) -> nn.Module:
        """Return the network with batch norm over the whole batch, or over each process's share if the recipe asks for
        that.

        Raises:
            ValueError: the recipe does not fit the number of processes or the device.
        """
        shares = recipe.batch_norm_shares
        if recipe.batch_size % self.size:
            raise ValueError(
                f"Recipe.batch_size: {recipe.batch_size} is not allowed over {self.size} processes; a multiple of"
                f" {self.size}"
            )
        has_batch_norm = any(isinstance(module, _BATCH_NORM) for module in network.modules())
        if not has_batch_norm:
            if shares > 1:
                raise ValueError(f"Recipe.batch_norm_shares: {shares} has no effect on a network without batch norm; 1")
            return network
        if shares not in (1, self.size):
            raise ValueError(
                f"Recipe.batch_norm_shares: {shares} needs {shares} processes (torchrun --nproc-per-node {shares}), "
                f"there {'is' if self.size == 1 else 'are'} {self.size}"
            )
        if shares == self.size:  # also for a single process
            return network
        if device.type != "cuda":
            raise ValueError(
                f"Recipe.batch_norm_shares: 1 is not allowed over {self.size} processes on a CPU, where batch norm"
                " cannot be synchronised; train in one process, or a network with group norm"
            )
        synchronised: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return synchronised

    def parallel(self, network: nn.Module) -> nn.Module:
        """Return the network that computes a step; the gradients of its trainable parameters are averaged over the
        processes.
        """
        if self.size == 1:
            return network
        device = next(network.parameters()).device
        settings: dict[str, Any] = {
            _SYNCHRONISE_BUFFERS: False,
            "device_ids": None if device.type == "cpu" else [device],
        }
        return nn.parallel.DistributedDataParallel(network, **settings)

    def level(self, network: nn.Module, recipe: Recipe) -> None:
        """Before an evaluation, average the running statistics of batch norms that each process computed over its own
        share.
        """
        if self.size > 1 and recipe.batch_norm_shares > 1:
            for buffer in network.buffers():
                if buffer.is_floating_point():
                    self.mean(buffer)

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of a tensor over the processes, computed in place."""
        if self.size > 1:
            dist.all_reduce(value)
            value /= self.size
        return value

    def whole(self, part: Evaluation, images: Images) -> Evaluation:
        """Return the evaluation on all images from those of the parts."""
        if self.size == 1 or len(images) < self.size:
            return part
        parts: list[Any] = [None] * self.size
        dist.all_gather_object(parts, part, group=self.control)
        num = len(images)
        sizes = [len(p.labels) for p in parts]
        predicted, labels = torch.cat([p.predicted for p in parts]), torch.cat([p.labels for p in parts])
        return replace(
            part,
            loss=sum(p.loss * n for p, n in zip(parts, sizes, strict=True)) / num,
            accuracy=int((predicted == labels).sum()) / num,
            top5_accuracy=sum(round(p.top5_accuracy * n) for p, n in zip(parts, sizes, strict=True)) / num,
            predicted=predicted,
            labels=labels,
            confidence=torch.cat([p.confidence for p in parts]),
        )

    # Communication

    def from_first(self, make: Callable[[], T]) -> T:
        """Return in every process what the first one makes; if that raises a ValueError, raise it in every process."""
        if self.size == 1:
            return make()
        told: list[Any] = [None]
        if self.rank == 0:
            try:
                told = [make()]
            except ValueError as error:
                told = [error]
        dist.broadcast_object_list(told, src=0, group=self.control)
        if isinstance(told[0], ValueError):
            raise told[0]
        made: T = told[0]
        return made

    def settle(self) -> None:
        """Wait for the other processes after a failure.

        Raises:
            RuntimeError: they do not arrive, so the processes are no longer at the same step.
        """
        if self.size > 1:
            dist.monitored_barrier(self.control, timeout=datetime.timedelta(seconds=_SETTLE_SECONDS))


ALONE = Group()


def join(device: str) -> tuple[Group, torch.device]:
    """Join the processes that torchrun started, and return the group with the device of this one: the GPU of its local
    rank, or the CPU.

    Raises:
        ValueError: there are fewer GPUs than processes on this machine.
    """
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(
            f"--device: {device!r} is not allowed under torchrun, where each process has its own; auto, cpu, cuda"
        )
    count = torch.cuda.device_count() if device != "cpu" and torch.cuda.is_available() else 0
    if device == "cuda" and count <= local:
        raise ValueError(
            f"--device: 'cuda' needs a GPU for each process, there are {count}; torchrun --nproc-per-node"
            f" {max(count, 1)}"
        )
    chosen = torch.device("cuda", local) if count > local else torch.device("cpu")
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    dist.init_process_group(
        "nccl" if chosen.type == "cuda" else "gloo", device_id=chosen if chosen.type == "cuda" else None
    )
    control = dist.new_group(backend="gloo", timeout=_PATIENCE)
    return Group(rank=dist.get_rank(), size=dist.get_world_size(), control=control), chosen
