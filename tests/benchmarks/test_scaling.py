"""The benchmark of scaling: the linear prediction, and the files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from benchmarks import scaling
from benchmarks.scaling import Point


def test_linear_is_the_line_through_the_smallest() -> None:
    points = scaling.points_of("images", {10: [1.0, 3.0, 2.0], 20: [6.0]}, {10: "a", 20: "b"})
    assert [(p.x, p.seconds, p.low, p.high, p.linear, p.note) for p in points] == [
        (10, 2, 1, 3, 2, "a"),
        (20, 6, 6, 6, 4, "b"),
    ]


def test_trainings_cost_each_other_nothing_up_to_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "in_rounds", lambda loops, **_: {name: [2.0 * min(int(name), 2)] for name in loops})
    points = scaling.workers(1, 1.0, num_cores=2)
    assert [(p.x, p.seconds, p.linear) for p in points] == [
        (1, 0.5, 0.5),
        (2, 0.5, 0.5),
        (3, 0.75, 0.75),
        (4, 1.0, 1.0),
    ]


def test_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    made = [
        Point(against=name, x=x, seconds=x, low=0.9 * x, high=1.2 * x, linear=x)
        for name in (scaling.IMAGES, scaling.MACS, scaling.TRAININGS)
        for x in (1.0, 2.0, 4.0)
    ]
    monkeypatch.setattr(scaling, "data_sizes", lambda rounds: made[:3])
    monkeypatch.setattr(scaling, "widths", lambda rounds, seconds: made[3:6])
    monkeypatch.setattr(scaling, "workers", lambda rounds, seconds, num_cores: made[6:])
    assert scaling.main(["--json", "--out", str(tmp_path)]) == 0
    assert len(json.loads(capsys.readouterr().out)["points"]) == 9
    assert (tmp_path / "scaling.png").stat().st_size > 1000
    with open(tmp_path / "scaling.csv", newline="") as file:
        assert [float(row["seconds"]) for row in csv.DictReader(file)] == pytest.approx([p.seconds for p in made])
    assert scaling.main(["--short"]) == 0
    assert "1.00 of proportion" in capsys.readouterr().out
