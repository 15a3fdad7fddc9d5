"""Trials on a Ray cluster (Moritz et al. 2018, arXiv:1712.05889): a new one on this machine, or an existing one.

A trial is a Ray task that requests cores and GPUs, or fractions of them, and streams its events back to the driver,
which alone writes. Data sets are read from the cache of the node; a node that can neither find nor decode one is sent
the decoded files, once. Checkpoints and weights are on storage that the nodes share with the driver, or are sent in
both directions.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ablations.execution.events import Epoch, Event, Finished, Notice, Started, until_finished
from ablations.execution.executor import Upcoming
from ablations.execution.ray_connection import is_alive, node_resources
from ablations.execution.stage_files import (
    Files,
    Mark,
    Missing,
    Outbox,
    absolute,
    data_files,
    file_names,
    find_data,
    keep,
    read_files,
    unpacked,
)
from ablations.execution.task import Task, carry_out, failed, ran_out_of_memory

if TYPE_CHECKING:
    import ray

__all__ = ["RayExecutor"]

_LOOK_SECONDS = 5.0
_PATIENCE_SECONDS = 300.0


@dataclass(kw_only=True)
class RayExecutor:
    """Ray tasks on the cluster that this process is connected to, each with its share of a node.

    `retries` is the number of times that a trial whose worker or node was lost is resumed from its last checkpoint, if
    there is one. Nodes that do not share the driver's storage send checkpoints back; with `is_storage_shared=False` all
    of them do.

    Raises:
        ValueError: no node of the cluster is large enough for one trial.
    """

    abilities: ClassVar[frozenset[str]] = frozenset({"workers", "ray_address", "cpus_per_trial", "gpus_per_trial"})

    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    resources: Mapping[str, float] = field(default_factory=dict)  # custom resources of the cluster's nodes, by name
    num_workers: int | None = None
    retries: int = 3
    is_storage_shared: bool | None = None  # None: each node checks
    _attempts: dict[str, int] = field(default_factory=dict, init=False, repr=False)
    _data: dict[tuple[str, int], ray.ObjectRef[Any]] = field(default_factory=dict, init=False, repr=False)
    _sends_files: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self._num_slots():
            raise ValueError(self._shortage())

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Yield events until every task has a `Finished`.

        Raises:
            ValueError: the nodes that were large enough for a trial are gone, and none came back; or Ray ended on the
                driver's own machine, without which nothing can be submitted.
        """
        import ray

        upcoming = Upcoming(tasks)
        running: dict[Any, Task] = {}
        last_slots_at = time.monotonic()
        own_node = ray.get_runtime_context().get_node_id()
        with Mark() as mark:
            try:
                while True:
                    if not is_alive(own_node):
                        raise ValueError(
                            "--executor ray: Ray has ended on this machine (its raylet was lost); what was finished is"
                            " stored, and the same command continues from there"
                        )
                    num_slots = self._num_slots()
                    while len(running) < max(num_slots, 1) and (task := upcoming.take()) is not None:
                        running[self._submit(absolute(task), mark)] = task
                    if not running:
                        return
                    now = time.monotonic()
                    if num_slots:
                        last_slots_at = now
                    elif now - last_slots_at > _PATIENCE_SECONDS:
                        raise ValueError(self._shortage())
                    for stream in ray.wait(list(running), num_returns=1, timeout=_LOOK_SECONDS)[0]:
                        yield from self._received(stream, running, upcoming)
            finally:
                for stream in running:
                    with contextlib.suppress(ray.exceptions.RayError):
                        ray.cancel(stream, force=True)

    def _submit(self, task: Task, mark: Mark) -> Any:
        import ray

        work = ray.remote(
            _work
        ).options(
            num_returns="streaming",
            max_retries=0,  # retries are ours
            num_cpus=self.cpus_per_trial,
            num_gpus=self.gpus_per_trial,
            resources=dict(self.resources),
            name=f"trial {task.key[:12]}",
        )
        mark.leave(task)
        has_files = bool(file_names(task))
        files = ray.put(read_files(task)) if has_files and self._sends_files else None
        name = "never left" if self.is_storage_shared is False else None if self.is_storage_shared else mark.name
        return work.remote(task, name, has_files, [self._data.get(_data_key(task)), files])

    def _received(self, stream: Any, running: dict[Any, Task], upcoming: Upcoming) -> Iterator[Event]:
        """Yield the events of a ready stream, and handle its end."""
        import ray

        task = running[stream]
        try:
            event = ray.get(next(stream))
        except StopIteration:
            del running[stream]
        except ray.exceptions.RayTaskError as error:  # an error of the program, not of the cluster
            del running[stream]
            yield Finished(failed(task, f"its Ray task failed: {' '.join(str(error).split())[-500:]}"))
        except ray.exceptions.RayError as error:
            del running[stream]
            yield from self._bury(
                task, f"{type(error).__name__}: {' '.join(str(error).split()).partition('. ')[0]}", upcoming
            )
        else:
            match event:
                case Missing():
                    yield from self._send(task, event, upcoming)
                case Files():
                    keep(task, event)
                case Finished(record) if ran_out_of_memory(record) and self._attempts.get(task.key, 0) < self.retries:
                    yield from self._bury(task, record.reason or "", upcoming)
                case _:
                    yield event

    def _send(self, task: Task, missing: Missing, upcoming: Upcoming) -> Iterator[Event]:
        """Queue a task again, with the files that its machine lacked."""
        import ray

        if missing.what == "files":
            self._sends_files = True
        elif _data_key(task) not in self._data:
            self._data[_data_key(task)] = ray.put(
                data_files(task.source.seen_by(task.trial.dataset), task.trial.dataset.image_size)
            )
        upcoming.put_back(task)
        yield Notice(task.key, f"its node is sent the {missing.what} ({missing.reason})")

    def _bury(self, task: Task, what: str, upcoming: Upcoming) -> Iterator[Event]:
        """Retry a trial whose worker was lost, or let it fail."""
        attempts = self._attempts[task.key] = self._attempts.get(task.key, 0) + 1
        if attempts > self.retries:
            yield Finished(failed(task, f"its worker was lost {attempts} times, at last: {what}"))
            return
        upcoming.put_back(task)
        yield Notice(
            task.key,
            f"its worker was lost; it continues elsewhere, from its last checkpoint if there is one ({what})",
        )

    def _num_slots(self) -> int:
        """The number of trials that the present nodes can run at a time."""
        wanted = {"CPU": self.cpus_per_trial, "GPU": self.gpus_per_trial, **self.resources}
        slots = sum(
            int(min(have.get(name, 0.0) / need for name, need in wanted.items() if need) + 1e-9)
            for have in node_resources()
        )
        return slots if self.num_workers is None else min(slots, self.num_workers)

    def _shortage(self) -> str:
        there = (
            "; ".join(f"{have.get('CPU', 0):g} cores, {have.get('GPU', 0):g} GPUs" for have in node_resources())
            or "none"
        )
        wanted = f"{self.cpus_per_trial:g} cores and {self.gpus_per_trial:g} GPUs"
        wanted += "".join(f" and {need:g} {name}" for name, need in self.resources.items())
        return (
            f"--cpus-per-trial, --gpus-per-trial: {wanted} for one trial can never be met; the nodes of the cluster"
            f" have: {there}"
        )


