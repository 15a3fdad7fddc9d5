"""A worker that dies, hangs or runs out of memory costs only its own trial, and a retry gives the same
bits.
"""

from __future__ import annotations

import dataclasses
import errno
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import cast

import pytest

from ablations.execution.events import Epoch, Event, Finished, Notice
from ablations.execution.executor import SerialExecutor
from ablations.execution.local_executor import LocalExecutor
from ablations.execution.task import Task, environment, ran_out_of_memory
from ablations.records.trial_folder import TrialFolder
from tests.trials import bits, finished, small_task


@pytest.fixture(scope="module")
def reference() -> dict[str, object]:
    """The results of undisturbed trials, by key."""
    records = finished(SerialExecutor().run([small_task(seed, epochs=3) for seed in range(2)]))
    return {key: bits(record) for key, record in records.items()}


def tasks(trials: Path) -> list[Task]:
    return [dataclasses.replace(small_task(seed, epochs=3), trials=trials) for seed in range(2)]


def signalled(number: int) -> None:
    for process in multiprocessing.active_children():
        assert process.pid is not None
        os.kill(process.pid, number)


def disturbed(executor: LocalExecutor, work: list[Task], disturb: Callable[[], None], *, times: int = 1) -> list[Event]:
    """Run tasks and disturb the workers after the first epochs that they finish."""
    events = []
    for event in executor.run(work):
        events.append(event)
        if isinstance(event, Epoch) and times:
            times -= 1
            disturb()
    return events


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, *(pytest.param(n, marks=pytest.mark.long) for n in (signal.SIGTERM, signal.SIGSEGV))]
)
def test_a_killed_worker_costs_only_its_trial_whose_retry_has_the_same_bits(
    tmp_path: Path, reference: dict[str, object], number: int
) -> None:
    events = disturbed(LocalExecutor(num_workers=1), tasks(tmp_path), lambda: signalled(number))
    assert {key: bits(record) for key, record in finished(events).items()} == reference
    assert any(isinstance(event, Notice) and "tried again from its last checkpoint" in event.line for event in events)


@pytest.mark.long
def test_a_worker_that_hangs_is_ended_and_its_trial_tried_again(tmp_path: Path, reference: dict[str, object]) -> None:
    events = disturbed(
        LocalExecutor(num_workers=1, stall_seconds=3.0), tasks(tmp_path), lambda: signalled(signal.SIGSTOP)
    )
    assert {key: bits(record) for key, record in finished(events).items()} == reference
    assert any(isinstance(event, Notice) and "hung: it made no step for 3 s" in event.line for event in events)


@pytest.mark.long
def test_a_trial_is_given_up_after_its_attempts_and_the_next_one_is_not_touched(
    tmp_path: Path, reference: dict[str, object]
) -> None:
    work = tasks(tmp_path)
    executor = LocalExecutor(num_workers=1, retries=1)
    events = disturbed(executor, work, lambda: signalled(signal.SIGKILL), times=2)
    records = finished(events)
    assert (records[work[0].key].status, records[work[1].key].status) == ("failed", "complete")
    assert "SIGKILL" in str(records[work[0].key].reason)
    assert "at the last of 2 attempts" in str(records[work[0].key].reason)
    assert bits(records[work[1].key]) == reference[work[1].key]
    again = finished(LocalExecutor(num_workers=1).run(work[:1]))
    assert bits(again[work[0].key]) == reference[work[0].key]


@pytest.mark.long
def test_a_time_limit_ends_a_trial(tmp_path: Path) -> None:
    work = [dataclasses.replace(small_task(0, epochs=100_000), trials=tmp_path)]
    (record,) = finished(LocalExecutor(num_workers=1, retries=0, timeout_seconds=1.0).run(work)).values()
    assert (record.status, record.reason) == (
        "failed",
        "its worker was ended after the time limit of 1 s, at the last of 1 attempts",
    )


@pytest.mark.long
def test_a_failed_trial_leaves_its_worker_and_the_next_gets_a_fresh_one(
    tmp_path: Path, reference: dict[str, object]
) -> None:
    pids = []
    for event in LocalExecutor(num_workers=1).run([small_task(0, batch_size=1000), *tasks(tmp_path)]):
        pids += [process.pid for process in multiprocessing.active_children()]
        if isinstance(event, Finished):
            assert event.record.status == "failed" or bits(event.record) == reference[event.record.key]
    assert len(set(pids)) == 2


def test_closing_the_iterator_saves_what_runs(tmp_path: Path) -> None:
    task = dataclasses.replace(small_task(0, epochs=100_000), trials=tmp_path)
    events = LocalExecutor(num_workers=1).run([task])
    for event in events:
        if isinstance(event, Epoch):
            break
    cast("Generator[Event]", events).close()
    assert multiprocessing.active_children() == []
    assert any(path.suffix == ".safetensors" for path in (tmp_path / task.key).iterdir())


def test_a_finished_trial_is_not_trained_again_by_another_driver(tmp_path: Path, reference: dict[str, object]) -> None:
    first, _ = tasks(tmp_path)
    records = finished(SerialExecutor().run([first]))
    folder = tmp_path / first.key
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "record.json"]
    events = list(SerialExecutor().run([first]))
    assert not any(isinstance(event, Epoch) for event in events)
    assert finished(events) == records

    content = bytearray((folder / "record.json").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "record.json").write_bytes(content)
    events = list(SerialExecutor().run([first]))
    assert [event.line for event in events if isinstance(event, Notice)] == [
        f"{folder / 'record.json'} was damaged and is passed over"
    ]
    assert bits(finished(events)[first.key]) == reference[first.key]
    assert TrialFolder(tmp_path, first.key).read_record() == finished(events)[first.key]


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."), True),
        (RuntimeError("could not create a primitive"), True),  # all that oneDNN says of it
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
    ],
)
def test_running_out_of_memory_is_distinguished_from_other_failures(
    error: Exception, is_memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object) -> None:
        raise error

    monkeypatch.setattr("xception.data.load", load)
    (record,) = finished(SerialExecutor().run([small_task(0)])).values()
    assert record.status == "failed"
    assert ran_out_of_memory(record) is is_memory


def test_a_workers_environment_is_read_without_torch() -> None:
    code = "import pickle, sys; pickle.load(sys.stdin.buffer); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], input=pickle.dumps(environment()), check=False).returncode == 0


def test_workers_are_kept_from_one_run_to_the_next(tmp_path: Path, reference: dict[str, object]) -> None:
    work, seen, executor = tasks(tmp_path), list[set[int | None]](), LocalExecutor(num_workers=2)
    found: dict[str, object] = {}
    with executor.keeping_workers(1):
        seen.append({process.pid for process in multiprocessing.active_children()})
        for task in work:
            found |= {key: bits(record) for key, record in finished(executor.run([task])).items()}
            seen.append({process.pid for process in multiprocessing.active_children()})
        signalled(signal.SIGKILL)  # a kept worker that dies is replaced
        (again,) = finished(executor.run([small_task(2)])).values()
        assert again.status == "complete"
        assert seen[0].isdisjoint({process.pid for process in multiprocessing.active_children()})
    assert found == reference
    assert [len(pids) for pids in seen] == [1, 1, 1]
    assert seen[0] == seen[1] == seen[2]
    assert not multiprocessing.active_children()


def test_workers_that_no_task_needs_end_with_the_block() -> None:
    with LocalExecutor(num_workers=3).keeping_workers(2):
        workers = multiprocessing.active_children()
        assert len(workers) == 2
    assert {worker.exitcode for worker in workers} == {-signal.SIGKILL}  # while they import
