"""The sentences below a table: what its columns mean, and a warning where the machine was busy."""

from __future__ import annotations

import pytest

from ablations.reporting import captions, tables
from tests import frames

COMPARISON = frames.comparison(frames.cases()["normal"])


def test_where_no_trial_is_above_chance_the_caption_says_so_and_no_column_counts_them() -> None:
    ended = {"num_collapsed": 2, "success_rate": 0.0, "success_ci_low": 0.0, "success_ci_high": 0.84}
    people = tables.display_table(COMPARISON.assign(**ended), title="x")
    assert not {"At chance", "Above chance (%)"} & {column.title for column in people.columns}
    assert "No trial ended above chance" in people.caption


@pytest.mark.parametrize(("load", "high", "is_busy"), [(0.5, 1.02, False), (0.5, 1.5, True), (9.0, 1.02, True)])
def test_a_busy_machine_is_known_by_its_load_or_by_the_spread_of_latencies(
    load: float, high: float, is_busy: bool
) -> None:
    table = COMPARISON.assign(latency_ms=1.0, latency_ci_low_ms=1.0, latency_ci_high_ms=high, latency_load=load)
    assert bool(captions.busy_sentence(table)) == is_busy


def test_the_caption_says_what_all_means() -> None:
    caption = tables.display_table(COMPARISON, title="Does it help?").caption
    for part in (
        "Does it help? ",
        "CIFAR-10 (JPEG)",
        "scale: quick",
        "± half the width of its 95 %",
        "from full",
        "all 3 comparisons",
        "δ = 0.50 pp",
    ):
        assert part in caption
    assert "Synthetic" not in caption
    synthetic = tables.display_table(COMPARISON.assign(dataset="synthetic shapes"), title="x").caption
    assert "say nothing about photographs" in synthetic
