"""The table of a space, searches replayed on it, and their results."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ablations.costs.latency_lookup import put_column
from ablations.design.trial import Trial
from ablations.records.store import Store
from search.benchmark.importance import functional_anova
from search.benchmark.replay import (
    METHODS,
    Run,
    View,
    check_methods,
    compare_methods,
    exhaustive_regret,
    mean_interval,
    regret_at,
    replay,
    summary,
)
from search.benchmark.tabular import Table
from search.commands.replay import replay as replay_command
from search.design.space import Values
from search.engine.search_plan import base_network
from tests.search.simulated import Simulated, accuracy_of, make_plan, record_of, run_search
from tests.search.tables import make_table, quality
from xception.base.canonical import canonical_json, from_json, key_of
from xception.network.config import XceptionConfig

NOT_ALL = "table: 1 of 72 networks of table have no finished trial"


def test_query_by_config(tmp_path: Path) -> None:
    table = make_table(tmp_path)
    values = table.grid[7]
    network = table.space.config(base_network(table.design), values)
    own = table.frame[table.frame["model"] == table._model_of[frozenset(values.items())]]
    seeds = [table.query(network, seed=s) for s in range(3)]
    assert [m.val_accuracy for m in seeds] == own["val_accuracy"].to_list()
    mean = table.query(network)
    assert mean.val_accuracy == pytest.approx(own["val_accuracy"].mean())
    assert mean.test_accuracy == pytest.approx(own["test_accuracy"].mean())
    assert (mean.params, mean.macs, mean.latency_ms, mean.num_seeds, len(mean.val_curve)) == (1000, 10_000, 1.5, 3, 9)
    third = table.query(network, seed=0, epoch=3)
    assert third.val_accuracy == own["val_curve"].iloc[0][2]
    assert third.train_seconds == pytest.approx(own["train_seconds"].iloc[0] / 3)
    assert math.isnan(third.test_accuracy)
    for wrong in ({"seed": 9}, {"epoch": 0}, {"epoch": 10}):
        with pytest.raises(ValueError, match="is not in the table"):
            table.query(network, **wrong)
    with pytest.raises(ValueError, match="is not in the table; networks of the space table"):
        table.query(network.replace_at("middle.modules", 3))


def test_table_goes_through_parquet(tmp_path: Path) -> None:
    table, path = make_table(tmp_path), tmp_path / "deep" / "table.parquet"
    table.write(path)
    again = Table.read(path)
    assert again.about == table.about
    assert again.design == table.design
    assert [again.at(v) for v in table.grid] == [table.at(v) for v in table.grid]


def test_table_of_a_store(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "table")
    store = Store(f"sqlite:///{tmp_path / 'records.db'}")
    networks = [plan.space.config(plan.network, values) for values in plan.space.grid()]
    for number, network in enumerate(networks):
        for seed in range(2):
            trial = plan.trial(network, seed)
            status = "diverged" if (number, seed) == (5, 1) else "complete"
            if number:
                store.put(record_of(trial, accuracy_of(trial), status=status))
    with pytest.raises(ValueError, match=NOT_ALL):
        Table.from_store(store, plan.space, plan.design, range(2), {})
    store.put(record_of(plan.trial(networks[0], 0), 0.4))
    for size, device in ((32, "one machine"), (64, "another")):  # the second of which is for other images
        about = {"model_key": key_of(networks[0]), "input_shape": (3, size, size), "latency_device": device}
        put_column(store, [device], [about | {"latency_ms": float(size)}], load=None)
    table = Table.from_store(store, plan.space, plan.design, range(2), {"dataset": "synthetic"})
    store.close()
    assert table.query(networks[0]).num_seeds == 1
    measured = table.query(networks[0])
    assert (measured.latency_ms, measured.latency_device, measured.image_size) == (32.0, "one machine", 32)
    assert table.query(networks[9]).latency_device is None
    columns = table.means().columns
    assert {"latency_ms", "latency_device", "image_size"} <= set(columns)
    assert table.query(networks[5], seed=1).val_accuracy == 0.1  # chance
    assert table.query(networks[9], seed=1).val_accuracy == pytest.approx(accuracy_of(plan.trial(networks[9], 1)))


def test_table_of_another_space_or_file_is_refused(tmp_path: Path) -> None:
    table = make_table(tmp_path)
    with pytest.raises(ValueError, match="the space table had another definition when it was trained"):
        Table(table.frame, space="table", digest="0", design=table.design, about={})
    with pytest.raises(ValueError, match=r"--table: .*nowhere\.parquet does not exist"):
        Table.read(tmp_path / "nowhere.parquet")
    table.frame.drop(columns="val_curve").to_parquet(tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="holds no table of a space"):
        Table.read(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(ValueError, match="holds no table of a space"):
        Table.read(tmp_path / "text.parquet")


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("cmaes", "gp")])
def test_replayed_search_pays_and_picks_honestly(tmp_path: Path, method: str) -> None:
    table = make_table(tmp_path)
    run = replay(table, method, trials=12, seed=3)
    view = View(table, method, 3, all_seeds=False)
    for picked, regret in zip(run.picked, run.test_regret, strict=True):
        assert regret == pytest.approx(view.best_test - view.truth(picked)[1])
    assert run.spent[-1] <= 12 + 1e-9
    assert all(a <= b for a, b in itertools.pairwise(run.seconds))
    assert run.picked == replay(table, method, trials=12, seed=3).picked
    assert run.picked != replay(table, method, trials=12, seed=4).picked


def test_truth_is_by_seeds_that_the_search_does_not_see(tmp_path: Path) -> None:
    table = make_table(tmp_path)
    view = View(table, "random", 0, all_seeds=False)
    values = table.grid[5]
    seen = view.seen(values).val_accuracy
    own = {seed: table.at(values, seed) for seed in range(3)}
    hidden = [found for found in own.values() if found.val_accuracy != seen]
    assert len(hidden) == 2
    assert view.truth(values)[1] == pytest.approx(np.mean([found.test_accuracy for found in hidden]))


def test_the_floor_is_the_regret_of_a_search_that_sees_all(tmp_path: Path) -> None:
    assert exhaustive_regret(make_table(tmp_path, noise=0.0), 0) == pytest.approx(0)
    noisy = make_table(tmp_path / "noisy", noise=0.05)
    floors = [exhaustive_regret(noisy, seed) for seed in range(10)]
    assert min(floors) >= 0
    assert np.mean(floors) > 0.01
    run = replay(noisy, "random", trials=72, seed=4)
    assert run.test_regret[-1] == pytest.approx(floors[4])


def test_clock_pays_for_each_network_once(tmp_path: Path) -> None:
    table = make_table(tmp_path)
    whole = sum(table.at(v).train_seconds for v in table.grid)
    run = replay(table, "random", trials=400, seed=0)
    assert run.seconds[-1] == pytest.approx(whole)
    assert run.spent == [float(n + 1) for n in range(len(table.grid))]


@pytest.mark.parametrize("pruner", ["asha", "hyperband", "median"])
def test_pruners_are_those_of_real_searches(tmp_path: Path, pruner: str) -> None:
    """A replayed search with a pruner does the same as a real search with the same accuracies."""
    table = make_table(tmp_path, seeds=1, noise=0.01)
    run = replay(table, pruner, trials=100, seed=2)
    plan = make_plan(tmp_path / "real", "table", epochs=9, sampler="random", pruner=pruner, seed=2)
    by_model = {table.model_of(values): values for values in table.grid}

    def seen(trial: Trial) -> float:
        return table.trained(by_model[canonical_json(trial.model)], 0, trial.recipe.epochs).val_accuracy

    search = run_search(plan, len(table.grid), Simulated(seen))
    assert run.spent[-1] == pytest.approx(search.trainings)
    assert search.states["pruned"] > 20
    assert search.trainings < 72


@pytest.mark.parametrize("method", ["tpe", "nsga2", "evolution", "local", "qmc"])
def test_a_network_that_is_suggested_again_is_no_trial(tmp_path: Path, method: str) -> None:
    run = replay(make_table(tmp_path), method, trials=60, seed=1)
    assert run.spent == [float(n + 1) for n in range(60)]
    assert all(a < b for a, b in itertools.pairwise(run.seconds))  # each was trained for the first time


def test_time_is_that_of_the_quickest_seed_that_ended_whole(tmp_path: Path) -> None:
    table = make_table(tmp_path)
    frame = table.frame.copy()
    model = frame["model"].iloc[0]
    own = frame.index[frame["model"] == model]
    frame.loc[own, "train_seconds"] = [300.0, 90.0, 4.0]
    frame.loc[own[2], "status"] = "diverged"
    uneven = Table(frame, space="table", digest=table.space.digest, design=table.design, about=table.about)
    network = from_json(XceptionConfig, model)
    assert [uneven.query(network, seed=seed).train_seconds for seed in (0, 1, 2, None)] == [90.0] * 4
    frame.loc[own, "status"] = "diverged"
    assert (
        Table(frame, space="table", digest=table.space.digest, design=table.design, about={})
        .query(network)
        .train_seconds
        == 4.0
    )


def test_regret_at_places() -> None:
    run = Run(
        "random",
        0,
        spent=[1.0, 2.0, 3.0],
        seconds=[10.0, 20.0, 40.0],
        test_regret=[0.3, 0.2, 0.1],
        val_regret=[0, 0, 0],
    )
    np.testing.assert_array_equal(
        regret_at(run, np.array([0.5, 1.0, 2.5, 9.0]), over="spent"), [math.nan, 0.3, 0.2, 0.1]
    )
    np.testing.assert_array_equal(
        regret_at(run, np.array([5.0, 39.0, 40.0, 41.0]), over="seconds"), [math.nan, 0.2, 0.1, math.nan]
    )


def test_summary_compares_in_pairs(tmp_path: Path) -> None:
    table = make_table(tmp_path)
    runs = compare_methods(table, ("random", "local"), trials=10, repeats=4)
    shifted = [
        replace(run, method="oracle", test_regret=[regret - 0.25 for regret in run.test_regret])
        for run in runs
        if run.method == "random"
    ]
    rows = summary([*runs, *shifted], 10, [0.02, 0.04]).set_index("method")
    assert rows.loc["oracle", "lower_than_random"] == pytest.approx(0.25)
    assert rows.loc["oracle", "lower_than_random_ci_low"] == pytest.approx(0.25)  # although repeats differ
    assert np.isnan(rows["lower_than_random"].to_dict()["random"])
    assert (rows["floor"] == 0.03).all()
    assert (rows["trainings"] == 10).all()


def test_mean_interval_is_that_of_t() -> None:
    mean, low, high = mean_interval(np.array([1.0, 2.0, 3.0, 4.0]))
    assert mean == 2.5
    assert (low, high) == pytest.approx((2.5 - 3.182446 * 0.645497, 2.5 + 3.182446 * 0.645497), abs=1e-5)  # t(3), 0.975


def test_methods_are_checked_against_the_table(tmp_path: Path) -> None:
    table = make_table(tmp_path)
    for methods, message in (
        (("rendom",), "--samplers: 'rendom' is not known; allowed: random"),
        (("random", "random"), "each at most once"),
        (("cmaes",), "--sampler: 'cmaes' needs dimensions that are all numbers"),
        ((), "--samplers"),
    ):
        with pytest.raises(ValueError, match=message):
            check_methods(methods, table)


def test_replay_writes_tables_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "table.parquet"
    make_table(tmp_path).write(path)
    assert (
        replay_command(path, ("random", "evolution", "hyperband"), trials=8, repeats=3, seed=0, out=tmp_path / "out")
        == 0
    )
    assert "regret (pp)" in capsys.readouterr().out
    folder = tmp_path / "out" / "replay"
    rows = pd.read_csv(folder / "summary.csv")
    assert set(rows["method"]) == {"random", "evolution", "hyperband"}
    assert rows["test_regret"].between(0, 1).all()
    assert {p.name for p in (folder / "figures").iterdir()} == {
        f"{n}.{k}" for n in ("regret", "importance") for k in ("png", "svg", "pdf")
    }
    with pytest.raises(ValueError, match="--repeats: 1 is not allowed; 2 or more"):
        replay_command(path, ("random",), trials=8, repeats=1, seed=0, out=tmp_path / "out")


def test_functional_anova_of_a_case_computed_by_hand() -> None:
    grid: list[Values] = [{"a": a, "b": b, "c": c} for a in (0, 1) for b in (0, 1, 2) for c in (0, 1)]
    additive = functional_anova(grid, [3.0 * float(v["a"]) + float(v["b"]) for v in grid])
    spread_a, spread_b = 9 / 4, 2 / 3  # variances of 3·{0, 1} and of {0, 1, 2}
    assert additive["a"] == pytest.approx(spread_a / (spread_a + spread_b))
    assert additive["b"] == pytest.approx(spread_b / (spread_a + spread_b))
    assert additive["c"] == pytest.approx(0)
    assert additive["a × b"] == pytest.approx(0)
    exclusive = functional_anova(grid, [float(v["a"] != v["c"]) for v in grid])
    assert exclusive["a × c"] == pytest.approx(1)
    assert functional_anova(grid, [1.0] * len(grid)) == {"a": 0.0, "b": 0.0, "c": 0.0}
    with pytest.raises(ValueError, match="each of 12 once"):
        functional_anova(grid[1:], [0.0] * 11)


@pytest.mark.long
def test_tpe_beats_random_search_on_the_table(tmp_path: Path) -> None:
    """GP and NSGA-II, which take longer or more trials, are compared with random search by
    benchmarks.search_evidence.
    """
    table = make_table(tmp_path, noise=0.004)
    runs = compare_methods(table, ("random", "tpe"), trials=30, repeats=30)
    means = {
        method: np.array([np.mean(run.test_regret) for run in runs if run.method == method])
        for method in ("random", "tpe")
    }
    assert mean_interval(means["random"] - means["tpe"])[1] > 0
    assert max(quality(values) for values in table.grid) > 0.7
