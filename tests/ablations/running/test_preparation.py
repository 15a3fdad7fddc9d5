"""What is made ready for the results while the last trials train is what they would be made with anyway, and is made
once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ablations.costs import variant_costs
from ablations.costs.variant_costs import countings, latency_budget, measure_costs
from ablations.design.study_plan import Options, StudyPlan, plan_study
from ablations.execution.executors import Event, Finished, Started
from ablations.execution.task import Task, carry_out, failed
from ablations.records.store import Store
from ablations.running.preparation import Preparation
from ablations.running.run_study import run_study
from ablations.studies import get_study
from tests.command import call
from tests.trials import Silent, small_task
from xception.network.model import build
from xception.profile.complexity import complexity


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'records.db'}")
    yield opened
    opened.close()


@pytest.fixture
def plan(tmp_path: Path) -> StudyPlan:
    return plan_study(get_study("residuals"), Options(out=tmp_path, scale="smoke", dataset="synthetic", seeds=2))


def counts(store: Store) -> list[object]:
    return sorted((row["macs"], row["params"]) for row in store.measurements("complexity"))


def test_networks_are_counted_once_and_as_without_it(plan: StudyPlan, store: Store, tmp_path: Path) -> None:
    with Preparation(plan.designs, store, device="cpu") as ahead:
        ahead.begin()
        ahead.begin()
        ahead.finish()
    assert countings(plan.designs, store, device="cpu") == []
    assert len(store.measurements("memory")) == len(store.measurements("complexity")) == len(plan.designs) == 2
    other = Store(f"sqlite:///{tmp_path / 'other.db'}")
    measure_costs(plan.designs, other, device="cpu", time_budget_s=0.01)
    assert counts(other) == counts(store)
    assert all(row["n"] >= 20 for row in other.measurements("latency"))
    other.close()


def test_what_is_measured_on_a_gpu_waits(plan: StudyPlan, store: Store) -> None:
    with Preparation(plan.designs, store, device="cuda:0") as ahead:
        ahead.begin()
        ahead.finish()
    assert len(store.measurements("complexity")) == 2
    assert store.measurements("memory") == []


def test_it_ends_without_a_word_where_it_fails_or_is_left(
    plan: StudyPlan, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no room")

    with Preparation(plan.designs, store, device="cpu") as ahead:
        ahead.finish()
    with monkeypatch.context() as patched:
        patched.setattr(variant_costs, "_counts", fail)
        with Preparation(plan.designs, store, device="cpu") as ahead:
            ahead.begin()
            ahead.finish()
        with pytest.raises(RuntimeError, match="no room"):
            measure_costs(plan.designs, store, device="cpu")
    with Preparation(plan.designs, store, device="cpu") as ahead:
        ahead.begin()
    assert not any(thread.name.startswith("preparation") for thread in threading.enumerate())


class Told:
    """Takes down what a run tells it."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def begin(self) -> None:
        self.words.append("begin")

    def finish(self) -> None:
        self.words.append("finish")


class InOrder:
    """An executor of two workers that trains nothing and starts and ends trials in an order of its own."""

    def __init__(self, order: str, told: Told) -> None:
        self.order, self.told = order, told

    def run(self, tasks: Iterator[Task]) -> Iterator[Event]:
        listed = list(tasks)
        for step in self.order.split():
            task = listed[int(step[1])]
            self.told.words.append(step)
            yield Started(task.key) if step[0] == "+" else Finished(failed(task, "not trained"))


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("+0 +1 -0 +2 -1 +3 -3 -2", "+0 +1 -0 +2 -1 +3 -3 begin -2 finish"),
        ("+0 -0 +1 -1 +2 -2 +3 -3", "+0 -0 +1 -1 +2 -2 +3 -3 finish"),
        ("+0 +1 +2 +3 -3 -2 -1 -0", "+0 +1 +2 +3 -3 begin -2 begin -1 begin -0 finish"),
    ],
)
def test_it_begins_once_a_worker_has_nothing_left_to_do(plan: StudyPlan, store: Store, order: str, words: str) -> None:
    told = Told()
    run_study(plan, store, InOrder(order, told), Silent(), device="cpu", threads=1, ahead=told)  # type: ignore[arg-type]
    assert " ".join(told.words) == words


@pytest.mark.parametrize(("seconds", "budget"), [(0.0, 3.0), (500.0, 5.0), (1e5, 30.0)])
def test_timing_takes_a_share_of_the_training(seconds: float, budget: float) -> None:
    assert latency_budget(seconds) == budget


def test_a_record_has_the_macs_that_a_pass_counts() -> None:
    task = small_task(0)
    record = carry_out(task, lambda row: None)
    assert record.macs == complexity(build(task.trial.model), (3, 8, 8), fvcore=False).macs > 0


def test_a_worker_does_not_load_the_compiler() -> None:
    code = "import sys; from tests.trials import small_task; from ablations.execution.task import carry_out\n"
    code += "print(carry_out(small_task(0), lambda row: None).status, 'torch._dynamo' in sys.modules)"
    assert call("-c", code).stdout.split() == ["complete", "False"]
