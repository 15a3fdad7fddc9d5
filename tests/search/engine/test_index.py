"""A search that is rebuilt from its ledger continues with the suggestions that it would have made."""

from __future__ import annotations

import itertools
import json
import math
import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from ablations.records.store import Store
from search.design.definition import POPULATED, PRUNERS, SAMPLERS
from search.design.space import Values
from search.engine.index import Index
from search.engine.ledger import Row
from search.engine.optuna_file import OptunaFile, check_optuna_file, study_name
from search.engine.rungs import rungs
from search.engine.samplers import quasi_random
from search.engine.search_plan import SearchPlan
from search.spaces import get_space
from tests.search.simulated import make_plan


def outcome(values: Values, num_objectives: int) -> tuple[float, ...]:
    amount = sum(float(v) if not isinstance(v, str) else len(v) for v in values.values())
    return (-((amount - 6) ** 2) / 100, amount)[:num_objectives]


def go_on(plan: SearchPlan, rows: list[Row], until: int) -> list[Row]:
    """Continue a search from rows that went through JSON, as the ledger's do."""
    index, rows = Index(plan.definition, plan.space, rows), list(rows)
    while len(rows) < until:
        asked = index.ask()
        row = Row(
            number=asked.number,
            state="complete",
            params=asked.values,
            model="",
            search_attributes=asked.search_attributes,
        )
        if asked.number % 7 == 3:
            row = replace(row, state="failed")
        elif asked.number % 7 == 5:
            row = replace(row, state="infeasible", excess={} if plan.definition.sampler == "cmaes" else {"macs": 0.5})
            index.constrain(row.number, row.excess)
        else:
            row = replace(row, values=outcome(asked.values, len(plan.definition.objectives)))
        row = replace(row, trial_attributes=index.tell(row))
        rows.append(through_json(row))
    return rows


def through_json(row: Row) -> Row:
    plain: dict[str, Any] = json.loads(json.dumps(vars(row)))
    return Row(**plain | {name: tuple(plain[name]) for name in ("keys", "values", "steps", "told")})


def write(path: Path, plan: SearchPlan, rows: list[Row]) -> None:
    OptunaFile(path, plan.definition, plan.space).close(rows, {})


@pytest.mark.parametrize("objectives", [("val_accuracy",), ("val_accuracy", "macs")], ids=["one", "two"])
@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if s != "gp"])
def test_lost_index_is_made_again(tmp_path: Path, sampler: str, objectives: tuple[str, ...]) -> None:
    if sampler == "cmaes" and len(objectives) > 1:
        with pytest.raises(ValueError, match="--sampler: 'cmaes' is not allowed with several objectives"):
            make_plan(tmp_path, "widths", sampler=sampler, objectives=objectives)
        return
    space = "widths" if sampler == "cmaes" else "operators"
    wishes = {"population": 6} if sampler in POPULATED else {}
    plan = make_plan(tmp_path, space, sampler=sampler, objectives=objectives, **wishes)
    whole = go_on(plan, [], 40)
    for killed_after in (1, 13, 29):
        assert go_on(plan, whole[:killed_after], 40) == whole
    assert len({json.dumps(row.params) for row in whole}) > 20


def test_lost_index_is_made_again_for_gp(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "table", sampler="gp")
    whole = go_on(plan, [], 16)  # failed and infeasible ones among them: the first that the model suggests is number 14
    assert go_on(plan, whole[:15], 16) == whole


def test_seeds_of_a_search_give_other_suggestions(tmp_path: Path) -> None:
    one, other = (go_on(make_plan(tmp_path, sampler="random", seed=seed), [], 5) for seed in (0, 1))
    assert [row.params for row in one] != [row.params for row in other]


def test_cmaes_is_never_kept(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "widths", sampler="cmaes")
    assert all(not row.trial_attributes and not row.search_attributes for row in go_on(plan, [], 20))


def test_with_several_workers_cmaes_goes_on_from_what_was_suggested(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "widths", sampler="cmaes")
    rows = go_on(plan, [], 12)
    rows[8] = replace(rows[8], params=dict.fromkeys(rows[8].params, 0.7))
    index = Index(plan.definition, plan.space, rows)
    assert index.study.trials[8].params == rows[8].params


def test_quasi_random_points_fill_each_dimension_evenly() -> None:
    space = get_space("widths")
    first = [math.log2(float(quasi_random(space, 3, number)["stem"])) for number in range(32)]
    cells = [sum(-1 + k / 4 <= x < -1 + (k + 1) / 4 for x in first) for k in range(8)]
    assert cells == [4] * 8


