"""The notebook of the examples runs from its first cell to its last, and is stored with its outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = json.loads((Path(__file__).parents[2] / "examples" / "residuals.ipynb").read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


@pytest.mark.long
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, source in enumerate(CODE):
        exec(compile(source, f"cell {number}", "exec"), names)  # what a kernel does, in one process
    assert set(names["results"].frame["status"]) == {"complete"}
    assert names["table"]["verdict"].tolist()[0] == "baseline"
    assert "| Variant" in capsys.readouterr().out
    assert (names["results"].folder / "mine" / "differences.svg").is_file()


def test_the_notebook_is_stored_with_the_outputs_of_one_run_in_order() -> None:
    cells = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert all(cell["outputs"] for cell in cells)
    assert {output["output_type"] for output in outputs} <= {"execute_result", "display_data", "stream"}
    shown = "".join(cells[0]["outputs"][-1]["data"]["text/html"])
    assert "without residuals" in shown
    assert "<table" in shown
    assert shown.count("data:image/svg+xml;base64,") == 2
    text = json.dumps(NOTEBOOK)
    assert not any(place in text for place in ("/home/", "/tmp/", "/root/", "/Users/"))
    assert len(text) < 1_000_000
