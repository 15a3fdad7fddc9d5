"""Trials of one variant that are trained together leave the same records as alone, and fail independently."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from ablations.design.options import BackendOptions
from ablations.execution.backend import SEED_BATCH, check_backend, open_backend
from ablations.execution.events import Epoch, Finished, Notice, Started
from ablations.execution.executor import SerialExecutor, Upcoming
from ablations.execution.local_executor import LocalExecutor
from ablations.execution.seed_batches import carry_out_together, is_joinable
from ablations.execution.task import Task
from ablations.records.record import Record
from ablations.records.trial_folder import TrialFolder
from tests.trials import finished, small_task
from xception.network.config import TorchvisionConfig
from xception.train.execution import Execution

pytestmark = pytest.mark.numeric


def tasks(trials: Path | None = None, num: int = 3, batch_size: int = 32) -> list[Task]:
    return [
        dataclasses.replace(small_task(seed, epochs=2, batch_size=batch_size), trials=trials) for seed in range(num)
    ]


def check_same(record: Record, alone: Record) -> None:
    """The record without times, the last bits of losses, and the note on how it was trained."""
    assert (
        record.environment.items() - {("seed_batch", record.environment.get("seed_batch"))} == alone.environment.items()
    )
    for name in ("key", "trial", "status", "reason", "num_test", "num_classes", "params", "macs", "device", "threads"):
        assert getattr(record, name) == getattr(alone, name), name
    assert record.test_loss == pytest.approx(alone.test_loss, rel=1e-3)
    assert abs((record.test_accuracy or 0.0) - (alone.test_accuracy or 0.0)) <= 1 / 64
    assert [set(row) for row in record.curves] == [set(row) for row in alone.curves]


@pytest.fixture(scope="module")
def alone() -> dict[str, Record]:
    return finished(SerialExecutor().run(tasks()))


def test_a_worker_trains_the_seeds_of_a_variant_as_one(alone: dict[str, Record], tmp_path: Path) -> None:
    others = [small_task(0, epochs=1)]  # another recipe
    events = list(LocalExecutor(num_workers=1, seed_batch=2).run([*tasks(tmp_path), *others]))
    records = finished(events)
    for key, record in alone.items():
        check_same(records[key], record)
    assert [records[task.key].environment.get("seed_batch") for task in (*tasks(tmp_path), *others)] == [
        2,
        2,
        None,
        None,
    ]
    for task in tasks(tmp_path):
        told = [e for e in events if (e.record.key if isinstance(e, Finished) else e.key) == task.key]
        assert [type(event) for event in told] == [Started, Epoch, Epoch, Finished]
        assert sorted(path.name for path in (tmp_path / task.key).iterdir()) == ["lock", "record.json"]
        assert TrialFolder(tmp_path, task.key).read_record() == records[task.key]


def test_what_was_finished_is_not_trained_again(alone: dict[str, Record], tmp_path: Path) -> None:
    all_tasks = tasks(tmp_path)
    for task in all_tasks[:2]:
        TrialFolder(tmp_path, task.key).path.mkdir(parents=True)
        TrialFolder(tmp_path, task.key).write_record(alone[task.key])
    epochs: list[str] = []
    records: list[Record] = []
    carry_out_together(all_tasks, lambda key, row: epochs.append(key), records.append)
    assert set(epochs) == {all_tasks[2].key}
    assert [record.key for record in records] == [task.key for task in all_tasks]
    assert records[:2] == [alone[task.key] for task in all_tasks[:2]]


def test_a_batch_that_cannot_be_trained_is_tried_again_in_halves_down_to_single_trials() -> None:
    events = list(
        LocalExecutor(num_workers=1, seed_batch=3).run(tasks(num=2, batch_size=65))
    )  # more than there are images
    notices = [event.line for event in events if isinstance(event, Notice)]
    assert [line.partition(":")[0] for line in notices] == ["trained with 1 other seeds"]
    assert all("batch_size: 65" in line for line in notices)
    records = finished(events).values()
    assert len(records) == 2
    assert all(record.status == "failed" and "batch_size: 65" in (record.reason or "") for record in records)


def test_a_killed_worker_costs_no_trial(alone: dict[str, Record], tmp_path: Path) -> None:
    events: list[Any] = []
    for event in LocalExecutor(num_workers=1, seed_batch=3).run(tasks(tmp_path)):
        if isinstance(event, Epoch) and not any(isinstance(e, Epoch) for e in events):
            (process,) = multiprocessing.active_children()
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
        events.append(event)
    notices = [event.line for event in events if isinstance(event, Notice)]
    assert len(notices) == 1
    assert "SIGKILL" in notices[0]
    for key, record in finished(events).items():
        check_same(record, dataclasses.replace(alone[key], environment=alone[key].environment | _changed(record)))


def _changed(record: Record) -> dict[str, object]:
    """A member that continued in a smaller batch reports it."""
    changed = record.environment.get("changed")
    assert changed is None or set(changed) == {"members"}
    return {} if changed is None else {"changed": changed}


def test_what_may_be_trained_as_one() -> None:
    first, second, _ = tasks()
    trial = first.trial
    assert is_joinable(first, second)
    assert is_joinable(first, dataclasses.replace(first, trial=trial.replace(stream=1)))
    assert not is_joinable(first, dataclasses.replace(second, threads=2))
    assert not is_joinable(first, small_task(1, epochs=3))
    compiled = [dataclasses.replace(task, execution=Execution(compile=True)) for task in (first, second)]
    assert not is_joinable(*compiled)
    for tied in (
        trial.replace_at("recipe.precision", "float16"),
        trial.replace_at("recipe.batch_norm_shares", 2),
        trial.replace(model=TorchvisionConfig(name="resnet18", num_classes=10)),
    ):
        assert not is_joinable(
            dataclasses.replace(first, trial=tied), dataclasses.replace(second, trial=tied.replace(seed=1))
        )


def test_tasks_are_taken_as_one_only_in_their_order() -> None:
    a, b, c = tasks()
    d, e = small_task(0, epochs=3), small_task(1, epochs=3)
    upcoming = Upcoming([a, b, d, e, c])
    assert [upcoming.take_batch(8) for _ in range(4)] == [(a, b), (d, e), (c,), ()]
    upcoming.put_back(a, b)
    assert upcoming.take_batch(1) == (a, b)  # the tasks returned as one batch


def test_only_a_gpu_trains_several_seeds_as_one_by_default() -> None:
    backend = open_backend(BackendOptions(device="cpu"))
    assert isinstance(backend.executor, LocalExecutor)
    assert backend.executor.seed_batch == 1
    asked = open_backend(BackendOptions(device="cpu", seed_batch=3)).executor
    assert isinstance(asked, LocalExecutor)
    assert asked.seed_batch == 3


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (BackendOptions(seed_batch=0), "--seed-batch: 0 is not allowed; 1 to 10,000"),
        (BackendOptions(seed_batch=2, executor="ray"), "2 has no effect with --executor ray; .* --executor local"),
        (BackendOptions(seed_batch=2, trial_timeout=1.0), "with --trial-timeout"),
        (BackendOptions(seed_batch=2, compile=True), "with --compile"),
        (
            BackendOptions(executor="ray", compile=True),
            "--compile: it has no effect with --executor ray",
        ),
        (BackendOptions(gpus_per_trial=1), "--gpus-per-trial: 1 has no effect .* add --executor ray"),
        (BackendOptions(workers=2, executor="ray", trial_timeout=1.0), "--trial-timeout: 1.0 has no effect"),
    ],
)
def test_a_seed_batch_that_does_not_fit_is_refused(options: BackendOptions, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_backend(options)


@pytest.mark.gpu
def test_a_gpu_trains_several_seeds_as_one() -> None:
    executor = open_backend(BackendOptions(device="cuda")).executor
    assert isinstance(executor, LocalExecutor)
    assert executor.seed_batch == SEED_BATCH
    records = finished(executor.run([dataclasses.replace(task, device="cuda:0") for task in tasks()]))
    assert [record.environment.get("seed_batch") for record in records.values()] == [3, 3, 3]