def test_evolution_changes_one_dimension_of_a_good_parent(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "table", sampler="evolution", population=8)
    rows = go_on(plan, [], 60)
    for row in rows[20:]:
        parents = [other.params for other in rows[: row.number] if other.state == "complete"][-8:]
        assert any(sum(parent[name] != row.params[name] for name in row.params) == 1 for parent in parents)


def test_local_search_tries_neighbours_of_the_best_and_repeats_nothing(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "table", sampler="local", population=8)
    index, values = Index(plan.definition, plan.space), []
    generator = random.Random(0)
    score = {json.dumps(v): generator.random() for v in plan.space.grid()}
    for _ in range(30):
        asked = index.ask()
        values.append(asked.values)
        row = Row(
            number=asked.number,
            state="complete",
            params=asked.values,
            model="",
            values=(score[json.dumps(asked.values)],),
        )
        index.tell(row)
    assert len({json.dumps(v) for v in values[2:]}) == 28
    best = max(values[:-5], key=lambda v: score[json.dumps(v)])
    tried = {json.dumps(v) for v in values}
    assert all(json.dumps(v) in tried for v in plan.space.neighbours(best))
    for number in range(2, 30):
        assert any(sum(v[name] != values[number][name] for name in v) == 1 for v in values[:number])


@pytest.mark.parametrize("epochs", [3, 6, 9, 30, 100])
def test_rungs_rise_to_the_whole_training(epochs: int) -> None:
    steps = rungs(epochs)
    assert steps[-1] == epochs
    assert len(steps) >= 2
    assert all(2 * a <= b for a, b in itertools.pairwise(steps))


def test_search_is_written_for_optuna(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "table", sampler="nsga2", objectives=("val_accuracy", "macs"))
    rows = go_on(plan, [], 12)
    path = tmp_path / "study.db"
    write(path, plan, rows)
    write(path, plan, rows)  # updates the first
    study = optuna.load_study(study_name=study_name(plan.definition), storage=f"sqlite:///{path}")
    assert [t.params for t in study.trials] == [row.params for row in rows]
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.metric_names == ["val_accuracy", "macs"]


def test_other_studies_in_an_optuna_database_stay_and_ours_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "ours?{and}%their#s.db"
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'theirs.db'}")
    theirs = optuna.create_study(storage=storage, study_name="theirs")
    theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=20)
    storage.engine.dispose()
    (tmp_path / "theirs.db").rename(path)
    plan, other = make_plan(tmp_path, "table", seed=1), make_plan(tmp_path, "table", seed=2)
    rows = go_on(plan, [], 6)
    write(path, plan, rows[:4])
    write(path, other, go_on(other, [], 5))
    write(path, plan, rows)
    path.rename(tmp_path / "both.db")
    url = f"sqlite:///{tmp_path / 'both.db'}"
    counts = {summary.study_name: summary.n_trials for summary in optuna.get_all_study_summaries(url)}
    assert sorted(counts.values()) == [5, 6, 20]
    assert counts["theirs"] == 20
    name = study_name(plan.definition)
    assert [t.user_attrs["suggestion"] for t in optuna.load_study(study_name=name, storage=url).trials] == [*range(6)]


@pytest.mark.parametrize("kind", ["text", "empty", "folder", "sqlite", "store", "dangling", "nowhere", "no files"])
def test_any_other_file_is_refused_and_left_as_it_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    with closing(Store(f"sqlite:///{tmp_path / 'records.db'}")) as store:
        match kind:
            case "text":
                path.write_text("mine", encoding="utf-8")
            case "empty":
                path.touch()
            case "folder":
                path.mkdir()
            case "sqlite":
                with closing(sqlite3.connect(path)) as connection:
                    connection.execute("CREATE TABLE studies (name TEXT)")
            case "store":
                path.symlink_to(tmp_path / "records.db")
            case "dangling":
                path.symlink_to(tmp_path / "nothing")
            case "nowhere":
                path = Path("/proc/nowhere/file")
            case "no files":
                path = Path("/proc/file")
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(ValueError, match="--optuna-db: "):
            check_optuna_file(path, store.url)
        assert (path.read_bytes() if path.is_file() else None) == before


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--optuna-db: .*name too long"):
        check_optuna_file(tmp_path / (300 * "x"))


def test_every_pruner_has_a_name_that_makes_it(tmp_path: Path) -> None:
    for pruner in PRUNERS:
        plan = make_plan(tmp_path, pruner=pruner, seeds_per_candidate=5 if pruner == "wilcoxon" else 1, epochs=9)
        assert Index(plan.definition, plan.space).study.pruner is not None
