"""The contract of every executor: one outcome per task, its events in order, and the bits of the serial executor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from ablations.execution.events import Epoch, Event, Finished, Started
from ablations.execution.executor import Executor, SerialExecutor
from ablations.execution.local_executor import LocalExecutor
from ablations.execution.task import Task
from ablations.records.record import Record
from tests.trials import bits, finished, small_task

pytestmark = pytest.mark.numeric

MakeExecutor = Callable[[], Executor]


@pytest.fixture(scope="module", params=["serial", "local", "ray"])
def make_executor(request: pytest.FixtureRequest) -> MakeExecutor:
    """How to make each executor, for two trials at a time if it can run several."""
    if request.param == "serial":
        return SerialExecutor
    if request.param == "local":
        return lambda: LocalExecutor(num_workers=2)
    request.getfixturevalue("ray_cluster")
    from ablations.execution.ray_executor import RayExecutor

    return lambda: RayExecutor()


@dataclass
class Run:
    """One run for all clauses of the contract: the time at which each task was taken, and every event."""

    taken: list[Task] = field(default_factory=list)
    num_done_when_taken: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def events_of(self, task: Task) -> list[Any]:
        """The events of one task."""
        return [e for e in self.events if (e.record.key if isinstance(e, Finished) else e.key) == task.key]

    def record(self, task: Task) -> Record:
        """The record of one task."""
        return finished(self.events)[task.key]

    def tasks(self) -> Iterator[Task]:
        """Three trials, the last of which depends on what has finished, and one that cannot work."""
        for seed, batch_size in ((0, 32), (1, 32), (0, 65), (None, 32)):
            self.num_done_when_taken.append(self.num_done)
            self.taken.append(small_task(20 + self.num_done if seed is None else seed, batch_size=batch_size))
            yield self.taken[-1]

    @property
    def num_done(self) -> int:
        """How many have ended so far."""
        return sum(isinstance(event, Finished) for event in self.events)


@pytest.fixture(scope="module")
def run(make_executor: MakeExecutor) -> Run:
    """The run, in an environment with two threads set; the plan sets one."""
    out = Run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "2")
        for event in make_executor().run(out.tasks()):
            out.events.append(event)
    return out


def test_every_task_has_one_outcome(run: Run) -> None:
    assert set(finished(run.events)) == {task.key for task in run.taken}
    assert [run.record(task).status for task in run.taken] == ["complete", "complete", "failed", "complete"]


def test_the_records_are_those_of_the_serial_executor_to_the_bit(run: Run) -> None:
    expected = finished(SerialExecutor().run(run.taken))
    for task in run.taken:
        assert bits(run.record(task)) == bits(expected[task.key])


def test_a_trial_starts_then_yields_its_epochs_then_ends(run: Run) -> None:
    for task in (run.taken[0], run.taken[1], run.taken[3]):
        events = run.events_of(task)
        assert [type(event) for event in events] == [Started, Epoch, Epoch, Finished]
        assert [event.row for event in events[1:3]] == events[3].record.curves


def test_a_task_is_taken_only_when_there_is_room_for_it(run: Run) -> None:
    for num_before, num_done in enumerate(run.num_done_when_taken):
        assert num_before - num_done < 2


def test_a_trial_that_raises_is_failed_with_its_reason(run: Run) -> None:
    assert "batch_size: 65" in (run.record(run.taken[2]).reason or "")
    assert [type(event) for event in run.events_of(run.taken[2])] == [Started, Finished]


def test_no_tasks_no_events(make_executor: MakeExecutor) -> None:
    assert list(make_executor().run([])) == []


def test_closing_the_events_ends_the_work_and_leaves_room_for_the_next(make_executor: MakeExecutor) -> None:
    executor = make_executor()
    events = executor.run([small_task(seed, epochs=100_000) for seed in range(2)])
    assert isinstance(next(events), Started)
    events.close()  # type: ignore[attr-defined]
    assert len(finished(executor.run([small_task(0, epochs=1)]))) == 1
