"""A user's own study: from a file on the command line, from Python, and the errors for files without one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import ablations
from ablations import Study, Variant, studies
from tests.command import ROOT, call

pytestmark = pytest.mark.usefixtures("svg_alone")

EXAMPLE = ROOT / "examples" / "own_study.py"


def test_the_example_is_short_and_complete() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 25
    study = studies.get_study(str(EXAMPLE))
    assert [v.name for v in study.variants] == ["none", "64 units", "256 units"]


def test_the_command_of_a_study_file_has_its_path(tmp_path: Path) -> None:
    own = tmp_path / "my study.py"
    own.write_text(EXAMPLE.read_text())
    done = call(
        "run_ablation.py",
        "--study",
        str(own),
        "--scale",
        "smoke",
        "--dataset",
        "synthetic",
        "--out",
        str(tmp_path),
        "--dry-run",
    )
    assert len(done.stdout.splitlines()) == 6
    assert done.stdout.count("to train") == 6
    assert "Is a hidden layer" in done.stderr


def test_a_study_from_python(tmp_path: Path) -> None:
    study = Study(
        name="own",
        question="Does it run?",
        baseline="a",
        varies=("model.activation",),
        variants=(Variant(name="a"), Variant(name="b", changes={"model.activation": "elu"})),
    )
    small = {"scale": "smoke", "dataset": "synthetic", "epochs": 1, "train_size": 32, "seeds": 1}
    results = ablations.run(study, out=tmp_path, **small)  # type: ignore[arg-type]
    assert list(results.comparison["variant"]) == ["a", "b"]
    assert list(results.frame["status"]) == ["complete", "complete"]
    assert results.comparison["latency_ms"].notna().all()
    assert results.folder == tmp_path / "own-synthetic-smoke-epochs=1-train_size=32-seeds=1"
    assert len(pd.read_csv(results.folder / "runs.csv")) == 2
    pd.testing.assert_series_equal(
        ablations.load(tmp_path / "records.db")["test_accuracy"], results.frame["test_accuracy"]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not exist"),
        ("", "defines no STUDY"),
        ("STUDY = 3", "defines no STUDY"),
        ("import nowhere_at_all", "cannot be read: ModuleNotFoundError"),
        ("STUDY = (", "cannot be read: SyntaxError"),
        (
            "from ablations import Study\nSTUDY = Study(name='x', question='?', variants=(), baseline='a', varies=())",
            "x.variants: none",
        ),
    ],
)
def test_a_file_without_a_study_is_reported_in_one_line(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError) as caught:
        studies.get_study(str(path))
    assert message in str(caught.value)
    assert str(caught.value).startswith("--study: ")
    assert "\n" not in str(caught.value)


def test_an_unknown_study_is_answered_with_the_known() -> None:
    with pytest.raises(ValueError, match=r"^--study: 'residualz' is not known; allowed: aa, activation, "):
        studies.get_study("residualz")


def test_wrong_options_are_reported_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^--seeds: 0 is not allowed"):
        ablations.run("residuals", dataset="synthetic", seeds=0, out=tmp_path)
    with pytest.raises(ValueError, match=r"^--workers: 0 is not allowed"):
        ablations.run("residuals", dataset="synthetic", workers=0, out=tmp_path)
