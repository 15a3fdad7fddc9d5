"""What is done ahead of the results: begun once, when the last trial starts, and ended with the run."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ablations.costs.variant_costs import count, uncounted
from ablations.design.options import Options
from ablations.design.plan_study import plan_study
from ablations.design.study import Design
from ablations.execution.events import Event, Finished, Started
from ablations.records.record import Record
from ablations.records.store import Store
from ablations.running import ahead as module
from ablations.running.ahead import Ahead
from ablations.running.context import open_context
from ablations.running.run_study import run_study
from ablations.studies import get_study


@pytest.fixture
def designs(tmp_path: Path) -> dict[str, Design]:
    plan = plan_study(get_study("residuals"), Options(out=tmp_path, scale="smoke", dataset="synthetic", seeds=1))
    store = Store(f"sqlite:///{tmp_path / 'records.db'}")
    found = uncounted(plan.designs.values(), store)
    store.close()
    return found


def test_it_begins_once_when_the_last_trial_starts() -> None:
    begun: list[int] = []
    ahead = Ahead(lambda: begun.append(1))
    ahead.expect(2, {})
    a, b = (Record(key=name, trial="{}", status="complete") for name in "ab")
    # The first is started twice, as after its worker died.
    events: list[Event] = [Started("a"), Started("a"), Finished(a), Started("b"), Started("b"), Finished(b)]
    found = []
    for event in events:
        ahead.follow(event)
        ahead.counted()
        found.append(len(begun))
    assert found == [0, 0, 0, 1, 1, 1]


def test_networks_are_counted_ahead(designs: dict[str, Design]) -> None:
    ahead = Ahead(lambda: None)
    ahead.expect(1, designs)
    ahead.follow(Started("a"))
    assert ahead.counted() == {key: value for one in designs.values() for key, value in count(one, "cpu").items()}
    assert len(ahead.counted()) == 2 * len(designs)


def test_each_round_counts_what_no_earlier_one_has(designs: dict[str, Design], monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []

    def noted(design: Design, device: str) -> dict[str, dict[str, int]]:
        (key,) = (key for key, one in designs.items() if one == design)
        counted.append(key)
        return {key: {}}

    monkeypatch.setattr(module, "count", noted)
    ahead = Ahead(lambda: None)
    first, second = designs
    for wanted in ({first: designs[first]}, designs):
        ahead.expect(1, wanted)
        ahead.follow(Started("a"))
        ahead.counted()
    assert counted == [first, second]


def test_no_network_is_counted_after_the_end(designs: dict[str, Design], monkeypatch: pytest.MonkeyPatch) -> None:
    began, may_end, counted = threading.Event(), threading.Event(), list[Design]()

    def slow(design: Design, device: str) -> dict[str, dict[str, int]]:
        began.set()
        may_end.wait()
        counted.append(design)
        return {}

    monkeypatch.setattr(module, "count", slow)
    ahead = Ahead(lambda: None)
    ahead.expect(1, designs)
    ahead.follow(Started("a"))
    assert began.wait(60)
    threading.Timer(0.1, may_end.set).start()
    ahead.stop()
    assert counted == list(designs.values())[:1]
    ahead.counted()
    assert counted == list(designs.values())[:1]


def test_what_cannot_be_counted_is_left_to_the_main_thread(
    designs: dict[str, Design], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(design: Design, device: str) -> dict[str, dict[str, int]]:
        raise RuntimeError("out of order")

    monkeypatch.setattr(module, "count", broken)
    ahead = Ahead(lambda: None)
    ahead.expect(1, designs)
    ahead.follow(Started("a"))
    assert ahead.counted() == {}


def test_a_run_uses_what_was_counted_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = Options(out=tmp_path, scale="smoke", dataset="synthetic", seeds=1, workers=1, epochs=1)
    threads: list[str] = []

    def noted(design: Design) -> dict[str, int]:
        threads.append(threading.current_thread().name)
        return {"params": len(threads), "macs": 2, "fvcore_total": 3, "activations": 4}

    monkeypatch.setattr("ablations.costs.variant_costs._counts", noted)
    with open_context(plan_study(get_study("residuals"), options)) as context:
        comparison = run_study(context).results.comparison
    assert len(threads) == 2
    assert threading.current_thread().name not in threads
    assert sorted(comparison["params"]) == [1, 2]
    store = Store(options.store_url)
    assert len(list(store.measurements("complexity"))) == 2
    store.close()
