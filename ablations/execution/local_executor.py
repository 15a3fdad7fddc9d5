"""Trials in worker processes of this machine. A worker that dies, hangs or runs out of memory costs only its trial,
which is resumed from its last checkpoint.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import ClassVar

from ablations.execution.events import Event, Finished, Notice, Started
from ablations.execution.executor import Upcoming
from ablations.execution.task import Task, failed, ran_out_of_memory
from ablations.execution.worker import PULSE_SECONDS, Alive, Parted, work
from xception.train.execution import QUICK, Execution

__all__ = ["LocalExecutor", "refuse_unguarded_main"]

_PATIENCE_SECONDS = 10.0


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    tasks: dict[str, Task] = field(default_factory=dict)  # unfinished ones, by key
    began: float | None = None  # when the trial started
    heard: float | None = None  # when it last made a step
    killed_for: str | None = None
    is_known: bool = False  # whether it has sent anything


@dataclass
class LocalExecutor:
    """Worker processes on this machine, each with its own interpreter, one task at a time.

    With a `seed_batch` above 1 a worker trains up to that many tasks as one if they differ only in their seed. If that
    fails they are retried in halves, down to single trials, so that one bad trial costs only itself. `execution` is the
    way a step runs.

    `retries` is the number of times that a trial whose worker died, hung or ran out of memory is resumed from its last
    checkpoint before it counts as failed. A worker that makes no step for `stall_seconds` counts as hung;
    `timeout_seconds` limits a trial as a whole. A worker asked to stop has `stop_seconds` to save its state.
    """

    abilities: ClassVar[frozenset[str]] = frozenset({"workers", "trial_timeout", "seed_batch", "compile"})

    num_workers: int
    retries: int = 1
    timeout_seconds: float | None = None
    stall_seconds: float = 1800.0
    stop_seconds: float = 60.0
    seed_batch: int = 1
    execution: Execution = QUICK
    _attempts: dict[str, int] = field(default_factory=dict, init=False, repr=False)
    _idle: list[_Worker] = field(default_factory=list, init=False, repr=False)
    _keeps_workers: bool = field(default=False, init=False, repr=False)

    @contextlib.contextmanager
    def keeping_workers(self, num_workers: int = 0) -> Iterator[None]:
        """Keep the workers of a `run` for the next one within the block, so that not each of them imports torch anew.

        Some are started now, which import while the caller still plans.
        """
        self._keeps_workers = True
        try:
            for _ in range(min(num_workers, self.num_workers)):
                self._idle.append(_start_worker())
            yield
        finally:
            self._keeps_workers = False
            self.release()

    def release(self) -> None:
        """End the workers that were kept; they need memory."""
        idle, self._idle = self._idle, []
        _stop(idle, self.stop_seconds)

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Yield events until every task has a `Finished`."""
        upcoming = Upcoming(tasks)
        workers, self._idle = self._idle, []
        try:
            while True:
                yield from self._fill(workers, upcoming)
                busy = [w for w in workers if w.tasks]
                if not busy:
                    if self._keeps_workers:
                        workers, self._idle = [], workers
                    return
                _wait(busy)
                for worker in busy:
                    was_alive = (
                        worker.process.is_alive()
                    )  # checked first: messages sent before its death are read below
                    for event in _received(worker):
                        if isinstance(event, Finished):
                            yield self._concluded(event, worker, workers, upcoming)
                        elif isinstance(event, Parted):
                            yield self._parted(worker, event.reason, workers, upcoming)
                        else:
                            yield event
                    self._end_if_overdue(worker)
                    if worker.tasks and not was_alive:
                        workers.remove(worker)
                        yield from self._bury(worker, upcoming)
        finally:
            _stop(workers, self.stop_seconds)

    def _fill(self, workers: list[_Worker], upcoming: Upcoming) -> Iterator[Event]:
        """Give every idle worker a task, and start workers while tasks are left."""
        for worker in [w for w in workers if not w.tasks and not w.process.is_alive()]:
            workers.remove(worker)
            worker.pipe.close()
        while any(not w.tasks for w in workers) or len(workers) < self.num_workers:
            tasks = upcoming.take_batch(self.seed_batch)
            if not tasks:
                return
            worker = next((w for w in workers if not w.tasks), None) or _start_worker()
            if worker not in workers:
                workers.append(worker)
            tasks = tuple(replace(task, execution=self.execution) for task in tasks)
            worker.tasks, worker.began, worker.heard = {task.key: task for task in tasks}, None, None
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a dead worker is found by its sentinel
                worker.pipe.send(tasks)
            yield from (Started(task.key) for task in tasks)

    def _concluded(self, event: Finished, worker: _Worker, workers: list[_Worker], upcoming: Upcoming) -> Event:
        """Free the worker; return the trial's end, or a notice that it is retried."""
        task = worker.tasks.pop(event.record.key)
        if event.record.status == "failed":  # the process itself may be broken, as after a CUDA error
            workers.remove(worker)
            _stop([worker], self.stop_seconds)
        if ran_out_of_memory(event.record) and self._is_tried_again(task.key):
            upcoming.put_back(task)
            return Notice(task.key, f"{event.record.reason}; it is tried again in a fresh process")
        return event

    def _parted(self, worker: _Worker, reason: str, workers: list[_Worker], upcoming: Upcoming) -> Event:
        """Free a worker that could not train its tasks as one, and retry them in halves."""
        tasks = list(worker.tasks.values())
        worker.tasks = {}
        if worker in workers:  # the process itself may be broken, as after a CUDA error
            workers.remove(worker)
            _stop([worker], self.stop_seconds)
        half = (len(tasks) + 1) // 2
        for part in (tasks[:half], tasks[half:]):
            if part:
                upcoming.put_back(*part)
        return Notice(
            tasks[0].key, f"trained with {len(tasks) - 1} other seeds: {reason}; they are tried again in halves"
        )

    def _end_if_overdue(self, worker: _Worker) -> None:
        now = time.monotonic()
        if not worker.tasks or worker.killed_for:
            return
        if self.timeout_seconds is not None and worker.began is not None and now - worker.began > self.timeout_seconds:
            worker.killed_for = f"was ended after the time limit of {self.timeout_seconds:g} s"
        elif worker.heard is not None and now - worker.heard > self.stall_seconds:
            worker.killed_for = f"hung: it made no step for {self.stall_seconds:g} s"
        if worker.killed_for:
            worker.process.kill()  # a hung process may ignore weaker signals

    def _bury(self, worker: _Worker, upcoming: Upcoming) -> Iterator[Event]:
        worker.process.join()
        worker.pipe.close()
        cause = worker.killed_for or _cause(worker.process.exitcode)
        if not worker.is_known and worker.process.exitcode == 1:  # Python's own error is on standard error
            raise RuntimeError(
                "workers cannot start: the first of their errors is above. In a script, put what starts workers under"
                ' `if __name__ == "__main__":`'
            )
        if len(worker.tasks) > 1:
            yield self._parted(worker, f"the worker {cause}", [], upcoming)
            return
        (task,) = worker.tasks.values()
        if self._is_tried_again(task.key):
            upcoming.put_back(task)
            yield Notice(task.key, f"its worker {cause}; it is tried again from its last checkpoint")
        else:
            yield Finished(failed(task, f"its worker {cause}, at the last of {self._attempts[task.key]} attempts"))

    def _is_tried_again(self, key: str) -> bool:
        self._attempts[key] = self._attempts.get(key, 0) + 1
        return self._attempts[key] <= self.retries


