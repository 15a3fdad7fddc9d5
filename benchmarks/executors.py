"""What executors cost in addition to training, how they scale, and how efficiently a large cluster would run a study.

    python -m benchmarks.executors            # minutes; Ray is left out where it is not installed
    python -m benchmarks.executors --short

`overhead`: trials per second and the time per trial that is not training, with trials of a fraction of a second,
including claims and records in an SQLite database; workers are warm. `scaling`: trials per second of two worker
processes over those of one, one thread each, in interleaved repeats, with trials of 32 × 32 images that take seconds.
For comparison, the limit of the machine: two independent processes that train in a loop, over one alone. `simulation`:
a study of 1,000 trials on 8 and 256 workers in the planner's order, with measured times: of each network's trial, with
the spread between repeats; of starting a worker; and of the driver's work for every trial, which is serial. Efficiency
is the training time over the total time of all workers, and the rest is listed by cause.
"""

from __future__ import annotations

import functools
import heapq
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from typing import Annotated, Any

import numpy as np

from ablations.costs.training_cost import trial_work
from ablations.design.options import Options
from ablations.design.plan_study import plan_study
from ablations.design.trial import SEMANTICS, Trial
from ablations.execution.events import Finished, Started
from ablations.execution.execute import execute
from ablations.execution.executor import Executor, SerialExecutor
from ablations.execution.local_executor import LocalExecutor
from ablations.execution.task import Task
from ablations.records.store import Store
from ablations.studies import get_study
from xception.base.command_line import parse, refuse
from xception.data.names import find
from xception.data.source import Source
from xception.network import presets
from xception.train.recipe import Recipe

