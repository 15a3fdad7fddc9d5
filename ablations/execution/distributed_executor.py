"""One trial at a time over all processes of torchrun: the first drives the study, the others follow it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ablations.execution.events import Epoch, Event, Finished, Notice, Started, until_finished
from ablations.execution.task import Task, carry_out

if TYPE_CHECKING:
    from xception.train.distributed import Group

__all__ = ["DistributedExecutor", "follow"]

_STOP_SECONDS = 60.0


@dataclass
class DistributedExecutor:
    """The first process of a group, in which all others run `follow`."""

    abilities: ClassVar[frozenset[str]] = frozenset()

    group: Group
    device: str

    @classmethod
    def join(cls, device: str) -> DistributedExecutor:
        """Join the group as its first process.

        Raises:
            ValueError: the device does not exist.
        """
        from xception.train.distributed import join

        group, own = join(device)
        return cls(group, str(own))

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Yield events until every task has a `Finished`.

        Raises:
            ValueError: a single process failed, so the group cannot continue.
        """
        for task in tasks:
            events: queue.SimpleQueue[Event | BaseException] = queue.SimpleQueue()
            stopping = threading.Event()
            thread = threading.Thread(target=self._carry_out, args=(task, events, stopping), daemon=True)
            thread.start()
            try:
                for event in until_finished(events.get):
                    yield event
                    failed = isinstance(event, Finished) and event.record.status == "failed"
            finally:
                stopping.set()  # no effect after the last event
                thread.join(_STOP_SECONDS)
            if failed:
                self._settle(task)

    def close(self) -> None:
        """End the other processes."""
        self.group.from_first(lambda: None)

    def _carry_out(
        self, task: Task, events: queue.SimpleQueue[Event | BaseException], stopping: threading.Event
    ) -> None:
        from xception.train.checkpoint import TrainingStopped
        from xception.train.process import prepare_process

        def on_step() -> None:
            if stopping.is_set():
                raise TrainingStopped

        def on_epoch(row: dict[str, Any]) -> None:
            events.put(Epoch(task.key, row))

        try:
            _use(self.device)
            prepare_process(task.threads)
            record = carry_out(
                replace(task, device=self.device),
                on_epoch,
                on_step=on_step,
                on_start=lambda: events.put(Started(task.key)),
                say=lambda line: events.put(Notice(task.key, line)),
                group=self.group,
            )
            events.put(Finished(record))
        except BaseException as error:  # noqa: BLE001 - not swallowed: raised again in the thread that reads the events
            events.put(error)

    def _settle(self, task: Task) -> None:
        try:
            self.group.settle()
        except RuntimeError:
            what = f"trial {task.key[:12]} failed in one of {self.group.size} processes alone"
            raise ValueError(f"{what}; run the same command again") from None


def follow(device: str) -> None:
    """Train the same trials as the first process, until it ends, without writing anything."""
    from xception.train.distributed import join
    from xception.train.process import prepare_process

    group, own = join(device)
    while True:
        task: Task | None = group.from_first(lambda: None)
        if task is None:
            return
        prepare_process(task.threads)
        record = carry_out(
            replace(task, device=str(own), trials=None, keep_weights=None), lambda row: None, group=group
        )
        if record.status == "failed":
            group.settle()


def _use(device: str) -> None:
    """Make a GPU this thread's current device."""
    if device != "cpu":
        import torch

        torch.cuda.set_device(device)
