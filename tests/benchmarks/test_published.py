"""The published results against their records: every verdict, both intervals, and the family of all studies."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

import ablations
import run_ablation
from ablations.analysis.families import page_comparisons
from ablations.analysis.frame import plan_frame
from ablations.analysis.settings import Setting, compare_settings
from ablations.records.store import Store
from ablations.reporting.tables import csv_text
from benchmarks import published
from benchmarks.published import in_order, open_published, published_plans, published_settings

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with closing(open_published(RESULTS, tmp_path_factory.mktemp("published"))) as store:
        yield store


def test_published_tables_are_those_of_the_records(store: Store) -> None:
    several = published_settings(RESULTS, store)
    pairs = [*published_plans(RESULTS, store), *(pair for found in several.values() for pair in found)]
    manifests = [p for p in RESULTS.glob("**/provenance.json") if p.relative_to(RESULTS).parts[0] != "local"]
    published_folders = {path.parent for path in manifests} - set(several)
    assert {folder for _, folder in pairs} == published_folders
    numbers = ["delta_mean", "delta_ci_low", "delta_ci_high", "equivalence_ci_low", "equivalence_ci_high", "p_adjusted"]
    for plan, folder in pairs:
        made = ablations.compare(plan_frame(store, plan))
        table = pd.read_csv(folder / "table.csv")
        assert table["verdict"].tolist() == made["verdict"].tolist()
        pd.testing.assert_frame_equal(table[numbers], made[numbers], check_dtype=False, rtol=1e-9)


def test_published_settings_are_those_of_the_records(store: Store) -> None:
    for top, pairs in published_settings(RESULTS, store).items():
        assert [about["plan"] for about in json.loads((top / "provenance.json").read_text())["settings"]] == [
            plan.plan for plan in in_order(top, pairs)
        ]
        made = compare_settings(
            [Setting(values=p.description.setting, frame=plan_frame(store, p)) for p in in_order(top, pairs)]
        )
        for name, frame in (("settings", made.effects), ("pooled", made.answers), ("trends", made.trends)):
            read = pd.read_csv(io.StringIO(csv_text(frame)))
            pd.testing.assert_frame_equal(pd.read_csv(top / f"{name}.csv"), read, rtol=1e-9)


@pytest.mark.long
def test_a_run_is_added_with_its_records_and_without_this_machine(tmp_path: Path) -> None:
    results, out = tmp_path / "results", tmp_path / "out"
    results.mkdir()
    words = ["--study", "aa", "--scale", "smoke", "--dataset", "synthetic", "--train-size", "64", "--seeds", "3"]
    run_ablation.main([*words, "--out", str(out), "--across", "recipe.epochs=1,2", "--workers", "1"])
    (run,) = (path.parent for path in out.glob("*/settings.csv"))
    asked = ["--add", str(run), "--name", "aa_smoke", "--store", f"sqlite:///{out / 'records.db'}"]
    assert published.main([*asked, "--results", str(results)]) == 0
    text = "".join(path.read_text() for path in results.rglob("*.json*"))
    assert str(tmp_path) not in text
    top = results / "aa_smoke"
    assert {path.name for path in top.iterdir() if path.is_dir()} == {"epochs=1", "epochs=2", "figures"}
    pd.testing.assert_frame_equal(pd.read_csv(top / "settings.csv"), pd.read_csv(run / "settings.csv"))
    before = {path: path.read_bytes() for path in results.rglob("*.csv")}
    assert published.publish(results) == ["aa_smoke"]
    assert {path: path.read_bytes() for path in results.rglob("*.csv")} == before


def test_the_published_page_is_read_together(store: Store) -> None:
    before = pd.read_csv(RESULTS / "together.csv")
    made = page_comparisons([plan_frame(store, plan) for plan, _ in published_plans(RESULTS, store)])
    read = pd.read_csv(io.StringIO(csv_text(made)))
    pd.testing.assert_frame_equal(before, read, rtol=1e-9)


@pytest.mark.parametrize("words", [["--name", "nothing"], ["--add", "somewhere"], ["--add", "x", "--name", "../x"]])
def test_a_name_that_cannot_be_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        published.main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_contest_is_that_of_its_confirmations() -> None:
    contest = pd.read_csv(RESULTS / "contest_cpu" / "contest.csv")
    assert set(contest["epochs"]) == {2, 24}
    for epochs, rows in contest.groupby("epochs"):
        table = pd.read_csv(RESULTS / f"contest_{epochs}_epochs_cpu" / "table.csv").set_index("variant")
        for row in rows.to_dict("records"):
            variant = table.loc["baseline" if row["network"] == "default" else row["network"]]
            assert row["n"] == variant["n"] == 10
            assert row["test_accuracy_mean"] == pytest.approx(variant["test_accuracy_mean"])
            if row["network"] != "default":
                assert row["delta_ci_low"] == pytest.approx(variant["delta_ci_low"])
                assert row["verdict"] == variant["verdict"]
