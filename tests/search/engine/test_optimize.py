"""The search itself, with simulated trainings: killed at any point, with several workers, with limits, pruners and
proxies.

One module, since all tests run the one loop, and share its simulated trainings.
"""

from __future__ import annotations

import random
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ablations.design.trial import Trial
from ablations.execution.claims import Claims
from ablations.execution.events import Finished
from ablations.execution.execute import STOOD_STILL
from ablations.records.store import Store, StoreError
from search.design.definition import POPULATED
from search.engine.drivers import only_driver
from search.engine.ledger import Ledger, Row
from search.engine.measure import Measured, measured_costs
from search.engine.optimize import Search
from search.engine.rungs import ranked
from search.engine.search_plan import require_feasible
from search.results.origins import origins
from search.results.results_folder import front_rows, trials_frame, write_search
from tests.search.simulated import (
    ELSEWHERE,
    Killed,
    Simulated,
    SimulatedWorkers,
    StoodStill,
    accuracy_of,
    make_plan,
    record_of,
    run_search,
)
from xception.base.canonical import canonical_json, from_json
from xception.network.closed_form import complexity
from xception.network.config import XceptionConfig

pytestmark = pytest.mark.usefixtures("svg_alone")


def without_clocks(search: Search) -> list[Row]:
    """The rows without clocks."""
    return [replace(row, sampler_seconds=None) for row in search.rows]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "evolution", "qmc"])
def test_killed_search_goes_on_as_if_nothing_had_happened(tmp_path: Path, sampler: str) -> None:
    wishes: dict[str, Any] = {"sampler": sampler, "objectives": ("val_accuracy", "macs")}
    wishes |= {"population": 5} if sampler in POPULATED else {}
    whole = Simulated()
    expected = without_clocks(run_search(make_plan(tmp_path / "whole", **wishes), 14, whole))
    plan, trained = make_plan(tmp_path / "killed", **wishes), []
    for killed_at in (1, 4, 3, 2, None):
        executor = Simulated(killed_at=killed_at)
        try:
            search = run_search(plan, 14, executor)
        except Killed:
            trained += executor.trained[:-1]  # the last one was lost with the process
        else:
            trained += executor.trained
            assert without_clocks(search) == expected
    assert sorted(trained) == sorted(whole.trained)
    assert len(set(trained)) == len(trained)


def test_killed_between_suggestion_and_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = without_clocks(run_search(make_plan(tmp_path / "whole"), 8, Simulated()))
    plan = make_plan(tmp_path / "killed")
    for name in ("add", "finish"):
        for when in ("before", "after"):
            calls = [0]
            original = getattr(Ledger, name)

            def interrupted(self: Ledger, row: Row, original=original, calls=calls, when=when) -> None:  # type: ignore[no-untyped-def]
                calls[0] += 1
                if calls[0] == 2 and when == "before":
                    raise Killed
                original(self, row)
                if calls[0] == 2:
                    raise Killed

            with monkeypatch.context() as patch:
                patch.setattr(Ledger, name, interrupted)
                with pytest.raises(Killed):
                    run_search(plan, 8, Simulated())
    assert without_clocks(run_search(plan, 8, Simulated())) == expected


