"""Faults of a worker process: each affects only the trial that it was training."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import resource
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from ablations.execution.events import Epoch, Event, Finished, Notice
from ablations.execution.local_executor import LocalExecutor
from ablations.execution.task import Task
from tests.faults.bench import NUM_TRIALS, Bench, LeftOutError, Outcome, require
from tests.trials import finished, small_task


def disturbed(executor: LocalExecutor, tasks: list[Task], disturb: Callable[[], None], times: int) -> Iterator[Event]:
    """Run tasks and inject a disturbance after the first epochs."""
    left = times
    for event in executor.run(tasks):
        yield event
        if isinstance(event, Epoch) and left:
            left -= 1
            disturb()


def signal_workers(*numbers: int, pause: float = 0.0) -> None:
    pids = [process.pid for process in multiprocessing.active_children() if process.pid is not None]
    for i, number in enumerate(numbers):
        if i:
            select.select([], [], [], pause)
        for pid in pids:
            os.kill(pid, number)


def survived(
    bench: Bench, executor: LocalExecutor, disturb: Callable[[], None], words: str, *, times: int = 1
) -> Outcome:
    """Every trial must end as undisturbed, and a notice must contain the words (empty: no notice)."""
    folder = bench.new_folder()
    events = list(disturbed(executor, bench.tasks(folder), disturb, times))
    records = finished(events)
    notices = [event.line for event in events if isinstance(event, Notice)]
    require(any(words in line for line in notices) if words else not notices, f"not said {words!r}: {notices}")
    equal = bench.num_equal(folder, records) == NUM_TRIALS
    lost = sum(record.status != "complete" for record in records.values()) + NUM_TRIALS - len(records)
    message = notices[0] if notices else "continues as if undisturbed"
    return Outcome(injected=times, lost=lost, bit_equal=times if equal else 0, message=message)


def killed(bench: Bench) -> Outcome:
    return survived(bench, LocalExecutor(num_workers=1), lambda: signal_workers(signal.SIGKILL), "SIGKILL")


def terminated(bench: Bench) -> Outcome:
    return survived(
        bench,
        LocalExecutor(num_workers=1),
        lambda: signal_workers(signal.SIGTERM),
        "tried again from its last checkpoint",
    )


def crashed(bench: Bench) -> Outcome:
    return survived(bench, LocalExecutor(num_workers=1), lambda: signal_workers(signal.SIGSEGV), "SIGSEGV")


def hung(bench: Bench) -> Outcome:
    return survived(
        bench, LocalExecutor(num_workers=1, stall_seconds=20.0), lambda: signal_workers(signal.SIGSTOP), "hung"
    )


def suspended(bench: Bench) -> Outcome:
    return survived(
        bench, LocalExecutor(num_workers=1), lambda: signal_workers(signal.SIGSTOP, signal.SIGCONT, pause=1.0), ""
    )


def killed_every_time(bench: Bench) -> Outcome:
    """Killed at every attempt: reported with its reason, the other trials untouched; the next run completes it."""
    folder = bench.new_folder()
    tasks = bench.tasks(folder)
    first = finished(disturbed(LocalExecutor(num_workers=1), tasks, lambda: signal_workers(signal.SIGKILL), 2))
    reason = first[tasks[0].key].reason or ""
    require(
        [first[task.key].status for task in tasks] == ["failed", "complete", "complete"],
        f"another trial failed too: {reason}",
    )
    require("2 attempts" in reason, f"the attempts are not stated: {reason}")
    second = finished(LocalExecutor(num_workers=1).run(tasks[:1]))
    records = first | second
    equal = bench.num_equal(folder, records) == NUM_TRIALS
    return Outcome(injected=2, bit_equal=2 if equal else 0, message=reason)


def over_time(bench: Bench) -> Outcome:
    task = dataclasses.replace(small_task(0, epochs=1_000_000), trials=bench.new_folder())
    (record,) = finished(LocalExecutor(num_workers=1, retries=0, timeout_seconds=1.0).run([task])).values()
    require(
        record.status == "failed" and "time limit of 1 s" in str(record.reason),
        f"not ended for its time: {record.reason}",
    )
    return Outcome(message=str(record.reason))


def out_of_memory(bench: Bench) -> Outcome:
    """`ulimit -v` on the worker once it trains, a little above what it has: the large trial that is next fails, its
    retry does not.
    """

    def limit() -> None:
        for process in multiprocessing.active_children():
            assert process.pid is not None
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0])
            resource.prlimit(
                process.pid, resource.RLIMIT_AS, (pages * resource.getpagesize() + (150 << 20), resource.RLIM_INFINITY)
            )

    folder = bench.new_folder()
    small = bench.tasks(folder)
    wide = small_task(0, epochs=1).trial.replace_at("model.width_multiplier", 16.0)
    large = dataclasses.replace(small_task(0), trial=wide, trials=folder)
    events = list(disturbed(LocalExecutor(num_workers=1), [small[0], large, *small[1:]], limit, 1))
    records, notices = finished(events), [event.line for event in events if isinstance(event, Notice)]
    own = records.pop(large.key)
    require(any(line.startswith("out of memory") for line in notices), f"not said: {notices}; {own.reason}")
    require(own.status == "complete", f"the retry did not complete: {own.reason}")
    return Outcome(
        lost=NUM_TRIALS - len(records),
        bit_equal=int(bench.num_equal(folder, records) == NUM_TRIALS),
        message=notices[0],
    )


def out_of_gpu_memory(bench: Bench) -> Outcome:
    """A trial too large for the GPU fails with its reason, and the next one is not affected."""
    import torch

    if not torch.cuda.is_available():
        raise LeftOutError("there is no GPU here")
    folder = bench.new_folder()
    trial = small_task(0).trial
    large = (
        trial.replace_at("dataset.image_size", 512)
        .replace_at("dataset.train_size", 4096)
        .replace_at("recipe.batch_size", 4096)
    )
    large = large.replace_at("model.width_multiplier", 16.0)
    tasks = [
        dataclasses.replace(small_task(0), trial=large, device="cuda:0", trials=folder),
        dataclasses.replace(small_task(1), device="cuda:0", trials=folder),
    ]
    events = list(LocalExecutor(num_workers=1, retries=1).run(tasks))
    records = [event.record for event in events if isinstance(event, Finished)]
    by_key = {record.key: record for record in records}
    reason = str(by_key[tasks[0].key].reason)
    require(reason.startswith("out of memory"), f"not out of memory: {reason}")
    require(by_key[tasks[1].key].status == "complete", f"the next trial was poisoned: {by_key[tasks[1].key].reason}")
    return Outcome(message=reason[:100])