PROG = "python -m benchmarks.executors"
WANTED = {8: 0.95, 256: 0.85}
_WARM = 2  # trials of each worker that are not counted


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the command."""

    short: bool = False
    """Fewer trials and repeats."""
    json: Annotated[bool, "Print one JSON document."] = False
    trials: int = 1000
    """Trials of the simulated study."""
    trial_seconds: float = 150.0
    """Mean seconds of a simulated trial, by default as at scale quick on one core."""


def tiny_tasks(source: Source, num: int) -> list[Task]:
    """Return trials of one epoch of 64 images of 8 × 8 pixels, which take milliseconds."""
    return _tasks(source, num, image_size=8, train_size=64, batch_size=32)


def cifar_tasks(source: Source, num: int) -> list[Task]:
    """Return trials of one epoch of 512 images of 32 × 32 pixels in batches of 128, which take seconds, as those of
    scale quick.
    """
    return _tasks(source, num, image_size=32, train_size=512, batch_size=128)


def _tasks(source: Source, num: int, *, image_size: int, train_size: int, batch_size: int) -> list[Task]:
    model = presets.get("cifar_tiny").for_data(num_classes=source.num_classes, in_channels=3, input_size=image_size)
    data = source.config(image_size=image_size, train_size=train_size, val_size=64, test_size=64)
    recipe = Recipe(epochs=1, batch_size=batch_size)
    trials = [Trial(model=model, recipe=recipe, dataset=data, seed=seed, semantics=SEMANTICS) for seed in range(num)]
    return [Task(trial=trial, source=source, device="cpu", threads=1) for trial in trials]


def throughput(make: Callable[[], Executor], tasks: Sequence[Task], num_workers: int) -> tuple[float, float, float]:
    """Return trials per second while all workers are busy, the mean seconds of their training, and the seconds until
    the first trial ends.

    The first two trials of each worker are not counted, nor its last, during which other workers may have been idle.
    """
    moments: list[tuple[str, float]] = []
    own: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/records.db")
        began = time.perf_counter()
        for event in execute(tasks, store, make()):
            if isinstance(event, Started | Finished):
                moments.append(("start" if isinstance(event, Started) else "end", time.perf_counter() - began))
            if isinstance(event, Finished):
                own.append(event.record.train_seconds or 0.0)
        store.close()
    counted = slice(_WARM * num_workers, -num_workers)
    first_end = next(at for what, at in moments if what == "end")
    return num_workers / statistics.fmean(cycles(moments)[counted]), statistics.fmean(own[counted]), first_end


def cycles(moments: Sequence[tuple[str, float]]) -> list[float]:
    """Seconds from the end of one trial of a worker to the end of its next, in the order in which trials ended.

    The worker that ended a trial is the next to start one, so starts and ends pair up without knowing the workers.
    """
    free: deque[float] = deque()
    busy: deque[float] = deque()
    out = []
    for what, at in moments:
        if what == "start":
            busy.append(free.popleft() if free else at)
        else:
            out.append(at - busy.popleft())
            free.append(at)
    return out


def overhead(source: Source, num: int) -> list[dict[str, Any]]:
    """Return a row per executor: trials per second, and milliseconds per trial that are not training."""
    makers: dict[str, tuple[Callable[[], Executor], int]] = {
        "serial": (SerialExecutor, 1),
        "processes": (lambda: LocalExecutor(num_workers=2), 2),
    }
    try:
        import ray
    except ModuleNotFoundError:
        print("ray is not installed and is left out", file=sys.stderr)
    else:
        from ablations.execution.ray_connection import connect_ray
        from ablations.execution.ray_executor import RayExecutor

        try:
            connect_ray(None)
        except ValueError as error:
            refuse(PROG, error)
        makers["ray"] = (lambda: RayExecutor(num_workers=2), 2)
    rows = []
    for name, (make, num_workers) in makers.items():
        rate, own, first = throughput(make, tiny_tasks(source, num + (_WARM + 1) * num_workers), num_workers)
        row = {"executor": name, "workers": num_workers, "trials_per_second": rate, "first_seconds": first}
        rows.append(row | {"beside_training_ms": 1000 * (num_workers / rate - own)})
    if "ray" in makers:
        ray.shutdown()
    return rows


def scaling(source: Source, num: int, repeats: int) -> dict[str, dict[str, float]]:
    """Return ratios of trials per second of two at a time over one: of worker processes, and of processes without an
    executor.

    Each is the median, lowest and highest of interleaved repeats; a single process carries out `num` trials, two carry
    out twice as many.
    """
    ratios: dict[str, list[float]] = {"workers": [], "machine": []}
    for _ in range(repeats):
        rates = []
        for n in (1, 2):
            executor = functools.partial(LocalExecutor, num_workers=n)
            rate, _, _ = throughput(executor, cifar_tasks(source, n * (num + _WARM + 1)), n)
            rates.append(rate)
        ratios["workers"].append(rates[1] / rates[0])
        rates = [_alone(cifar_tasks(source, num + _WARM + 1), n) for n in (1, 2)]
        ratios["machine"].append(rates[1] / rates[0])
    return {
        name: {"median": statistics.median(r), "low": min(r), "high": max(r), "n": repeats}
        for name, r in ratios.items()
    }


def _alone(tasks: list[Task], num: int) -> float:
    """Trials per second of processes that each carry out all of the tasks independently."""
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(num), context.SimpleQueue()
    processes = [context.Process(target=_train_all, args=(tasks, barrier, answers)) for _ in range(num)]
    for process in processes:
        process.start()
    rate = sum(1 / statistics.fmean(answers.get()[_WARM:-1]) for _ in processes)
    for process in processes:
        process.join()
    return rate


def _train_all(tasks: list[Task], barrier: Barrier, answers: SimpleQueue[list[float]]) -> None:
    """In a separate process: carry out tasks, from the second on together with the other processes, and send how long
    each took.
    """
    seconds = []
    for i, task in enumerate(tasks):
        if i == 1:
            barrier.wait()
        began = time.perf_counter()
        list(SerialExecutor().run([task]))
        seconds.append(time.perf_counter() - began)
    answers.put(seconds)


@dataclass(frozen=True)
class Measured:
    """The measured times that a simulation uses."""

    work: list[float]  # of each network, in the planner's unit
    seconds: list[list[float]]  # that each network took, once per repeat
    start_seconds: float  # of a worker
    driver_seconds: float  # of the driver for each trial: a claim, a record, a release


def measure(source: Source, repeats: int) -> Measured:
    """Train the variants of a study of different networks one after the other, and time the driver's work for each."""
    plan = plan_study(get_study("operators"), Options(scale="smoke", dataset="synthetic", seeds=repeats, epochs=1))
    tasks = [Task(trial=trial, source=source, device="cpu", threads=1) for trial in plan.trials().values()]
    seconds: dict[str, list[float]] = {}
    work: dict[str, float] = {}
    records = []
    for task in [tasks[0], *tasks]:  # the first is a warm-up
        began = time.perf_counter()
        record = next(event.record for event in SerialExecutor().run([task]) if isinstance(event, Finished))
        records.append((task, record, time.perf_counter() - began))
    for task, _, taken in records[1:]:
        network = json.dumps(json.loads(task.trial.to_json())["model"])
        seconds.setdefault(network, []).append(taken)
        work[network] = trial_work(task.trial, source)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/records.db")
        began = time.perf_counter()
        for task, record, _ in records[1:]:
            store.claim(task.key, "driver", 60)
            store.put(record)
            store.release_claims("driver", task.key)
        driver = (time.perf_counter() - began) / len(tasks)
        store.close()
    _, _, first = throughput(lambda: LocalExecutor(num_workers=1), tiny_tasks(source, _WARM + 2), 1)
    return Measured([work[n] for n in seconds], list(seconds.values()), first, driver)


