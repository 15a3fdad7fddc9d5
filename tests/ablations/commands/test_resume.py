"""`--resume-from`: a kept trial continues for more epochs, as a new trial with the bits of the whole training."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import safetensors.torch
import torch

import ablations
from ablations.design.trial import read_trial
from ablations.records.store import Store
from tests.command import call_here
from xception.train.recipe import Continues

pytestmark = pytest.mark.usefixtures("svg_alone")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of trials that can be continued, and one of trials that cannot."""
    folder = tmp_path_factory.mktemp("out")
    small = {"scale": "smoke", "dataset": "synthetic", "train_size": 32, "seeds": 1, "out": folder}
    ablations.run("residuals", recipe="stable", epochs=2, keep_weights=True, name="parents", **small)  # type: ignore[arg-type]
    ablations.run("residuals", epochs=1, name="others", **small)  # type: ignore[arg-type]
    return folder


def key_in(out: Path, run: str) -> str:
    return str(pd.read_csv(out / run / "runs.csv")["key"][0])


def test_a_trial_goes_on_for_more_epochs(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parent = key_in(out, "parents")
    assert (out / "trials" / parent / "state").is_dir()
    words = ["--resume-from", parent[:16], "--epochs", "4", "--out", str(out), "--workers", "1", "--keep-weights"]
    assert "2 trials, 1 stored, 1 to train" in call_here(capsys, *words, "--dry-run").err
    printed = call_here(capsys, *words)
    folder = Path(printed.err.strip().splitlines()[-1].removeprefix("Results: "))
    assert folder == out / f"continued-{parent[:12]}-epochs=4"
    runs = pd.read_csv(folder / "runs.csv").set_index("variant")
    assert runs.loc["2 epochs", "key"] == parent
    store = Store(f"sqlite:///{out / 'records.db'}")
    record = store.get([str(runs.loc["4 epochs", "key"])])[str(runs.loc["4 epochs", "key"])]
    first = store.get([parent])[parent]
    store.close()
    trial = read_trial(record.trial)
    assert trial.recipe.continues == Continues(parent=parent, epoch=1)
    assert trial.recipe == read_trial(first.trial).recipe.replace(epochs=4, continues=trial.recipe.continues)
    assert record.environment["continued_from_epoch"] == 1
    assert record.curves[0] == first.curves[0]
    whole = trial.replace(recipe=trial.recipe.replace(continues=None))
    again = ablations.run(
        "residuals",
        recipe="stable",
        epochs=4,
        keep_weights=True,
        name="whole",
        scale="smoke",
        dataset="synthetic",
        train_size=32,
        seeds=1,
        out=out,
    )
    assert whole.key in set(again.frame["key"])
    continued, at_once = (
        safetensors.torch.load_file(out / "networks" / f"{key}.safetensors") for key in (record.key, whole.key)
    )
    assert all(torch.equal(continued[name], at_once[name]) for name in at_once)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--epochs: missing; more than the 2 epochs of"),
        (("--epochs", "2"), "--epochs: 2 is not allowed; more than the 2 epochs of"),
        (("--epochs", "4", "--set", "recipe.batch_size=8"), "--set: has no effect with --resume-from"),
        (("--epochs", "4", "--seeds", "3"), "--seeds: has no effect with --resume-from"),
        (("--epochs", "4", "--study", "residuals"), "--study: 'residuals' is not allowed with --resume-from"),
        (("--epochs", "4", "--classes", "5"), "was trained on other data"),
    ],
)
def test_what_cannot_be_continued_is_refused(
    out: Path, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = call_here(capsys, "--resume-from", key_in(out, "parents"), "--out", str(out), *words, expect=2)
    (line,) = refused.err.strip().splitlines()
    assert message in line


def test_a_trial_of_another_schedule_is_refused(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--resume-from", key_in(out, "others"), "--epochs", "4", "--out", str(out)]
    (line,) = call_here(capsys, *words, expect=2).err.strip().splitlines()
    assert (
        "was trained with the schedule OneCycle, whose rate depends on the number of epochs; allowed: a trial" in line
    )
    (line,) = call_here(
        capsys, "--resume-from", "f" * 64, "--epochs", "4", "--out", str(out), expect=2
    ).err.splitlines()
    assert "--resume-from: 'ffff" in line
    assert "is not a trial in" in line
