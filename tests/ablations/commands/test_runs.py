"""Runs side by side: a folder and a name each, listed, compared, loaded by name, and pruned after a look."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import ablations
from ablations.__main__ import main
from ablations.commands.report import report
from ablations.records.store import Store

pytestmark = pytest.mark.usefixtures("svg_alone")

SMALL = {"scale": "smoke", "dataset": "synthetic", "train_size": 32, "set": ("dataset.test_size=64",)}
LONG, SHORT = "long", "residuals-synthetic-smoke-epochs=1-train_size=32-test_size=64"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of one study, one of them with a name given to it."""
    folder = tmp_path_factory.mktemp("out")
    ablations.run("residuals", out=folder, epochs=1, **SMALL)  # type: ignore[arg-type]
    (folder / SHORT / "notes.txt").write_text("mine")
    ablations.run("residuals", out=folder, epochs=2, name=LONG, **SMALL)  # type: ignore[arg-type]
    return folder


def call(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(words) == 0
    return capsys.readouterr().out


def test_each_run_has_a_folder_with_its_setup(out: Path) -> None:
    for name, epochs in ((SHORT, 1), (LONG, 2)):
        told = json.loads((out / name / "provenance.json").read_text())
        setup = told["setup"]
        assert (told["run"], setup["epochs"], setup["train_size"], setup["image_size"]) == (name, epochs, 32, 32)
        assert (setup["network"], setup["optimizer"], setup["precision"], setup["device"]) == (
            *("cifar_tiny", "SGD"),
            *("float32", "cpu"),
        )
        assert told["changes"] == {"without residuals": [["model.residual.kind", "projection", "none"]]}
        for file in ("table.md", "table.tex", "report.html"):
            text = (out / name / file).read_text()
            assert f"{epochs} epoch{'s' * (epochs > 1)} of 32 training images" in text
            assert "(scale smoke with " in text
        assert "What each variant changes" in (out / name / "report.html").read_text()
        runs = pd.read_csv(out / name / "runs.csv")
        assert set(runs["epochs"]) == {epochs}
        assert set(runs["preset"]) == {"cifar_tiny"}
        assert set(runs["train_size"]) == set(runs["batch_size"]) == {32}
        assert {p.suffix for p in (out / name / "figures").iterdir()} == {".png", ".svg", ".pdf", ".csv"}
    assert (out / SHORT / "notes.txt").read_text() == "mine"


def test_runs_are_listed(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(call(capsys, "runs", "--json", "--out", str(out)))
    assert [row["run"] for row in rows] == [LONG, SHORT]
    assert {row["n"] for row in rows} == {2}
    assert rows[0]["verdicts"] == {"with residuals": "baseline", "without residuals": "inconclusive"}
    assert rows[0]["setup"]["epochs"] == 2
    text = call(capsys, "runs", "--out", str(out))
    assert text.count("residuals on synthetic; 2 pairs; trials: 4 complete.") == 2


def test_a_trial_is_shown_by_the_beginning_of_its_key(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = pd.read_csv(out / LONG / "runs.csv").set_index("key")
    key = str(runs.index[0])
    row = json.loads(call(capsys, "show", key[:12], "--json", "--store", f"sqlite:///{out / 'records.db'}"))
    assert (row["key"], row["status"], row["runs"], row["network"]) == (key, "complete", [LONG], None)
    assert row["test_accuracy"] == pytest.approx(runs.loc[key, "test_accuracy"])
    assert row["trial"]["recipe"]["epochs"] == len(row["curves"]) == 2
    text = call(capsys, "show", key, "--out", str(out))
    assert f"runs: {LONG}" in text
    assert "network: not kept; --keep-weights keeps it" in text


def test_names_may_stand_behind_options(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(call(capsys, "compare", "--json", "--out", str(out), SHORT, LONG))


def test_runs_are_compared(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(call(capsys, "compare", SHORT, LONG, "--json", "--out", str(out)))
    assert [(row["variant"], row["run"]) for row in rows] == [
        (variant, run) for variant in ("with residuals", "without residuals") for run in (SHORT, LONG)
    ]
    (folder,) = out.glob("compare-*")
    assert {p.suffix for p in folder.iterdir()} >= {".csv", ".md", ".tex", ".html", ".png", ".svg", ".pdf", ".json"}
    single = pd.read_csv(out / LONG / "table.csv").set_index("variant")
    for row in rows:
        if row["run"] == LONG and row["verdict"] != "baseline":
            assert row["delta_mean"] == pytest.approx(single.loc[row["variant"], "delta_mean"], abs=1e-12)


def test_records_and_reports_take_a_runs_name(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = out / "records.db"
    assert set(ablations.load(store)["run"]) == {LONG, SHORT}
    assert len(ablations.load(store, "residuals")) == 8
    assert set(ablations.load(store, LONG)["epochs"]) == {2}
    with pytest.raises(ValueError, match="did you mean long"):
        ablations.load(store, "lng")
    assert report(study=LONG, out=tmp_path, store=f"sqlite:///{store}") == 0
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == [LONG]
    assert (tmp_path / LONG / "table.csv").read_text() == (out / LONG / "table.csv").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("compare", LONG), "two or more runs are needed"),
        (("compare", LONG, SHORT[:-3]), "did you mean residuals-synthetic-smoke"),
        (("prune",), "no run is named"),
        (("prune", "lon"), "did you mean long?"),
        (("runs", LONG), f"{LONG}: is not an option"),
        (("check", "--json"), "--json: is not an option"),
        (("runs", "--yes"), "--yes: is not an option"),
        (("show", "xyz"), "show: 'xyz' is not a key; 64 hexadecimal digits, or the first of them"),
        (("show", "f" * 64), "is not a trial in sqlite:"),
        (("shwo",), "'shwo' is not a command; allowed: runs, show"),
    ],
)
def test_wrong_use_is_reported_in_one_line(
    out: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main((*words, "--out", str(out)))
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == 2
    assert message in line


def test_a_name_is_not_given_twice_nor_anything(out: Path) -> None:
    with pytest.raises(ValueError, match=r"^--name: 'long' is the name of another run of residuals; another name"):
        ablations.run("residuals", out=out, epochs=1, name=LONG, **SMALL)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^--name: '\.\./x' is not allowed"):
        ablations.run("residuals", out=out, epochs=1, name="../x", **SMALL)  # type: ignore[arg-type]


def test_pruning_removes_what_nothing_else_needs_after_a_look(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = ablations.run("aa", out=tmp_path, epochs=1, **SMALL)  # type: ignore[arg-type]
    gone = ablations.run("residuals", out=tmp_path, epochs=1, name="gone", **SMALL)  # type: ignore[arg-type]
    (gone.folder / "notes.txt").write_text("mine")
    keys = set(gone.frame["key"])
    shared = keys & set(kept.frame["key"])
    assert len(shared) == 2
    looked = json.loads(call(capsys, "prune", "gone", "--json", "--out", str(tmp_path)))
    assert set(looked["records"]) == keys - shared
    assert (looked["records_that_stay"], looked["removed"]) == (2, False)
    assert (gone.folder / "table.csv").is_file()
    removed = json.loads(call(capsys, "prune", "gone", "--json", "--yes", "--out", str(tmp_path)))
    assert removed == looked | {"removed": True}
    store = Store(f"sqlite:///{tmp_path / 'records.db'}")
    assert set(store.get()) == set(kept.frame["key"])
    assert [plan.run for plan in store.plans()] == [kept.folder.name]
    store.close()
    assert [p.name for p in gone.folder.iterdir() if not p.name.startswith(".")] == ["notes.txt"]
    assert {p.name for p in (tmp_path / "trials").iterdir()} == set(kept.frame["key"])