def refuse_unguarded_main() -> None:
    """Check that this process is not a worker that runs its parent's script a second time.

    Raises:
        RuntimeError: it is; the script needs `if __name__ == "__main__":` around the code that starts workers.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(
            "a worker process began to run this script again: put what starts workers under"
            ' `if __name__ == "__main__":`, as https://docs.python.org/3/library/multiprocessing.html says'
        )


def _start_worker() -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, os.getpid()), daemon=True)
    # Ctrl-C reaches the whole process group, and only the parent handles it. A new process has the signals blocked from
    # its first instruction.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return _Worker(process, ours)


def _wait(busy: list[_Worker]) -> None:
    """Wait for a message, a worker's end, or the next check of the clock.

    If this process was stopped meanwhile (Ctrl-Z, a suspended machine), so were its workers, and their clocks are
    adjusted.
    """
    began = time.monotonic()
    wait([w.pipe for w in busy] + [w.process.sentinel for w in busy], timeout=PULSE_SECONDS)
    lost = time.monotonic() - began - PULSE_SECONDS
    if lost > PULSE_SECONDS:
        for worker in busy:
            worker.began = None if worker.began is None else worker.began + lost
            worker.heard = None if worker.heard is None else worker.heard + lost


def _received(worker: _Worker) -> Iterator[Event | Parted]:
    """All messages that a worker has sent; one that was truncated by its death is lost."""
    while worker.tasks:
        try:
            if not worker.pipe.poll():
                return
            message: Event | Alive | Parted = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(timeout=_PATIENCE_SECONDS)
            if worker.process.is_alive():  # its pipe is broken
                worker.process.kill()
                worker.process.join()
            return
        worker.is_known = True
        if isinstance(message, Alive):
            now = time.monotonic()
            worker.began = worker.began or now
            worker.heard = now if message.is_training else worker.heard
        else:
            yield message


def _stop(workers: list[_Worker], seconds: float) -> None:
    """End workers: idle ones at once, busy ones after they saved their state."""
    for worker in workers:
        if not worker.is_known and not worker.tasks:
            worker.process.kill()  # it imports, and would read no message before the end of that
        elif not worker.tasks:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                worker.pipe.send(None)
        else:
            worker.process.terminate()
    deadline = time.monotonic() + seconds
    for worker in workers:
        worker.process.join(timeout=max(deadline - time.monotonic(), 0))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.pipe.close()


def _cause(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        hint = ", which the system sends where memory runs out" if -exitcode == signal.SIGKILL else ""
        return f"was ended by signal {-exitcode} ({signal.Signals(-exitcode).name}{hint})"
    return f"exited with status {exitcode}"
