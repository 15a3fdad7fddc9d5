"""One study in two settings, run whole: folders, files, sentences, sharing of trials, and wrong use."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import ablations
import run_ablation
from ablations import Study, Variant
from ablations.running.library import Results

pytestmark = pytest.mark.usefixtures("svg_alone")

WORDS = ("--study", "residuals", "--scale", "smoke", "--dataset", "synthetic", "--seeds", "3", "--workers", "1")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    out = tmp_path_factory.mktemp("across")
    across = ("recipe.epochs=1,2",)
    return ablations.run("residuals", scale="smoke", dataset="synthetic", seeds=3, across=across, out=out)


def test_the_folder_has_the_answer_and_a_folder_for_each_setting(results: Results) -> None:
    folder = results.folder
    names = {path.name for path in folder.iterdir()}
    assert names >= {"settings.csv", "pooled.csv", "trends.csv", "decisions.csv", "settings.md", "report.html"}
    assert names >= {"epochs=1", "epochs=2", "figures", "provenance.json", "settings.tex"}
    for epochs in (1, 2):
        setup = json.loads((folder / f"epochs={epochs}" / "provenance.json").read_text(encoding="utf-8"))["setup"]
        assert setup["epochs"] == epochs
    assert {path.stem for path in (folder / "figures").glob("*.svg")} == {
        "settings",
        "effect_recipe_epochs",
        "decision_accuracy",
    }
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.index("undetermined") < page.index("Figures"), "the sentence first"
    assert 'href="epochs%3D1/report.html"' in page


def test_each_effect_is_that_of_the_settings_own_table(results: Results) -> None:
    effects = pd.read_csv(results.folder / "settings.csv").set_index("recipe.epochs")
    for epochs in (1, 2):
        table = pd.read_csv(results.folder / f"epochs={epochs}" / "table.csv").set_index("variant")
        own = table.loc["without residuals", "delta_mean"]
        assert effects.loc[epochs, "delta_mean"] == pytest.approx(own, abs=1e-12)
    assert results.settings is not None
    assert list(results.settings.answers["variant"]) == ["without residuals"]
    assert set(results.frame["recipe.epochs"]) == {1, 2}


def test_trials_are_shared_with_ordinary_runs(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(results.folder.parent)
    assert run_ablation.main([*WORDS, "--epochs", "1", "--out", out]) == 0
    assert "nothing was trained, 6 were stored already" in capsys.readouterr().err
    assert run_ablation.main([*WORDS, "--across", "recipe.epochs=1,2", "--out", out, "--dry-run"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[0].startswith("recipe.epochs=2: 6 trials, 0 to train"), "the longest first"
    assert "2 settings, 12 trials" in told.err


def test_the_report_is_made_again_from_the_store(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    before = (results.folder / "settings.csv").read_bytes()
    (results.folder / "settings.csv").unlink()
    assert run_ablation.main(["--report", "--out", str(results.folder.parent)]) == 0
    assert f"Settings: {results.folder}" in capsys.readouterr().err
    assert (results.folder / "settings.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--across", "recipe.epochs=1,2", "--seeds", "auto"), "--seeds: auto is not allowed with --across"),
        (("--across", "recipe.epoch=1,2"), "did you mean recipe.epochs"),
        (("--across", "dataset=synthetic,cifar11"), "cifar11"),
        (("--across", "model.residual.kind=none,identity"), "varies"),
        (("--across", "recipe.batch_size=" + ",".join(map(str, range(2, 62)))), "--yes"),
    ],
)
def test_wrong_use_is_reported_in_one_line_before_training(
    words: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--study", "residuals", "--scale", "smoke", "--out", str(tmp_path)]
    if "dataset=" not in " ".join(words):
        base += ["--dataset", "synthetic"]
    with pytest.raises(SystemExit) as caught:
        run_ablation.main([*base, *words])
    told = capsys.readouterr().err
    assert caught.value.code == 2
    assert told.count("\n") == 1
    assert message in told


@pytest.mark.long
def test_an_effect_that_is_there_in_one_setting_and_not_in_the_other(tmp_path: Path) -> None:
    """At κ = 0 six hundred images teach the classes and thirty do not; at κ = 1 neither does within this budget."""
    study = Study(
        name="enough_images",
        question="Do these images suffice?",
        variants=(Variant(name="all images"), Variant(name="a twentieth", train_fraction=0.05)),
        baseline="all images",
        varies=("dataset.train_size",),
    )
    found = ablations.run(
        study,
        scale="smoke",
        across=("dataset=synthetic:kappa=0,synthetic:kappa=1",),
        epochs=6,
        train_size=600,
        seeds=4,
        set={"dataset.test_size": 500},
        out=tmp_path,
    )
    assert found.settings is not None
    verdicts = found.settings.effects.set_index("dataset")["verdict"].to_dict()
    assert verdicts["synthetic:kappa=0"] == "hurts"
    assert verdicts["synthetic:kappa=1"] != "hurts"
    (sentence,) = found.settings.answers["sentence"]
    assert sentence.startswith("depends on dataset")