def test_finished_search_trains_nothing_and_more_trials_continue_it(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    first, again, more = Simulated(), Simulated(), Simulated()
    run_search(plan, 5, first)
    run_search(plan, 5, again)
    assert len(first.trained) == 5
    assert again.trained == []
    assert without_clocks(run_search(plan, 9, more)) == without_clocks(
        run_search(make_plan(tmp_path / "at_once"), 9, Simulated())
    )
    assert len(more.trained) == 4


def test_what_an_ablation_trained_is_not_trained_again(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    networks = [
        from_json(XceptionConfig, row.model) for row in run_search(make_plan(tmp_path / "other"), 4, Simulated()).rows
    ]
    store = Store(f"sqlite:///{tmp_path / 'records.db'}")
    for network in networks[:3]:
        trial = plan.trial(network, 0)
        store.put(record_of(trial, accuracy_of(trial)))
    store.close()
    executor = Simulated()
    search = run_search(plan, 4, executor)
    assert len(executor.trained) == 1
    assert [row.state for row in search.rows] == ["complete"] * 4


@pytest.mark.parametrize("workers", [2, 4])
def test_several_workers_lose_and_repeat_nothing(tmp_path: Path, workers: int) -> None:
    executor = SimulatedWorkers(workers)
    search = run_search(make_plan(tmp_path), 17, executor, workers=workers)
    assert search.states["complete"] == 17
    assert search.states["asked"] == 0
    assert len(set(executor.trained)) == len(executor.trained) == 17
    assert sorted(row.number for row in search.rows) == list(range(len(search.rows)))


def test_selection_never_sees_the_test_set(tmp_path: Path) -> None:
    low, high = (
        run_search(make_plan(tmp_path / str(accuracy)), 12, Simulated(test_accuracy=accuracy))
        for accuracy in (0.1, 0.9)
    )
    assert without_clocks(low) == without_clocks(high)
    assert [row.number for row in front_rows(low)] == [row.number for row in front_rows(high)]
    assert not any("test" in column for column in trials_frame(low).columns)


def test_mean_over_seeds_counts(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, seeds_per_candidate=3)
    search = run_search(plan, 3, Simulated())
    for row in search.rows:
        network = from_json(XceptionConfig, row.model)
        assert row.values[0] == pytest.approx(sum(accuracy_of(plan.trial(network, seed)) for seed in range(3)) / 3)
        assert len(row.keys) == 3


class Sick(Simulated):
    """Every third training diverges, every fifth fails."""

    def run(self, tasks):  # type: ignore[no-untyped-def]
        for task in tasks:
            self.trained.append(task.key)
            number = len(self.trained)
            status = "failed" if number % 5 == 0 else "diverged" if number % 3 == 0 else "complete"
            yield Finished(record_of(task.trial, accuracy_of(task.trial), status=status))


def test_diverged_counts_at_chance_and_failed_is_reported(tmp_path: Path) -> None:
    search = run_search(make_plan(tmp_path), 10, Sick())
    values = [row.values[0] if row.state == "complete" else row.state for row in search.rows if row.is_counted]
    assert [i for i, v in enumerate(values, 1) if v == "failed"] == [5, 10]
    assert [i for i, v in enumerate(values, 1) if v == 0.1] == [3, 6, 9]


# What is not trained


@pytest.mark.parametrize(
    ("space", "limits", "sampler"),
    [
        ("family_at_macs", (), "nsga2"),
        ("family_at_macs", (), "tpe"),
        ("family_at_params", (), "evolution"),
        ("family", (("macs", 3e6),), "nsga2"),
        ("operators", (("params", 6e4),), "predictor"),
        ("middle_flow", (("macs", 5e6), ("params", 8e4)), "local"),
    ],
)
def test_limits_are_solved_and_samplers_stay_themselves(
    tmp_path: Path, space: str, limits: tuple[tuple[str, float], ...], sampler: str
) -> None:
    """Of the candidates after a sampler's start a tenth at most is drawn at random, and no suggestion is lost."""
    wishes: dict[str, Any] = {"population": 8} if sampler in POPULATED else {}
    plan = make_plan(tmp_path, space, sampler=sampler, limits=limits, **wishes)
    search = run_search(plan, 24, Simulated())
    assert search.states == {"complete": 24}
    assert len({row.model for row in search.rows}) == 24
    for row in search.rows:
        counted = complexity(from_json(XceptionConfig, row.model), 32)
        for name, (low, high) in plan.limits.items():
            assert low <= getattr(counted, name) <= high
    found = origins(search.rows, plan.definition)
    assert found is not None
    assert found.drawn <= 0.1, found.sentence


def test_a_network_within_the_limits_stays_as_it_is(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "family", limits=(("macs", 1e12),))
    generator = random.Random(3)
    for _ in range(10):
        values = plan.space.draw(generator)
        assert plan.network_at(values)[0] == plan.space.config(plan.network, values)


def test_a_network_beyond_a_limit_comes_close_below_it(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "family", limits=(("macs", 4e6),))
    generator = random.Random(3)
    shares: list[float] = []
    while len(shares) < 20:
        try:
            values = plan.space.draw(generator)
            network, costs = plan.network_at(values)
        except ValueError:
            continue
        if network != plan.space.config(plan.network, values):
            shares.append(costs["macs"] / 4e6)
    assert sum(share <= 1 for share in shares) >= 17  # some would need channels narrower than one multiple
    assert sorted(shares)[len(shares) // 2] > 0.9


def test_the_same_network_twice_is_trained_once(tmp_path: Path) -> None:
    executor = Simulated()
    search = run_search(make_plan(tmp_path, "table", sampler="random"), 40, executor)
    assert search.states == {"complete": 40}
    assert len(set(executor.trained)) == 40
    assert any(row.changes for row in search.rows)
    assert len({row.model for row in search.rows}) == 40


def test_search_of_a_whole_space_ends(tmp_path: Path) -> None:
    lines: list[str] = []
    search = run_search(make_plan(tmp_path, "table"), 100, Simulated(), say=lines.append)
    assert search.states == {"complete": 72}
    assert "no network that is new and within the limits is left: the search ends with 72" in lines[-1]


def test_dominated_candidates_are_not_trained(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, objectives=("val_accuracy", "macs"), accuracy_at_most=0.5, sampler="random")
    executor = Simulated(lambda trial: 0.5)  # the best possible: every network that costs more is dominated
    search = run_search(plan, 4, executor)
    cheapest = float("inf")
    for row in search.rows:
        if row.state in ("complete", "dominated"):
            assert (row.state == "dominated") == (row.costs["macs"] > cheapest)
            cheapest = min(cheapest, row.costs["macs"])
    assert search.states["dominated"] > 0
    assert len(executor.trained) == 4


def test_objectives_that_need_no_training_train_nothing(tmp_path: Path) -> None:
    executor = Simulated()
    search = run_search(make_plan(tmp_path, objectives=("macs", "params")), 6, executor)
    assert executor.trained == []
    assert [row.state for row in search.rows if row.is_counted] == ["complete"] * 6


def test_measured_costs_are_taken_while_nothing_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = SimulatedWorkers(3)
    moments: list[int] = []
    running: list[int] = [0]

    def measure(plan, network, *, store, device):  # type: ignore[no-untyped-def]
        moments.append(running[0])
        counted = complexity(network, plan.shape[1])
        costs = {"macs": float(counted.macs), "params": float(counted.params), "latency_ms": counted.macs / 1e6}
        reason = "does not fit" if costs["latency_ms"] > 30 else None
        return Measured(model=canonical_json(network), costs=costs, reason=reason, seconds=0.1, num_measured=1)

    class Counting(SimulatedWorkers):
        def run(self, tasks):  # type: ignore[no-untyped-def]
            def counted():  # type: ignore[no-untyped-def]
                for task in tasks:
                    running[0] += 1
                    yield task

            class Again:  # like the executors, request a task again after there was none
                def __iter__(self):  # type: ignore[no-untyped-def]
                    return self

                def __next__(self):  # type: ignore[no-untyped-def]
                    task = next(tasks)
                    running[0] += 1
                    return task

            for event in super().run(Again()):
                running[0] -= 1
                yield event

    monkeypatch.setattr("search.engine.suggestions.measured_costs", measure)
    executor = Counting(3)
    plan = make_plan(
        tmp_path, objectives=("val_accuracy", "latency_ms"), limits=(("latency_ms", 20.0),), sampler="random"
    )
    search = run_search(plan, 9, executor, workers=3)
    assert moments
    assert set(moments) == {0}
    assert search.states["complete"] == 9
    assert all(row.costs["latency_ms"] <= 20 for row in search.rows if row.state == "complete")
    assert search.states["infeasible"] > 0


def test_latency_and_memory_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.engine.measure._BUDGET_S", 0.2)
    plan = make_plan(tmp_path, limits=(("latency_ms", 1e4), ("memory_mib", 1e3)))
    store = Store(f"sqlite:///{tmp_path / 'records.db'}")
    small = plan.network.replace_at("middle.modules", 1)
    found = measured_costs(plan, small, store=store, device="cpu")
    assert found.reason is None
    assert 0.01 < found.costs["latency_ms"] < 1e4
    assert 0.05 < found.costs["memory_mib"] < 1e3
    assert (found.num_measured, found.model) == (1, canonical_json(small))
    again = measured_costs(plan, small, store=store, device="cpu")
    assert again.costs == found.costs
    assert (again.num_measured, again.seconds) == (0, 0.0)
    store.close()


def test_a_network_that_is_too_slow_is_narrowed_a_few_times_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[float] = []

    def latency(network, shape, store, device):  # type: ignore[no-untyped-def]
        widths.append(network.width_multiplier)
        return complexity(network, shape[1]).macs / 1e6, True

    monkeypatch.setattr("search.engine.measure._latency", latency)
    plan = make_plan(tmp_path, limits=(("latency_ms", 4.0),))
    assert complexity(plan.network, 32).macs > 4e6
    store = Store(f"sqlite:///{tmp_path / 'records.db'}")
    found = measured_costs(plan, plan.network, store=store, device="cpu")
    store.close()
    assert found.costs["latency_ms"] <= 4
    assert found.costs["macs"] == complexity(from_json(XceptionConfig, found.model), 32).macs
    assert 1 < len(widths) == found.num_measured <= 3
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("sampler", ["gp", "nsga2"])
def test_limits_that_are_measured_reach_the_sampler_as_constraints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    def measure(plan, network, *, store, device):  # type: ignore[no-untyped-def]
        counted = complexity(network, plan.shape[1])
        costs = {"macs": float(counted.macs), "params": float(counted.params), "latency_ms": counted.macs / 1e6}
        return Measured(model=canonical_json(network), costs=costs, reason=None, seconds=0.1, num_measured=1)

    monkeypatch.setattr("search.engine.suggestions.measured_costs", measure)
    wishes: dict[str, Any] = {"population": 4} if sampler in POPULATED else {}
    plan = make_plan(tmp_path, sampler=sampler, limits=(("latency_ms", 6.0),), **wishes)
    search = run_search(plan, 6, Simulated())
    turned_away = [row for row in search.rows if row.state == "infeasible"]
    assert turned_away
    assert all(len(row.told) == 1 and row.excess["latency_ms"] > 0 for row in turned_away)
    trials = search.index.study.get_trials(deepcopy=False)
    assert all(trials[row.number].state.name == "COMPLETE" for row in turned_away)
    assert all(trials[row.number].constraints["latency_ms"] > 0 for row in turned_away)


# Pruners


@pytest.mark.parametrize("pruner", ["hyperband", "median"])
def test_pruners_stop_candidates_after_short_trainings(tmp_path: Path, pruner: str) -> None:
    plan = make_plan(tmp_path, "operators", pruner=pruner, epochs=9, sampler="random")
    executor = Simulated()
    search = run_search(plan, 25, executor)
    assert search.states["pruned"] > 2
    assert search.states["pruned"] + search.states["complete"] == 25
    for row in search.rows:
        if row.state == "complete":
            assert [step for step, _ in row.steps] == [1, 3, 9]
        elif row.state == "pruned":
            assert [step for step, _ in row.steps] in ([1], [1, 3])
    assert len(executor.trained) == sum(len(row.steps) for row in search.rows)


@pytest.mark.parametrize("objectives", [("val_accuracy",), ("val_accuracy", "macs")], ids=["one", "two"])
@pytest.mark.parametrize("workers", [1, 4])
def test_successive_halving_lets_a_third_go_on(tmp_path: Path, objectives: tuple[str, ...], workers: int) -> None:
    plan = make_plan(tmp_path, "operators", pruner="asha", epochs=27, sampler="random", objectives=objectives)
    executor = SimulatedWorkers(workers) if workers > 1 else Simulated()
    search = run_search(plan, 27, executor, workers=workers)
    reached = [sum(len(row.steps) > rung for row in search.rows) for rung in range(3)]
    assert reached[0] == 27
    # Ranks change as candidates arrive: slightly more than a third may have been among the best third at their time.
    assert 9 <= reached[1] <= 16
    assert 3 <= reached[2] <= 8
    assert search.states == {"complete": reached[2], "pruned": 27 - reached[2]}
    # Nine trainings of 3 epochs, a third of them continued from the 2nd to 9, a ninth from the 8th to 27; none earlier.
    spent = (3 * reached[0] + (9 - 2) * reached[1] + (27 - 8) * reached[2]) / 27
    assert search.trainings == pytest.approx(spent)
    assert len(executor.trained) == len(set(executor.trained)) == sum(reached)
    best = {row.number for row in ranked(search.rows, plan.definition, 0)[:3]}
    assert best <= {row.number for row in search.rows if len(row.steps) > 1}


def test_a_search_of_few_candidates_trains_its_best_to_the_end(tmp_path: Path) -> None:
    search = run_search(make_plan(tmp_path, "operators", pruner="asha", epochs=9, sampler="random"), 4, Simulated())
    assert search.states == {"complete": 1, "pruned": 3}


@pytest.mark.parametrize("pruner", ["asha", "wilcoxon"])
def test_killed_search_with_a_pruner_goes_on(tmp_path: Path, pruner: str) -> None:
    wishes: dict[str, Any] = {"pruner": pruner, "epochs": 9, "seeds_per_candidate": 6 if pruner == "wilcoxon" else 1}
    expected = without_clocks(run_search(make_plan(tmp_path / "whole", **wishes), 8, Simulated()))
    plan = make_plan(tmp_path / "killed", **wishes)
    for killed_at in (2, 3, 4):
        with pytest.raises(Killed):
            run_search(plan, 8, Simulated(killed_at=killed_at))
    assert without_clocks(run_search(plan, 8, Simulated())) == expected
    assert any(row.state == "pruned" for row in expected)


# Several drivers


def test_two_drivers_share_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither trains what the other did, and every number belongs to one suggestion."""
    monkeypatch.setattr("search.engine.optimize._LOOK_SECONDS", 0.01)
    plan = make_plan(tmp_path, "operators", sampler="tpe")
    executors = [Simulated(), Simulated()]
    stores = [Store(f"sqlite:///{tmp_path / 'records.db'}") for _ in executors]
    searches = [Search(plan, store, device="cpu", threads=1) for store in stores]
    threads = [
        threading.Thread(target=search.run, args=(executor, 12))
        for search, executor in zip(searches, executors, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trained = [key for executor in executors for key in executor.trained]
    assert len(trained) == len(set(trained)) >= 12
    ledger = Ledger(stores[0], plan.definition, plan.space.digest).rows()
    for store in stores:
        store.close()
    assert [row.number for row in ledger] == list(range(len(ledger)))
    assert {row.state for row in ledger} == {"complete"}
    assert 12 <= len(ledger) <= 13  # both may have requested the last one at the same moment
    assert len({row.model for row in ledger}) == len(ledger)


def test_a_number_that_another_driver_took_is_given_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other driver writes after this one has read the ledger and before it writes its suggestion."""
    plan = make_plan(tmp_path, "operators", sampler="random")
    store = Store(f"sqlite:///{tmp_path / 'records.db'}")
    ours, theirs = (Search(plan, store, device="cpu", threads=1) for _ in range(2))
    theirs.run(Simulated(), 3)
    looked, original = [0], ours._take_in_others

    def blind_at_first() -> None:
        looked[0] += 1
        if looked[0] > 1:
            original()

    monkeypatch.setattr(ours, "_take_in_others", blind_at_first)
    ours.run(Simulated(), 5)
    store.close()
    assert ours.states == {"complete": 5}
    assert [row.model for row in ours.rows[:3]] == [row.model for row in theirs.rows]
    assert [row.number for row in ours.rows] == [*range(5)]


def test_a_driver_that_lost_a_claim_stops_that_training_and_takes_the_record_of_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Claims] = []
    lines: list[str] = []

    class Seen(Claims):
        def __enter__(self) -> Seen:
            seen.append(self)
            return super().__enter__()

    monkeypatch.setattr("search.engine.optimize.Claims", Seen)
    plan = make_plan(tmp_path, "operators", sampler="random")
    with closing(Store(f"sqlite:///{tmp_path / 'records.db'}")) as store:
        executor = StoodStill(store, seen)
        search = Search(plan, store, device="cpu", threads=1, say=lines.append)
        search.run(executor, 4)
        assert store.claim_owners() == {}
        assert executor.stolen is not None
        assert store.get()[executor.stolen.key].val_accuracy == 0.77
    assert executor.trained.count(executor.stolen.key) == 1
    assert len(set(executor.trained)) == len(executor.trained) == 4
    assert search.num_trained == 3
    assert search.states == {"complete": 4}
    assert search.rows[0].values == (0.77,)
    assert STOOD_STILL in lines


def test_a_driver_that_is_no_longer_alone_stops_and_the_search_goes_on_from_there(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "operators", sampler="random")
    with closing(Store(f"sqlite:///{tmp_path / 'records.db'}")) as store:
        with only_driver(store, plan.definition.key) as alone:
            executor = StoodStill(store, [alone])
            search = Search(plan, store, device="cpu", threads=1)
            with pytest.raises(StoreError, match="took over this search while this process was suspended"):
                search.run(executor, 4, alone)
        assert len(executor.trained) == len(search.rows) == 1
        assert set(store.claim_owners().values()) == {ELSEWHERE}
        store.release_claims(ELSEWHERE)
    assert run_search(plan, 4, Simulated()).states == {"complete": 4}


# Proxies


def test_warm_start_begins_with_the_best_of_a_pool(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "operators", warm_start="synflow")

    def scores(network: XceptionConfig) -> dict[str, float]:
        return {"synflow": float(complexity(network, 32).macs)}

    search = run_search(plan, 10, Simulated(), scores=scores)
    given = [row for row in search.rows if row.origin == "proxy"]
    assert [row.number for row in given] == list(range(8))
    generator = random.Random(0)
    typical = sorted(
        complexity(plan.space.config(plan.network, plan.space.draw(generator)), 32).macs for _ in range(60)
    )[45]
    assert all(row.costs["macs"] > typical for row in given)
    assert all(row.proxies["synflow"] == row.costs["macs"] for row in search.rows if row.state == "complete")


def test_filter_turns_away_the_worst_by_a_proxy(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "operators", filter="naswot", sampler="random")
    search = run_search(plan, 30, Simulated(), scores=lambda network: {"naswot": float(complexity(network, 32).macs)})
    for row in search.rows:
        before = sorted(other.proxies["naswot"] for other in search.rows[: row.number] if other.state == "complete")
        if row.state in ("complete", "filtered"):
            assert (row.state == "filtered") == (len(before) >= 12 and row.proxies["naswot"] < before[len(before) // 4])
    assert search.states["filtered"] > 0


# Results, and refusals


def test_results_are_written(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, objectives=("val_accuracy", "macs", "params"), sampler="random", limits=(("macs", 2e7),))
    search = run_search(plan, 25, Simulated(), scores=lambda network: {"synflow": float(complexity(network, 32).macs)})
    folder = write_search(search, front_rows(search)[:2], command="python -m search")
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"trials.csv", "front.csv", "counts.csv", "importance.csv", "proxies.csv", "provenance.json"} <= names
    figures = ("history_val_accuracy", "front_val_accuracy_macs", "hypervolume", "importance_val_accuracy")
    assert {f"figures/{name}.png" for name in figures} <= names
    best = sorted((folder / "best").glob("*.json"))
    assert len(best) == len(front_rows(search))
    assert canonical_json(from_json(XceptionConfig, best[0].read_text())) in {row.model for row in search.rows}


def test_older_space_in_the_store_is_refused_and_nothing_lost(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    run_search(plan, 3, Simulated())
    newer = replace(plan, space=replace(plan.space, version=2))
    with pytest.raises(ValueError, match="--space: middle_flow had another definition when this search was started"):
        run_search(newer, 3, Simulated())
    executor = Simulated()
    assert run_search(plan, 3, executor).states["complete"] == 3
    assert executor.trained == []


def test_constraints_that_nothing_keeps_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, limits=(("macs", 1000.0),))
    with pytest.raises(
        ValueError,
        match=r"--max-macs: none of 200 random networks of middle_flow is within the limits; the closest",
    ):
        require_feasible(plan)
    assert not list(tmp_path.glob("*.db"))


def test_seeds_are_those_of_ablations(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    trial = plan.trial(plan.network, 1)
    assert isinstance(trial, Trial)
    assert trial == plan.base.designs["baseline"].trial(1)
