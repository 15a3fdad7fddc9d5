"""Repeating a published run: the command, which verdicts are compatible with an interval, and a whole repetition."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import reproduce
from benchmarks.published_index import published_runs
from benchmarks.reproduce import Options, compare_verdicts, compatibility, small_command

RESULTS = Path(__file__).parents[2] / "results"


@pytest.mark.parametrize(
    ("verdict", "interval", "expected"),
    [
        ("hurts", (-0.12, -0.05), "compatible"),
        ("helps", (-0.12, -0.05), "not compatible"),
        ("no meaningful effect", (-0.12, -0.05), "not compatible"),
        ("inconclusive", (-0.12, -0.05), "undecided"),
        ("helps", (-0.01, 0.02), "compatible"),
        ("no meaningful effect", (0.005, 0.03), "compatible"),
        ("hurts", (0.005, 0.03), "not compatible"),
    ],
)
def test_a_verdict_is_compatible_unless_the_interval_denies_it(
    verdict: str, interval: tuple[float, float], expected: str
) -> None:
    assert compatibility(verdict, interval, margin=0.01) == expected


def test_variants_of_both_tables_are_compared() -> None:
    columns = ["variant", "verdict", "delta_ci_low", "delta_ci_high"]
    published = pd.DataFrame([["a", "baseline", None, None], ["b", "hurts", -0.2, -0.1], ["c", "helps", 0.1, 0.2]])
    repeated = pd.DataFrame([["a", "baseline", None, None], ["b", "hurts", -0.3, -0.2]])
    (one,) = compare_verdicts(published.set_axis(columns, axis=1), repeated.set_axis(columns, axis=1), 0.01)
    assert (one.variant, one.repeated, one.compatibility) == ("b", (-0.3, -0.2), "compatible")


def test_the_repetition_keeps_the_command_but_for_images_and_seeds() -> None:
    runs = {run.name: run for run in published_runs(RESULTS)}
    run = runs["residuals_24_epochs_cpu"]
    words = small_command(run, Options(names=(run.name,), share=0.1, seeds=4))
    assert words[:4] == ["--study", "residuals", "--scale", "quick-1"]
    assert words.count("--seeds") == words.count("--train-size") == 1
    found = dict(itertools.pairwise(words))
    assert (found["--epochs"], found["--train-size"], found["--seeds"]) == ("24", "500", "4")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["residual"], "NAMES"),
        (["norm_placement_cpu", "--share", "0"], "--share"),
        (["norm_placement_cpu", "--seeds", "2"], "--se"),
    ],
)
def test_wrong_use_is_one_line(words: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        reproduce.main(words)
    assert exit_.value.code == 2
    said = capsys.readouterr().err
    assert named in said
    assert len(said.splitlines()) == 1


@pytest.mark.long
def test_a_repetition_of_a_run_on_drawn_images_has_its_verdicts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results" / "drawn"
    folder.mkdir(parents=True)
    command = "python run_ablation.py --study residuals --scale smoke --dataset synthetic --train-size 128 --seeds 5"
    about = {"study": "residuals", "command": command, "margin": 0.01, "question": "?", "dataset": "synthetic"}
    (folder / "provenance.json").write_text(json.dumps(about))
    rows = [["with residuals", "baseline", None, None, 1], ["without residuals", "hurts", -1.0, 1.0, 1]]
    columns = ["variant", "verdict", "delta_ci_low", "delta_ci_high", "params"]
    pd.DataFrame(rows, columns=pd.Index(columns)).to_csv(folder / "table.csv", index=False)
    pd.DataFrame([["key", 128]], columns=pd.Index(["key", "train_size"])).to_csv(folder / "runs.csv", index=False)
    options = [
        "--share",
        "0.5",
        "--seeds",
        "3",
        "--results",
        str(folder.parent),
        "--out",
        str(tmp_path / "out"),
        "--json",
    ]
    assert reproduce.main(["drawn", *options]) == 0
    (one,) = json.loads(capsys.readouterr().out)["drawn"]
    assert one["variant"] == "without residuals"
    assert one["compatibility"] in ("compatible", "undecided")


def test_what_no_study_made_is_not_repeated_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        reproduce.main(["contest_2_epochs_cpu"])
    assert "its command: python -m search contest" in capsys.readouterr().err
