"""The paper's cells without any training: published values are shown, counts are ours."""

from __future__ import annotations

import pytest

from ablations.reporting import paper
from ablations.reporting.paper import PAPER_STUDIES, PaperCell, paper_markdown, unrun_cells


@pytest.mark.parametrize("study", PAPER_STUDIES)
def test_nothing_but_counts_comes_without_training(study: str) -> None:
    cells = unrun_cells(study)
    assert {cell.column for cell in cells if cell.status != "not attempted"} <= {
        "Parameter count",
        "Parameter count in timm",
    }
    assert all(cell.ours is None for cell in cells if cell.status == "not attempted")
    assert paper_markdown(cells).count("\n") == len(cells) + 2


def test_networks_that_were_not_trained_are_counted() -> None:
    notes = {cell.row: cell.note for cell in unrun_cells("paper_table1")}
    assert notes["VGG-16"] == "not run; 138,357,544 trainable parameters"
    assert notes["Xception"] == "not run; 22,855,952 trainable parameters"


def test_the_count_of_xception_is_reproduced() -> None:
    counts = {cell.row: cell for cell in unrun_cells("paper_table3") if cell.column == "Parameter count"}
    assert counts["Xception"].status == "reproduced"
    assert counts["Inception V3"].status == "proxy"


def test_networks_of_timm_are_counted_where_timm_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def counts() -> dict[str, PaperCell]:
        return {cell.row: cell for cell in unrun_cells("paper_table3") if cell.column == "Parameter count in timm"}

    installed = counts()
    assert (installed["Xception"].ours, installed["Xception"].status) == (22_855_952, "reproduced")
    assert (installed["Inception V3"].ours, installed["Inception V3"].status) == (23_834_568, "proxy")

    def missing(preset: str) -> int:
        raise ValueError(f"preset: {preset!r} needs the package timm; it comes with the extra 'timm'")

    monkeypatch.setattr(paper, "_num_parameters", lambda preset: missing(preset) if "timm" in preset else 1)
    for cell in counts().values():
        assert (cell.ours, cell.status) == (None, "not attempted")
        assert "extra 'timm'" in cell.note
