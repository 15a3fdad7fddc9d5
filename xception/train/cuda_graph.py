"""A training step recorded once as a CUDA graph and replayed: the host launches one graph per step instead of hundreds
of kernels.

The first steps run eagerly, which lets libraries choose their algorithms and creates the optimiser's state. Then one
step is recorded without being run. From there on each step copies its batch into fixed memory and replays the graph.
Learning rates are tensors, losses stay on the device, and the graph reads its random generators afresh at each replay,
so a recorded step does what the eager one does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xception.train.optimiser import WeightAverage
from xception.train.recipe import Recipe
from xception.train.step import Step

__all__ = ["FixedBatch", "RecordedStep", "record_on_cuda"]

_log = logging.getLogger(__name__)

# Runs a step once to record it; returns a function that replays it, and the tensor that holds the result.
Record = Callable[[Callable[[], Tensor]], tuple[Callable[[], None], Tensor]]

_NUM_PLAIN = 3  # eager steps before the recording, as in PyTorch's notes on CUDA graphs


def record_on_cuda(
    generators: Sequence[torch.Generator], run: Callable[[], Tensor]
) -> tuple[Callable[[], None], Tensor]:
    """Record a step as a CUDA graph; `generators` are those that it draws from, besides the device's own."""
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        result = run()
    return graph.replay, result


class FixedBatch:
    """A batch at a fixed address."""

    def __init__(self, images: Tensor, target: Tensor) -> None:
        self.images, self.target = torch.empty_like(images), torch.empty_like(target)

    def fill(self, images: Tensor, target: Tensor) -> None:
        """Copy a batch in.

        Raises:
            ValueError: its shape or type differs; it would silently be broadcast or cast.
        """
        for name, fixed, given in (("images", self.images, images), ("target", self.target, target)):
            if (fixed.shape, fixed.dtype) != (given.shape, given.dtype):
                raise ValueError(
                    f"{name}: {tuple(given.shape)} {given.dtype} is not allowed; {tuple(fixed.shape)} {fixed.dtype}"
                )
            fixed.copy_(given, non_blocking=True)


class RecordedStep(Step):
    """A step that `record` records once and that is then replayed. It is recorded again for another network, and when
    other parts of the network are frozen.
    """

    def __init__(
        self,
        optimiser: torch.optim.Optimizer,
        recipe: Recipe,
        average: WeightAverage | None,
        device: torch.device,
        *,
        num_members: int | None = None,
        record: Record,
    ) -> None:
        super().__init__(optimiser, recipe, average, device, num_members=num_members)
        self._record = record
        self._begun_with: tuple[Any, ...] = ()
        self._num_plain = 0
        self._batch: FixedBatch | None = None
        self._repeat: Callable[[], None] = lambda: None
        self._result: Tensor | None = None
        self._refused: str | None = None

    @property
    def how(self) -> dict[str, Any]:
        """What a trial's record stores about it: true, or the reason why the step could not be recorded."""
        return super().how | {"cuda_graph": self._refused is None or f"not recorded: {self._refused}"}

    def begin_epoch(self, network: nn.Module) -> None:
        """Note which parameters train, and drop the recording if that changed."""
        modes = (
            id(network),
            *(p.requires_grad for p in network.parameters()),
            *(m.training for m in network.modules()),
        )
        if modes != self._begun_with:
            self._begun_with, self._num_plain, self._batch, self._result = modes, 0, None, None
            self._repeat = lambda: None

    def __call__(self, network: nn.Module, images: Tensor, target: Tensor) -> Tensor:
        """Update the weights by one batch; the losses returned stay as they are until the next step."""
        if self._num_plain < _NUM_PLAIN or self._refused is not None:
            self._num_plain += 1
            return self._beside(network, images, target)
        if self._batch is None or self._result is None:
            batch = self._batch = FixedBatch(images, target)
            batch.fill(images, target)
            plain = super().__call__
            try:
                self._repeat, self._result = self._record(lambda: plain(network, batch.images, batch.target))
            except torch.OutOfMemoryError:
                raise
            except (
                RuntimeError
            ) as error:  # an operator that waits for the host, or that a graph cannot contain: nothing has run
                self._refused = (str(error).splitlines() or [type(error).__name__])[0]
                _log.warning("a step could not be recorded as a CUDA graph and runs eagerly: %s", self._refused)
                self._batch = None
                self.optimiser.zero_grad(
                    set_to_none=True
                )  # the attempt's gradients are in memory that was never written
                return self._beside(network, images, target)
        self._batch.fill(images, target)
        self._repeat()
        return self._result

    def _beside(self, network: nn.Module, images: Tensor, target: Tensor) -> Tensor:
        """Run an eager step on a separate stream, so that its gradients do not use the memory of the stream that is
        recorded later.
        """
        if self.device.type != "cuda":
            return super().__call__(network, images, target)
        present = torch.cuda.current_stream(self.device)
        beside = torch.cuda.Stream(self.device)
        beside.wait_stream(present)
        with torch.cuda.stream(beside):
            losses = super().__call__(network, images, target)
        present.wait_stream(beside)
        return losses
