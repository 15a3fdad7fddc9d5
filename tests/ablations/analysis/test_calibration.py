"""Calibration of a frame: errors by hand, paired differences, bins, and records without confidences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ablations import statistics as st
from ablations.analysis.calibration import calibration_tables
from ablations.reporting.calibration import display_calibration, without_calibration
from ablations.reporting.calibration_plots import reliability_plot
from tests import frames
from xception.train.confidence import pack_confidence

CORRECT = np.array([True, True, True, False])
CONFIDENCE = {"base": [0.8, 0.8, 0.8, 0.8], "more": [0.95, 0.95, 0.95, 0.95]}


def frame(without: tuple[str, ...] = ()) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "variant": variant,
                "is_baseline": variant == "base",
                "seed": seed,
                "status": "complete",
                "test_accuracy": 0.75,
                "num_test": 4,
                "num_classes": 3,
                "confidence": None
                if variant in without
                else pack_confidence(np.array(confidence) + 0.001 * seed * (variant == "more"), CORRECT),
            }
            for variant, confidence in CONFIDENCE.items()
            for seed in range(3)
        ]
    )


def test_an_error_is_the_distance_of_confidence_from_accuracy() -> None:
    count, correct, mean = np.array([2, 0, 2]), np.array([0, 0, 2]), np.array([0.3, 0.0, 0.8])
    assert st.calibration_error(count, correct, mean) == pytest.approx((2 * 0.3 + 2 * 0.2) / 4)
    assert st.overconfidence(count, correct, mean) == pytest.approx((2 * 0.3 - 2 * 0.2) / 4)
    assert np.isnan(st.calibration_error(0 * count, 0 * count, mean))


def test_errors_and_their_paired_differences() -> None:
    tables = calibration_tables(frame())
    base, more = tables.summary.to_dict("records")
    assert (base["n"], base["num_bins"]) == (3, 15)
    assert base["calibration_error_mean"] == pytest.approx(0.05, abs=1e-6)
    assert more["calibration_error_mean"] == pytest.approx(0.201, abs=1e-6)
    assert more["overconfidence_mean"] == pytest.approx(0.201, abs=1e-6)
    assert more["delta_mean"] == pytest.approx(0.151, abs=1e-6)
    assert base["delta_mean"] is None or np.isnan(base["delta_mean"])
    half = 4.302653 * 0.001 / np.sqrt(3)  # t at .975 on two degrees of freedom
    assert more["delta_ci_high"] - more["delta_mean"] == pytest.approx(half, rel=1e-2)
    (bin_,) = tables.bins[tables.bins["variant"] == "base"].to_dict("records")
    assert (bin_["num_images"], bin_["accuracy"]) == (12, 0.75)
    assert bin_["bin_low"] < bin_["confidence_mean"] <= bin_["bin_high"] + 1e-6


def test_records_without_confidences_say_so() -> None:
    some = calibration_tables(frame(without=("more",)))
    assert some.summary["variant"].tolist() == ["base"]
    assert without_calibration(some).startswith("Not in this part: more.")
    for old in (frame(without=("base", "more")), frame().drop(columns="confidence")):
        none = calibration_tables(old)
        assert display_calibration(none) is None
        assert reliability_plot(none, data="x") is None
        assert "there is no calibration to show" in without_calibration(none)


def test_people_read_the_bins_and_that_intervals_hold_together() -> None:
    table = display_calibration(calibration_tables(frames.cases()["half_finished"]))
    assert table is not None
    assert "in 15 bins of equal width" in table.caption
    assert [row[0].text for row in table.rows] == ["full", "none", "entry only", "middle only"]
    assert table.rows[0][4].text == "–"
    assert table.rows[3][5].text == "not measured"  # one pair has no interval


@pytest.mark.parametrize("case", ["normal", "hostile", "two_hundred", "one_variant", "all_missing"])
def test_the_figure_has_the_baseline_and_a_few_variants(case: str) -> None:
    tables = calibration_tables(frames.cases()[case])
    figure = reliability_plot(tables, data="CIFAR-10.")
    if case == "all_missing":
        assert figure is None
        return
    assert figure is not None
    (axes,) = figure.axes
    curves = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    assert len(curves) == min(5, len(tables.summary))
    assert "ECE" in str(curves[0].get_label())
