"""The comparison of samplers with random search: its formula, its arithmetic, its contract, and (long) that its
promises hold.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from benchmarks import search_evidence, search_regrets
from search.design.space import Values

TABLE = Path(__file__).parents[2] / "results" / "table_quick_cpu" / "table.parquet"


def test_the_formula_has_the_optimum_that_it_names() -> None:
    best: Values = {"a": 0.7, "b": 0.3, "rate": 10**-2.5, "depth": 5, "kind": "y", "extra": 0.25}
    assert search_regrets.loss(best) == pytest.approx(0, abs=1e-12)
    generator = random.Random(0)
    drawn = [search_regrets.ANALYTIC.draw(generator) for _ in range(500)]
    assert min(search_regrets.loss(values) for values in drawn) > 0
    assert all(0 <= search_regrets.cost(values) <= 1 for values in drawn)
    for name, value in (("a", 0.8), ("b", 0.2), ("rate", 0.1), ("depth", 6), ("kind", "x"), ("extra", 0.5)):
        assert search_regrets.loss({**best, name: value}) > 0, name


def test_regret_never_rises() -> None:
    for regret in (search_regrets.analytic_regret("random", 12, 0), search_regrets.front_regret("nsga2", 12, 0)):
        assert (np.diff(regret) <= 0).all()
        assert (regret >= 0).all()


def test_comparison_is_paired() -> None:
    ours, theirs = np.array([[2.0, 1.0], [4.0, 3.0], [6.0, 5.0]]), np.array([[3.0, 2.0], [5.0, 4.0], [7.0, 6.0]])
    found = search_evidence.versus_random(ours, theirs)
    assert (found["repeats"], found["trials"]) == (3, 2)
    assert (found["final_regret"], found["final_regret_random"]) == (3, 4)
    assert (found["final_lower_by"], found["final_ci_low"], found["final_ci_high"]) == (
        1,
        1,
        1,
    )  # although repeats differ
    assert found["mean_lower_by"] == 1


def test_report_keeps_the_contract(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(search_evidence, "SHORT", 2)
    monkeypatch.setattr(search_evidence, "LIMITS", (("family", ("macs",)),))
    monkeypatch.setattr(search_evidence, "SAMPLERS", ("nsga2",))
    monkeypatch.setattr(search_evidence, "CANDIDATES", 15)
    monkeypatch.setattr(search_evidence, "THROWN", 10_000)
    monkeypatch.setitem(search_evidence.TRIALS, "analytic", {"tpe": 12})
    monkeypatch.setattr(search_evidence, "FRONT_TRIALS", {"analytic": {"nsga2": 12}})
    status = search_evidence.main(["--short", "--json", "--workers", "1"])
    report = json.loads(capsys.readouterr().out)
    assert status == int(bool(report["broken"]))
    assert [(row["on"], row["method"]) for row in report["comparisons"]] == [
        ("formula", "tpe"),
        ("formula, two objectives", "nsga2"),
    ]
    assert report["hypervolume"]["largest_difference"] < 1e-9
    (share,) = report["random_shares"]
    assert (share["sampler"], share["number"], share["beyond"]) == ("nsga2", 5, 0)
    assert share["drawn"] <= search_evidence.MOST_DRAWN
    search_evidence.show(report)
    printed = capsys.readouterr().out
    assert "2 searches with each method" in printed
    assert "family, limited macs: nsga2" in printed


def test_on_a_table_one_seed_is_shown_without_a_promise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(search_evidence, "THROWN", 10_000)
    monkeypatch.setattr(search_evidence, "TRIALS", {"analytic": {"tpe": 3}, "table": {"tpe": 3}})
    monkeypatch.setattr(search_evidence, "FRONT_TRIALS", {"analytic": {"tpe": 3}, "table": {"tpe": 3}})
    monkeypatch.setattr(search_evidence, "ONE_SEED_METHODS", ("tpe", "asha"))
    monkeypatch.setattr(search_evidence, "LIMITS", ())
    report = search_evidence.run(2, tables=[TABLE], workers=1)
    of_tpe = [row for row in report["comparisons"] if row["method"] == "tpe"]
    rows = {row["on"]: row for row in of_tpe if row["on"].startswith("table")}
    assert list(rows) == ["table", "table, two objectives", "table, seen through one seed"]
    regrets = (search_regrets.table_regret, search_regrets.table_front_regret, search_regrets.one_seed_regret)
    for row, regret in zip(rows.values(), regrets, strict=True):
        assert row["final_regret"] == pytest.approx(np.mean([regret(TABLE, "tpe", 3, seed)[-1] for seed in range(2)]))
    assert not any("one seed" in promise for promise in report["broken"])
    floors = [search_regrets.floor(TABLE, seed) for seed in range(2)]
    assert rows[search_evidence.ONE_SEED]["floor"] == pytest.approx(np.mean(floors))
    assert {row["pruner"] for row in report["pruners"]} == {"asha", "hyperband", "median"}
    for row in report["pruners"]:
        assert 0 < row["share_of_trainings"] <= 1
        assert row["above_floor"] == pytest.approx(row["regret"] - np.mean(floors))
    search_evidence.show(report)
    printed = capsys.readouterr().out
    assert "On the table, seen through one seed: regret" in printed
    assert "floor, of a search of the whole table:" in printed


def test_whole_table_leaves_nothing_to_find() -> None:
    for regret in (search_regrets.table_regret, search_regrets.table_front_regret):
        found = regret(TABLE, "random", 80, 0)  # 72 networks: the search ends early
        assert found.shape == (80,)
        assert (np.diff(found) <= 1e-12).all()
        assert found[-1] == pytest.approx(0, abs=1e-12)


def test_wrong_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["--table", str(tmp_path / "nowhere.parquet")],
        ["--workers", "0"],
        ["--repeats", "1"],
        ["--seed", "-1"],
        ["--longer"],
    ):
        with pytest.raises(SystemExit) as ended:
            search_evidence.main(words)
        assert ended.value.code == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.long
def test_samplers_beat_random_search_where_the_answer_is_known() -> None:
    report = search_evidence.run(search_evidence.REPEATS)
    assert report["broken"] == []
