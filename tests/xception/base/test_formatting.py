"""Numbers and names as they are shown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests import frames
from xception.base import formatting


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (8_399_882_600, "8.40 G"),
        (22_855_952, "22.9 M"),
        (125_000, "125 k"),
        (999_600, "1.00 M"),
        (999, "999"),
        (0, "0"),
        (9_996, "10.0 k"),
        (1_005, "1.00 k"),
        (np.nan, "not measured"),
        (pd.NA, "not measured"),
        (None, "not measured"),
    ],
)
def test_counts_have_three_digits_and_a_prefix(value: object, text: str) -> None:
    assert formatting.count(value) == text


def test_fractions_become_percent_and_points() -> None:
    assert formatting.percent(0.84125) == "84.12"
    assert formatting.points(-0.0123) == "−1.23"
    assert formatting.points(0.00001) == "0.00"
    assert formatting.points(-0.00001) == "0.00"
    assert formatting.interval(-0.01, 0.02, signed=True) == "[−1.00, +2.00]"
    assert formatting.interval(np.nan, 0.02) == "not measured"
    assert formatting.p_value(0.0004) == "<0.001"


@pytest.mark.parametrize(
    ("value", "text"),
    [(8.13, "8.1 s"), (59.96, "1 min 00 s"), (154, "2 min 34 s"), (3599.7, "1 h 00 min"), (7500, "2 h 05 min")],
)
def test_durations_show_two_units(value: float, text: str) -> None:
    assert formatting.seconds(value) == text


def test_decimal_points_stand_below_each_other() -> None:
    cells = formatting.aligned(["8.40 G", "22.9 M", "125 k", "not measured", "7"])
    points = {
        len(cell) - (cell.find(".") if "." in cell else cell.find(formatting.PUNCTUATION_SPACE))
        for cell in cells
        if cell != "not measured"
    }
    assert points == {len(".40 G")}
    assert [c.replace(formatting.FIGURE_SPACE, "").replace(formatting.PUNCTUATION_SPACE, "") for c in cells] == [
        "8.40 G",
        "22.9 M",
        "125 k",
        "not measured",
        "7",
    ]


def test_a_long_name_is_broken_and_none_of_it_lost() -> None:
    for name in frames.LONG:
        lines = formatting.wrapped(name, 24).split("\n")
        assert all(len(line) <= 24 for line in lines)
        assert "".join(lines) == name
    assert formatting.wrapped("x" * 60, 24).replace("\n", "") == "x" * 60
