"""The whole path at smoke scale, as a user types it: embedded data and a slice of the real one."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import ablations
from tests.command import call, call_here, run_folder

pytestmark = pytest.mark.usefixtures("svg_alone")

SMOKE = ("--study", "residuals", "--scale", "smoke", "--dataset", "synthetic")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished residual study at smoke scale on the embedded data."""
    folder = tmp_path_factory.mktemp("out")
    done = call("run_ablation.py", *SMOKE, "--out", str(folder))
    assert "synthetic" in done.stderr.splitlines()[0]
    assert "4 trials trained" in done.stderr
    assert "| with residuals" in done.stdout
    return folder


def test_the_folder_is_whole(out: Path) -> None:
    folder = run_folder(out, "residuals")
    names = {p.name for p in folder.iterdir()}
    assert {
        "table.csv",
        "table.md",
        "table.tex",
        "runs.csv",
        "curves.csv",
        "figures",
        "report.html",
        "provenance.json",
    } <= names
    assert {p.suffix for p in (folder / "figures").iterdir()} == {".png", ".svg", ".pdf", ".csv"}
    for kind, beginning in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        assert all(path.read_bytes().startswith(beginning) for path in (folder / "figures").glob(f"*.{kind}"))
    runs, curves = pd.read_csv(folder / "runs.csv"), pd.read_csv(folder / "curves.csv")
    assert len(runs) == 4
    assert runs["key"].is_unique
    assert set(runs["status"]) == {"complete"}
    assert len(curves) == 4 * 2
    assert set(curves["key"]) == set(runs["key"])
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["dataset"] == "synthetic"
    assert provenance["threads"] == [1]


def test_the_table_agrees_with_the_runs(out: Path) -> None:
    table, runs = (
        pd.read_csv(run_folder(out, "residuals") / "table.csv"),
        pd.read_csv(run_folder(out, "residuals") / "runs.csv"),
    )
    accuracy = runs.pivot(index="seed", columns="variant", values="test_accuracy")
    baseline = table.loc[table["verdict"] == "baseline", "variant"].item()
    for _, row in table.iterrows():
        assert row["test_accuracy_mean"] == pytest.approx(accuracy[row["variant"]].mean(), abs=1e-12)
        assert row["latency_ms"] > 0
        if row["variant"] != baseline:
            assert row["delta_mean"] == pytest.approx((accuracy[row["variant"]] - accuracy[baseline]).mean(), abs=1e-12)


def test_a_stored_trial_is_not_trained_again(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = pd.read_csv(run_folder(out, "residuals") / "runs.csv")
    printed = call_here(capsys, *SMOKE, "--out", str(out)).err
    assert "4 of 4 trials are stored already and are not trained again" in printed
    assert "nothing was trained" in printed
    pd.testing.assert_frame_equal(before, pd.read_csv(run_folder(out, "residuals") / "runs.csv"))


def test_a_dry_run_trains_nothing_and_counts_stored_trials(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call_here(capsys, *SMOKE, "--dry-run", "--out", str(tmp_path)).out.count("to train") == 4
    assert not list(tmp_path.rglob("*.db"))
    more = call_here(capsys, *SMOKE, "--dry-run", "--out", str(out), "--seeds", "3").out
    assert more.count("to train") == 2
    assert more.count("complete") == 4


@pytest.mark.parametrize("study", [("--study", "residuals"), ()], ids=["one study", "all studies"])
def test_the_report_is_made_from_the_store(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], study: tuple[str, ...]
) -> None:
    store = f"sqlite:///{out}/records.db"
    printed = call_here(capsys, "--report", *study, "--out", str(tmp_path), "--store", store)
    table = run_folder(tmp_path, "residuals") / "table.csv"
    assert table.read_text() == (run_folder(out, "residuals") / "table.csv").read_text()
    if not study:  # one page about the whole store, next to the folders of its studies
        page = (tmp_path / "report.html").read_text()
        assert "residual" in page
        (tmp_path / "report.html").write_text("mine", encoding="utf-8")
        refused = call_here(capsys, "--report", "--out", str(tmp_path), "--store", store, expect=2).err
        assert "report.html is not ours" in refused
        assert len(refused.splitlines()) == 1
        assert (tmp_path / "report.html").read_text() == "mine"
    assert "trained" not in printed.err


def test_records_and_statistics_as_a_library(out: Path) -> None:
    frame = ablations.load(out / "records.db")
    assert set(frame["variant"]) == {"with residuals", "without residuals"}
    comparison = ablations.compare(frame)
    assert comparison["verdict"].iloc[0] == "baseline"
    assert list(comparison["n"]) == [2, 2]


def test_a_slice_of_real_cifar10(real_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "slice"
    source.mkdir()
    for split, num in (("train", 300), ("test", 100)):
        table = pq.read_table(real_data / "cifar10" / f"{split}-00000-of-00001.parquet").slice(0, num)
        pq.write_table(table, source / f"{split}-00000-of-00001.parquet")
    results = ablations.run("residuals", scale="smoke", dataset=f"parquet:{source}", out=tmp_path / "out")
    runs = pd.read_csv(results.folder / "runs.csv")
    assert len(runs) == 4
    assert set(runs["status"]) == {"complete"}
