"""Trials on a Ray cluster (Moritz et al. 2018, arXiv:1712.05889): this machine's own, or one that is there already.

A trial is a Ray task that asks for cores and GPUs, or fractions of them, and streams its events back to the driver, which alone
writes. Data sets are read from the cache of the node; a node that can neither find nor decode one is sent the decoded files, once.
Checkpoints and weights lie on storage that the nodes share with the driver, or are sent to and fro where they do not.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ablations.executors import Epoch, Event, Finished, Started, Upcoming
from ablations.moving import MissingData, data_files, find_data
from ablations.work import Task, carry_out, failed

if TYPE_CHECKING:
    import ray

__all__ = ["RayExecutor", "connect_ray", "num_cluster_gpus"]

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 5.0
_PATIENCE_SECONDS = 300.0


def connect_ray(address: str | None) -> None:
    """Connect this process to the cluster at an address (`auto`: the one on this machine), or start one of its own without an address.

    Raises:
        ValueError: Ray is not installed, or there is no cluster that this version of Ray and Python can join.
    """
    # Read when Ray is imported. It tells no one that it is used, leaves devices as they are for tasks without GPUs, starts its own
    # nodes on the loopback, and leaves it to us to say what happens to nodes.
    for name, value in (
        ("RAY_USAGE_STATS_ENABLED", "0"),
        ("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"),
        ("RAY_DEDUP_LOGS_SKIP_REGEX", "."),
        *((("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0"),) if address is None else ()),
    ):
        os.environ.setdefault(name, value)
    try:
        import ray
    except ModuleNotFoundError:
        raise ValueError("--executor: 'ray' needs the package ray; install the extra `ray`") from None
    if ray.is_initialized():
        return
    if address not in (None, "auto"):
        _require_listener(address)
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        if address is None:
            ray.init(address="local", include_dashboard=False, **settings)
        else:
            ray.init(address=address, **settings)
    except (ConnectionError, RuntimeError, OSError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
        reason = " ".join(str(error).split())[:300]
        where = f"--ray-address: {address!r} cannot be joined" if address else "--executor: no cluster could be started here"
        raise ValueError(f"{where}: {reason}") from None


def _require_listener(address: str) -> None:
    host, _, port = address.rpartition(":")
    if address.startswith("ray://") or not host or not port.isdecimal():
        raise ValueError(f"--ray-address: {address!r} is not allowed; auto, or HOST:PORT of the head node (6379 unless chosen otherwise)")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"--ray-address: no cluster answers at {address} ({reason}); the address that `ray start` printed") from None


@dataclass(kw_only=True)
class RayExecutor:
    """Ray tasks on the cluster that this process is connected to, each with its share of a node.

    `retries` is how often a trial whose worker or node was lost is begun again, from its last checkpoint where it has one.

    Raises:
        ValueError: no node of the cluster is large enough for one trial.
    """

    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    num_workers: int | None = None
    retries: int = 3
    _attempts: dict[str, int] = field(default_factory=dict, init=False, repr=False)
    _data: dict[tuple[str, int], ray.ObjectRef[Any]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self._num_slots():
            raise ValueError(self._shortage())

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Yield events until every task has a `Finished`.

        Raises:
            ValueError: the nodes that were large enough for a trial are gone, and none came back.
        """
        import ray

        upcoming = Upcoming(tasks)
        running: dict[Any, Task] = {}
        last_slots_at = time.monotonic()
        try:
            while True:
                num_slots = self._num_slots()
                while len(running) < max(num_slots, 1) and (task := upcoming.take()) is not None:
                    running[self._submit(task)] = task
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

    def _submit(self, task: Task) -> Any:
        import ray

        work = ray.remote(_work).options(
            num_returns="streaming",
            max_retries=0,  # whether it is begun again is for us to say
            num_cpus=self.cpus_per_trial,
            num_gpus=self.gpus_per_trial,
            name=f"trial {task.key[:12]}",
        )
        return work.remote(task, [self._data.get(_data_key(task))])

    def _received(self, stream: Any, running: dict[Any, Task], upcoming: Upcoming) -> Iterator[Event]:
        """Yield what came out of a stream that has something, and take note where it has ended."""
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
            yield from self._bury(task, error, upcoming)
        else:
            if not isinstance(event, MissingData):
                yield event
            elif _data_key(task) in self._data:
                yield Finished(failed(task, f"the data cannot be put on its node: {event.reason}"))
            else:
                self._data[_data_key(task)] = ray.put(data_files(task.source, task.trial.dataset.image_size))
                upcoming.put_back(task)

    def _bury(self, task: Task, error: Exception, upcoming: Upcoming) -> Iterator[Event]:
        attempts = self._attempts[task.key] = self._attempts.get(task.key, 0) + 1
        text = " ".join(str(error).split()).partition(". ")[0]
        what = f"{type(error).__name__}: {text}"
        if attempts > self.retries:
            yield Finished(failed(task, f"its worker was lost {attempts} times, at last by {what}"))
            return
        _log.warning("trial %s lost its worker and goes on elsewhere from its last checkpoint, if it has one (%s)", task.key[:12], what)
        upcoming.put_back(task)

    def _num_slots(self) -> int:
        """How many trials the nodes that are there can hold at a time."""
        wanted = {"CPU": self.cpus_per_trial, "GPU": self.gpus_per_trial}
        slots = sum(int(min(have.get(name, 0.0) / need for name, need in wanted.items() if need) + 1e-9) for have in _resources())
        return slots if self.num_workers is None else min(slots, self.num_workers)

    def _shortage(self) -> str:
        there = "; ".join(f"{have.get('CPU', 0):g} cores, {have.get('GPU', 0):g} GPUs" for have in _resources()) or "none"
        wanted = f"{self.cpus_per_trial:g} cores and {self.gpus_per_trial:g} GPUs"
        return f"--cpus-per-trial, --gpus-per-trial: {wanted} for one trial can never be met; the nodes of the cluster have: {there}"


def _resources() -> list[dict[str, float]]:
    """The resources of every node that is alive."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in nodes if node["Alive"]]


def num_cluster_gpus() -> float:
    """Return how many GPUs the nodes of the cluster have together."""
    return sum(have.get("GPU", 0.0) for have in _resources())


def _data_key(task: Task) -> tuple[str, int]:
    return task.source.fingerprint, task.trial.dataset.image_size


def _work(task: Task, sent: list[ray.ObjectRef[Any] | None]) -> Iterator[Event | MissingData]:
    """The Ray task: carry a trial out in a thread, and stream what happens.

    What was sent comes in a list, so that Ray brings it to a node only when that node asks.
    """
    import ray

    yield Started(task.key)
    reference = sent[0]
    missing = find_data(task.source, task.trial.dataset.image_size, None if reference is None else lambda: ray.get(reference))
    if missing is not None:
        yield MissingData(task.key, missing)
        return
    events: queue.SimpleQueue[Event | BaseException] = queue.SimpleQueue()
    threading.Thread(target=_train, args=(task, events), daemon=True).start()
    while True:
        event = events.get()
        if isinstance(event, BaseException):
            raise event
        yield event
        if isinstance(event, Finished):
            return


def _train(task: Task, events: queue.SimpleQueue[Event | BaseException]) -> None:
    from xception.train.process import prepare_process

    try:
        prepare_process(task.threads)  # in this thread: OpenMP keeps the number of threads by thread
        events.put(Finished(carry_out(task, lambda row: events.put(Epoch(task.key, row)))))
    except BaseException as error:  # noqa: BLE001 - not swallowed: raised again where Ray sees it
        events.put(error)