def _data_key(task: Task) -> tuple[str, int]:
    return task.source.fingerprint, task.trial.dataset.image_size


def _work(
    task: Task, mark: str | None, has_files: bool, sent: list[ray.ObjectRef[Any] | None]
) -> Iterator[Event | Missing | Files]:
    """The Ray task: carry a trial out in a thread, and stream its events.

    Files are in a list, so that Ray sends them to a node only on request.
    """
    data, files = (_fetching(reference) for reference in sent)
    missing = find_data(task.source.seen_by(task.trial.dataset), task.trial.dataset.image_size, data)
    if missing is not None:
        yield Missing(task.key, "data", missing)
        return
    with unpacked(task, mark, files) as (own, sends_back):
        if sends_back and has_files and files is None:
            yield Missing(task.key, "files", "it has no access to the driver's folders")
            return
        events: queue.SimpleQueue[Event | Files | BaseException] = queue.SimpleQueue()
        outbox = Outbox(own) if sends_back else None
        threading.Thread(target=_train, args=(own, outbox, events.put), daemon=True).start()
        yield from until_finished(events.get)


def _fetching(reference: ray.ObjectRef[Any] | None) -> Callable[[], Any] | None:
    """A function that fetches the driver's object, if there is one."""
    import ray

    return None if reference is None else lambda: ray.get(reference)


def _train(task: Task, outbox: Outbox | None, tell: Callable[[Event | Files | BaseException], None]) -> None:
    from xception.train.process import prepare_process

    def send(*, at_end: bool = False) -> None:
        files = None if outbox is None else outbox.collect(at_end=at_end)
        if files is not None:
            tell(files)

    def on_epoch(row: dict[str, Any]) -> None:
        tell(Epoch(task.key, row))
        send()

    def on_step() -> None:
        if outbox is not None and outbox.is_due():
            send()

    try:
        prepare_process(task.threads)  # in this thread: OpenMP's number of threads is per thread
        record = carry_out(
            task,
            on_epoch,
            on_step=on_step,
            on_start=lambda: tell(Started(task.key)),
            say=lambda line: tell(Notice(task.key, line)),
        )
        send(at_end=True)
        tell(Finished(record))
    except BaseException as error:  # noqa: BLE001 - not swallowed: raised again where Ray sees it
        tell(error)