def simulate(
    measured: Measured, num_trials: int, num_workers: int, trial_seconds: float, *, planned: bool, seed: int = 0
) -> dict[str, float]:
    """Return the efficiency of a study, and the shares of the workers' time that are lost, by cause.

    The planner starts trials in order of predicted work, the most expensive first; otherwise they start in the study's
    order.
    """
    rng = np.random.default_rng(seed)
    networks = np.arange(num_trials) % len(measured.work)
    times = np.array([rng.choice(measured.seconds[network]) for network in networks])
    times *= trial_seconds / times.mean()
    predicted = np.array(measured.work)[networks]
    order = np.argsort(-predicted, kind="stable") if planned else np.arange(num_trials)
    free = [(measured.start_seconds, worker) for worker in range(num_workers)]
    driver_free, waited, ends = 0.0, 0.0, np.zeros(num_workers)
    for trial in order:
        now, worker = heapq.heappop(free)
        begins = max(now, driver_free)  # a single driver claims and writes for all workers
        driver_free = begins + measured.driver_seconds
        waited += driver_free - now
        ends[worker] = driver_free + times[trial]
        heapq.heappush(free, (float(ends[worker]), worker))
    makespan = float(ends.max())
    total = makespan * num_workers
    return {
        "workers": num_workers,
        "efficiency": float(times.sum()) / total,
        "lost_at_the_end": float((makespan - ends).sum()) / total,
        "lost_to_starting": measured.start_seconds * num_workers / total,
        "lost_to_the_driver": waited / total,
        "hours": makespan / 3600,
    }


def main(args: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 where a simulated study is less efficient than it should be."""
    arguments = parse(Arguments, args, prog=PROG, description="What executors cost and how they scale.")
    source = find("synthetic", None)
    report: dict[str, Any] = {
        "overhead": overhead(source, 20 if arguments.short else 100),
        "scaling": scaling(source, 4 if arguments.short else 10, 1 if arguments.short else 3),
    }
    measured = measure(source, 2 if arguments.short else 3)
    report["simulation"] = {
        "trials": arguments.trials,
        "trial_seconds": arguments.trial_seconds,
        "measured": asdict(measured),
        "planned": [simulate(measured, arguments.trials, n, arguments.trial_seconds, planned=True) for n in WANTED],
        "as_listed": [simulate(measured, arguments.trials, n, arguments.trial_seconds, planned=False) for n in WANTED],
    }
    if arguments.json:
        print(json.dumps(report))
    else:
        _show(report)
    return int(any(row["efficiency"] < WANTED[row["workers"]] for row in report["simulation"]["planned"]))


def _show(report: dict[str, Any]) -> None:
    for row in report["overhead"]:
        print(
            f"{row['executor']:>10}, {row['workers']} at a time: {row['trials_per_second']:.2f} trials/s,"
            f" {row['beside_training_ms']:.0f} ms of each not training; first result after"
            f" {row['first_seconds']:.1f} s"
        )
    for name, what in (("workers", "two workers over one"), ("machine", "two processes without an executor over one")):
        ratio = report["scaling"][name]
        print(f"{what}: {ratio['median']:.2f}× ({ratio['low']:.2f} to {ratio['high']:.2f}, {ratio['n']} repeats)")
    simulation = report["simulation"]
    for name in ("planned", "as_listed"):
        for row in simulation[name]:
            what = f"{simulation['trials']} trials of {simulation['trial_seconds']:.0f} s, {name.replace('_', ' ')}"
            lost = ", ".join(
                f"{key.removeprefix('lost_').replace('_', ' ')} {row[key]:.1%}"
                for key in row
                if key.startswith("lost_")
            )
            print(
                f"{what}, on {row['workers']} workers: efficiency {row['efficiency']:.1%}; lost {lost};"
                f" {row['hours']:.2f} h"
            )


if __name__ == "__main__":
    sys.exit(main())
