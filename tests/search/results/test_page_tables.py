"""Candidates on the page of a search: units, words for what is not there, and an order that does not depend on them."""

from __future__ import annotations

import pandas as pd

from search.results.page_tables import candidates_table, limits_in_words, sizes_in_words


def test_candidates_are_shown_in_units_and_sorted_by_value() -> None:
    frame = pd.DataFrame(
        {
            "number": [0, 1],
            "is_on_front": [True, False],
            "val_accuracy": [0.5, None],
            "macs": [9_506_688.0, 500.0],
            "latency_ms": [1.5, 12.0],
            "residual.kind": ["projection", None],
            "operator.kernel_size": [3.0, None],
            "reason": [None, None],
        }
    )
    table = candidates_table(frame, "All.")
    titles = [column.title for column in table.columns]
    assert titles == [
        "number",
        "on the front",
        "validation accuracy (%)",
        "MACs",
        "latency (ms)",
        "residual.kind",
        "operator.kernel size",
    ], "a column without a value is left out"
    assert [cell.text for cell in table.rows[0]] == ["0", "yes", "50.00", "9.51 M", "1.50", "projection", "3"]
    assert [cell.text for cell in table.rows[1]] == ["1", "no", "–", "500", "12.0", "–", "–"]
    assert [row[3].order for row in table.rows] == [9_506_688.0, 500.0]
    assert [row[2].order for row in table.rows] == [0.5, None], "None sorts last"


def test_quantities_in_words() -> None:
    assert limits_in_words({"macs": 2e7, "latency_ms": 6.0}) == "20.0 M MACs and 6.00 ms of latency"
    assert (
        sizes_in_words({"val_accuracy": 0.1406, "params": 193_973}) == "14.06 % validation accuracy, 194 k parameters"
    )
    assert limits_in_words({}) == ""
