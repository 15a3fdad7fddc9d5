"""The executor interface, and the simplest executor.

An executor takes tasks and yields events as they happen; it writes nothing. To add one, write a class with `run` and
`abilities`; `tests/contracts/test_executor_contract.py` checks the contract of all executors.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Protocol

from ablations.execution.events import Epoch, Event, Finished, Notice, Started
from ablations.execution.seed_batches import is_joinable
from ablations.execution.task import Task, carry_out

__all__ = ["Executor", "SerialExecutor", "Upcoming"]


class Executor(Protocol):
    """Runs tasks and yields events; closing the iterator stops running trials.

    A task is taken from the iterable only when a worker is free, so the next task can depend on finished ones: a search
    suggests it only then, and drivers that share a study claim it only then.
    """

    abilities: ClassVar[frozenset[str]]
    """The options of `BackendOptions` that it supports in addition to device and threads; others are refused."""

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Yield events until every task has a `Finished`."""
        ...


class SerialExecutor:
    """One task after the other in this process: the reference with which all executors agree bit by bit."""

    abilities: ClassVar[frozenset[str]] = frozenset()

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Yield events until every task has a `Finished`."""
        from xception.train.process import prepare_process

        for task in tasks:
            prepare_process(task.threads)
            yield Started(task.key)
            events: list[Event] = []

            def on_epoch(row: dict[str, Any], key: str = task.key, events: list[Event] = events) -> None:
                events.append(Epoch(key, row))

            def say(line: str, key: str = task.key, events: list[Event] = events) -> None:
                events.append(Notice(key, line))

            record = carry_out(task, on_epoch, say=say)
            yield from events
            yield Finished(record)


class Upcoming:
    """Tasks to run: those whose worker was lost, then the rest of the iterable."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks = iter(tasks)
        self._lost: deque[tuple[Task, ...]] = deque()
        self._waiting: Task | None = None

    def take(self) -> Task | None:
        """Return the next task, or None if there is none now."""
        return next(iter(self.take_batch(1)), None)

    def take_batch(self, limit: int) -> tuple[Task, ...]:
        """Return the next task and those right after it that can be trained with it as one, at most `limit` in all; an
        empty list if there is none.

        Tasks that were queued again as one batch are returned as one batch. A task that does not fit the batch is kept
        for the next one.
        """
        if self._lost:
            return self._lost.popleft()
        batch = [] if self._waiting is None else [self._waiting]
        self._waiting = None
        while len(batch) < limit and (task := next(self._tasks, None)) is not None:
            if batch and not is_joinable(batch[0], task):
                self._waiting = task
                break
            batch.append(task)
        return tuple(batch)

    def put_back(self, *tasks: Task) -> None:
        """Queue tasks again, as one batch, before all others."""
        self._lost.append(tasks)
