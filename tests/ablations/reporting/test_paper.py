"""The paper's cells without any training: published values stand there, counts are ours."""

from __future__ import annotations

import pytest

from ablations.reporting.paper import PAPER_STUDIES, paper_markdown, unrun_cells


@pytest.mark.parametrize("study", PAPER_STUDIES)
def test_nothing_but_counts_comes_without_training(study: str) -> None:
    cells = unrun_cells(study)
    assert {cell.column for cell in cells if cell.status != "not attempted"} <= {"Parameter count"}
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
