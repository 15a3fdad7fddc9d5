"""The notebook of the examples runs from its first cell to its last, and keeps no output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = json.loads((Path(__file__).parents[2] / "examples" / "residuals.ipynb").read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, source in enumerate(CODE):
        exec(compile(source, f"cell {number}", "exec"), names)  # what a kernel does, in one process
    assert set(names["results"].frame["status"]) == {"complete"}
    assert names["table"]["verdict"].tolist()[0] == "baseline"
    assert "| Variant" in capsys.readouterr().out
    assert (names["results"].folder / "mine" / "differences.svg").is_file()


def test_the_notebook_is_stored_without_output() -> None:
    assert all(
        cell["outputs"] == [] and cell["execution_count"] is None
        for cell in NOTEBOOK["cells"]
        if cell["cell_type"] == "code"
    )
