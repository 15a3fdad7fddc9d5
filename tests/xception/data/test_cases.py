"""Data sets as users have them: every case of the table behaves as described."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import ROOT
from tests.xception.data.cases import CASES, Case, markdown


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.input)
def test_case(case: Case, tmp_path: Path) -> None:
    case.check(tmp_path / "set")


def test_the_table_has_a_row_for_every_case() -> None:
    inputs = [case.input for case in CASES]
    assert len(inputs) == len(set(inputs)) >= 60
    assert (ROOT / "docs" / "data.md").read_text(encoding="utf-8").endswith("\n\n" + markdown() + "\n")
