"""Studies that share a baseline: one family over the page, each comparison once."""

from __future__ import annotations

import pandas as pd
import pytest

import ablations
from ablations.analysis.families import page_comparisons
from ablations.reporting.report_tables import page_table
from tests import frames


def _studies() -> list[pd.DataFrame]:
    """Two studies on the same baseline trials, one variant of which is in both; and one with another baseline."""
    whole = frames.records(["full", "a", "b", "c"], effects=[0, 0.02, 0.008, -0.03])
    first = whole[whole["variant"] != "c"]
    second = whole[whole["variant"].isin(["full", "b", "c"])].assign(study="other")
    other = frames.records(["alone", "d"], study="third")
    return [first, second, other]


def test_one_family_over_the_page() -> None:
    first, second, other = _studies()
    table = page_comparisons([first, second, other])
    assert list(zip(table["study"], table["variant"], strict=True)) == [
        ("residuals", "a"),
        ("residuals", "b"),
        ("other", "c"),
    ]
    assert (table["family"] == 3).all()
    together = ablations.compare(frames.records(["full", "a", "b", "c"], effects=[0, 0.02, 0.008, -0.03])).iloc[1:]
    for mine, theirs in (("low", "delta_ci_low"), ("equivalence_high", "equivalence_ci_high"), ("p_adjusted",) * 2):
        assert table[mine].tolist() == pytest.approx(together[theirs].tolist())
    assert table["verdict"].tolist() == together["verdict"].tolist()
    text = page_table(table).caption
    assert "all comparisons of this page with that baseline (3)" in text


def test_studies_without_a_shared_baseline_have_no_second_table() -> None:
    first, _, other = _studies()
    assert page_comparisons([first, other]).empty
    assert page_comparisons([first, first]).empty  # a study is not compared with itself
