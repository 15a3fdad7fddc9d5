"""Claims of keys: live owners, owners that were stopped for long, and networks that other trials begin with."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from ablations.execution.claims import Claims, machine_name, start_time
from ablations.execution.events import Event, Finished
from ablations.execution.execute import execute
from ablations.execution.executor import SerialExecutor
from ablations.execution.kept_weights import find_weights
from ablations.execution.task import Task, failed
from ablations.records.record import Record
from ablations.records.store import Store
from tests.trials import finished, small_task


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path / 'records.db'}")) as store:
        yield store


class Recording:
    """Ends every task immediately, without training."""

    abilities: ClassVar[frozenset[str]] = frozenset()

    def __init__(self) -> None:
        self.keys: list[str] = []

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        for task in tasks:
            self.keys.append(task.key)
            yield Finished(replace(failed(task, "not trained"), status="complete"))


def test_an_expired_claim_of_a_process_that_lives_on_this_machine_is_left_to_it(store: Store) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    task = small_task(0)
    owner = f"{machine_name()}:{sleeper.pid}:{start_time(sleeper.pid)}:abc"
    assert store.claim(task.key, owner, -1)
    with Claims(store) as claims:
        assert list(claims.claimed([task])) == []
        sleeper.communicate(b"\n")
        assert list(claims.claimed([task])) == [task]


def test_an_expired_claim_of_another_machine_is_taken(store: Store) -> None:
    task = small_task(0)
    assert store.claim(task.key, "elsewhere:boot:1:2:3:abc", -1)
    with Claims(store) as claims:
        assert list(claims.claimed([task])) == [task]


def test_a_driver_that_lost_its_claim_stops_that_trial_and_takes_the_record_of_the_other(store: Store) -> None:
    task = small_task(0)
    lines: list[str] = []
    record = replace(failed(task, "trained elsewhere"), status="complete")

    class Stopped:
        """A training that is stopped for longer than the lease, while another machine takes its claim."""

        abilities: ClassVar[frozenset[str]] = frozenset()

        def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
            from ablations.execution.events import Epoch

            for task in tasks:
                (claims,) = [c for c in seen if c is not None]
                store.release_claims(claims.owner)
                assert store.claim(task.key, "elsewhere:boot:1:2:3:abc", 60)
                claims._look_for_lost()
                store.put(record)
                yield Epoch(task.key, {"epoch": 1})
                raise AssertionError("the trial went on")

    seen: list[Claims | None] = []

    class Seen(Claims):
        def __enter__(self) -> Seen:
            seen.append(self)
            return super().__enter__()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ablations.execution.execute.Claims", Seen)
        events = list(execute([task], store, Stopped(), lines.append))
    assert events[-1] == Finished(store.get()[task.key], elsewhere=True)
    assert len(lines) == 1
    assert "stood still" in lines[0]


def test_a_source_network_that_another_output_folder_has_is_not_trained_again(store: Store, tmp_path: Path) -> None:
    task = replace(small_task(0, epochs=1), keep_weights=tmp_path / "one", trials=tmp_path / "trials-1")
    finished(execute([task], store, SerialExecutor()))
    assert find_weights(task.key, tmp_path / "two", store) == tmp_path / "one" / f"{task.key}.safetensors"
    again = Recording()
    events = list(execute([replace(task, keep_weights=tmp_path / "two")], store, again))
    assert again.keys == []
    assert [e.elsewhere for e in events if isinstance(e, Finished)] == [True]
    os.remove(tmp_path / "one" / f"{task.key}.safetensors")  # lost: it is trained for its weights, its record stays
    lost = replace(task, keep_weights=tmp_path / "two", trials=tmp_path / "trials-2")
    finished(execute([lost], store, SerialExecutor()))
    assert find_weights(task.key, tmp_path / "two", store) == tmp_path / "two" / f"{task.key}.safetensors"


def test_the_place_of_a_network_is_known_before_its_record(store: Store, tmp_path: Path) -> None:
    task = replace(small_task(0, epochs=1), keep_weights=tmp_path / "one", trials=tmp_path / "trials-1")
    elsewhere = replace(task, keep_weights=tmp_path / "two")
    seen: list[list[Task]] = []

    class Watched(Store):
        """Another driver looks for work as soon as a record is written."""

        def put(self, record: Record) -> bool:
            written = super().put(record)
            with Claims(store) as others:
                seen.append(list(others.claimed([elsewhere])))
            return written

    with closing(Watched(f"sqlite:///{tmp_path / 'records.db'}")) as watched:
        finished(execute([task], watched, SerialExecutor()))
    assert seen == [[]]


def test_a_network_that_was_written_while_its_claim_was_waited_for_is_not_trained(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = replace(small_task(0, epochs=1), keep_weights=tmp_path / "one", trials=tmp_path / "trials-1")
    finished(execute([task], store, SerialExecutor()))
    looks = iter([True, False])  # the file is written between the two
    monkeypatch.setattr("ablations.execution.claims.lacks_weights", lambda *_: next(looks))
    with Claims(store) as claims:
        assert list(claims.claimed([task])) == []
        assert store.claim_owners() == {}


def test_tuning_leaves_to_others_what_they_train(store: Store, tmp_path: Path) -> None:
    from ablations.design.options import Options
    from ablations.design.plan_study import plan_study
    from ablations.execution.backend import Backend
    from ablations.running.context import Context
    from ablations.running.tuning import tune
    from ablations.studies import get_study
    from tests.trials import RecordingDisplay

    options = Options(scale="smoke", dataset="synthetic", out=tmp_path)
    plan = plan_study(get_study("residuals"), options)
    executor, keys = Recording(), []
    original = Store.claim

    def claim(self: Store, key: str, owner: str, seconds: float) -> bool:
        keys.append(key)
        return original(self, key, owner, seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "claim", claim)
        backend = Backend(executor=executor, device="cpu", own_device="cpu")
        tuned = tune(Context(plan=plan, store=store, backend=backend, display=RecordingDisplay()), num_trials=1)
    assert set(executor.keys) == set(tuned.trials["key"]) == set(keys)
    assert store.claim_owners() == {}


def test_a_second_driver_of_a_search_waits_for_the_first(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from search.engine.drivers import only_driver

    monkeypatch.setattr("ablations.execution.claims._LOOK_SECONDS", 0.01)
    order: list[str] = []
    began, may_end = threading.Event(), threading.Event()

    def first() -> None:
        with only_driver(store, "key"):
            began.set()
            may_end.wait(60)
            order.append("first")

    def second() -> None:
        with only_driver(store, "key"):
            order.append("second")

    threads = [threading.Thread(target=work) for work in (first, second)]
    threads[0].start()
    assert began.wait(60)
    threads[1].start()
    while "waiting for it" not in capsys.readouterr().err:
        assert threads[1].is_alive()
    may_end.set()
    for thread in threads:
        thread.join()
    assert order == ["first", "second"]
    assert store.claim_owners() == {}
