"""Where trials run: in this process one after the other, or in worker processes of this machine.

An executor takes tasks and yields events as they happen; it writes nothing. A worker that dies
costs only the trial it was on.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from ablations.record import Record
from ablations.work import Task, carry_out, failed

__all__ = ["Epoch", "Event", "Executor", "Finished", "LocalExecutor", "SerialExecutor", "Started", "Upcoming"]


@dataclass(frozen=True)
class Started:
    """A trial has begun."""

    key: str


@dataclass(frozen=True)
class Epoch:
    """A trial has finished an epoch; `row` has epoch, train_loss, val_loss and val_accuracy."""

    key: str
    row: dict[str, Any]


@dataclass(frozen=True)
class Finished:
    """A trial has ended, in whichever way its record says; `elsewhere` where another driver on the same store trained it."""

    record: Record
    elsewhere: bool = False


Event = Started | Epoch | Finished


class Executor(Protocol):
    """Runs tasks and yields what happens; closing the iterator ends what still runs.

    A task is taken from the iterable only when there is room for it, so that what is run next can
    depend on what has finished: a search asks then, and drivers that share a study claim then.
    """

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Yield events until every task has a `Finished`."""
        ...


class SerialExecutor:
    """One task after the other in this process: the reference that all executors agree with to the bit."""

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Yield events until every task has a `Finished`."""
        from xception.train.process import prepare_process

        for task in tasks:
            prepare_process(task.threads)
            yield Started(task.key)
            rows: list[dict[str, Any]] = []
            record = carry_out(task, rows.append)
            yield from (Epoch(task.key, row) for row in rows)
            yield Finished(record)


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: Task | None = None


@dataclass
class LocalExecutor:
    """Worker processes on this machine, each with its own interpreter, one task at a time.

    `retries` is how often a trial whose worker died is begun again before it is reported as failed.
    """

    num_workers: int
    retries: int = 1
    _attempts: dict[str, int] = field(default_factory=dict, init=False, repr=False)

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Yield events until every task has a `Finished`."""
        upcoming = Upcoming(tasks)
        workers: list[_Worker] = []
        try:
            while True:
                yield from self._fill(workers, upcoming)
                busy = [w for w in workers if w.task]
                if not busy:
                    return
                ends: list[Any] = [w.pipe for w in busy] + [w.process.sentinel for w in busy]
                ready = set(wait(ends))
                for worker in [w for w in busy if w.pipe in ready or w.process.sentinel in ready]:
                    event = _received(worker)
                    if event is not None:
                        yield event
                    elif not worker.process.is_alive() or worker.pipe.closed:
                        workers.remove(worker)
                        yield from self._bury(worker, upcoming)
        finally:
            _stop(workers)

    def _fill(self, workers: list[_Worker], upcoming: Upcoming) -> Iterator[Event]:
        """Give every idle worker a task, and start workers as long as there are tasks for them."""
        while any(w.task is None for w in workers) or len(workers) < self.num_workers:
            task = upcoming.take()
            if task is None:
                return
            worker = next((w for w in workers if w.task is None), None)
            if worker is None:
                worker = _start_worker()
                workers.append(worker)
            worker.task = task
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a dead worker is found by its sentinel
                worker.pipe.send(task)
            yield Started(task.key)

    def _bury(self, worker: _Worker, upcoming: Upcoming) -> Iterator[Event]:
        task = worker.task
        worker.process.join()
        worker.pipe.close()
        if task is None:
            return
        attempts = self._attempts[task.key] = self._attempts.get(task.key, 0) + 1
        if attempts <= self.retries:
            upcoming.put_back(task)
        else:
            yield Finished(failed(task, f"its worker {_cause(worker.process.exitcode)}, {attempts} times"))


class Upcoming:
    """Tasks still to run: those whose worker was lost first, then whatever the iterable gives."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks = iter(tasks)
        self._lost: deque[Task] = deque()

    def take(self) -> Task | None:
        """Return the next task, or None where there is none now."""
        return self._lost.popleft() if self._lost else next(self._tasks, None)

    def put_back(self, task: Task) -> None:
        """Let a task run again, before the others."""
        self._lost.append(task)


def _start_worker() -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, os.getpid()), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _received(worker: _Worker) -> Event | None:
    """The next event of a worker, or None where there is none, or its pipe has ended."""
    try:
        if not worker.pipe.poll():
            return None
        event: Event = worker.pipe.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        return None
    if isinstance(event, Finished):
        worker.task = None
    return event


def _stop(workers: list[_Worker]) -> None:
    for worker in workers:
        if worker.task is None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                worker.pipe.send(None)
        else:
            worker.process.terminate()
    for worker in workers:
        worker.process.join(timeout=10)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.pipe.close()


def _work(pipe: Connection, parent: int) -> None:
    """A worker's life: take a task, carry it out, send what happens, until told to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent alone answers it
    _die_with(parent)
    from xception.train.process import prepare_process

    is_prepared = False
    while True:
        try:
            task: Task | None = pipe.recv()
        except EOFError:
            return
        if task is None:
            return
        if not is_prepared:
            prepare_process(task.threads)
            is_prepared = True
        key = task.key
        record = carry_out(task, lambda row, key=key: pipe.send(Epoch(key, row)))  # type: ignore[misc]
        pipe.send(Finished(record))


def _die_with(parent: int) -> None:
    """Ask Linux to end this process when its parent ends, however that happens."""
    if sys.platform.startswith("linux"):
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before we asked
            os._exit(1)


def _cause(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"was ended by signal {-exitcode} ({signal.Signals(-exitcode).name})"
    return f"exited with status {exitcode}"
