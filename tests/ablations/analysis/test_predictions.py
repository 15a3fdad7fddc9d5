"""Kept predictions of a frame: effects by class, confusion, agreement and images that change sides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ablations import statistics as st
from ablations.analysis.predictions import prediction_tables
from xception.train.predictions import pack_predictions

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])  # of three classes, the last of which no image has
PREDICTED = {
    ("base", 0): [0, 0, 0, 1, 1, 1, 0, 0],
    ("base", 1): [0, 0, 0, 1, 1, 1, 1, 0],
    ("base", 2): [0, 0, 1, 1, 1, 1, 0, 0],
    ("more", 0): [0, 0, 0, 0, 1, 1, 0, 2],
    ("more", 1): [0, 0, 0, 0, 1, 1, 0, 2],
    ("more", 2): [0, 0, 1, 0, 1, 1, 1, 2],
}


def frame(without: tuple[tuple[str, int], ...] = ()) -> pd.DataFrame:
    rows = []
    for (variant, seed), predicted in PREDICTED.items():
        correct = np.array(predicted) == LABELS
        keeps = (variant, seed) not in without
        rows.append(
            {
                "variant": variant,
                "is_baseline": variant == "base",
                "seed": seed,
                "status": "complete",
                "test_accuracy": float(correct.mean()),
                "num_test": 8,
                "num_classes": 3,
                "correct": st.pack_correct(correct),
                "predictions": pack_predictions(predicted, LABELS, 3) if keeps else None,
            }
        )
    return pd.DataFrame(rows)


def test_effects_by_class_hold_together_over_classes() -> None:
    tables = prediction_tables(frame(), ("cat", "dog", "eel"))
    assert tables.without == ()
    assert tables.family == 2
    cat, dog = tables.classes.to_dict("records")
    assert (cat["class_name"], cat["num_images"], cat["n"]) == ("cat", 4, 3)
    assert cat["baseline_accuracy_mean"] == pytest.approx((3 + 3 + 2) / 12)
    assert cat["accuracy_mean"] == pytest.approx((4 + 4 + 3) / 12)
    assert cat["delta_mean"] == pytest.approx(0.25)
    assert dog["delta_mean"] == pytest.approx((0 - 1 / 4 + 1 / 4) / 3)
    # Four images give a grid of 1/4, whose floor on the variance is (1/8)²; t at 1 − .05/4 on two degrees of freedom.
    differences = np.array([[0.25, 0.25, 0.25], [0, -0.25, 0.25]])
    expected = st.decide(differences, None, grid=np.array([0.25, 0.25]))
    assert (cat["delta_ci_low"], cat["delta_ci_high"]) == pytest.approx((expected.low[0], expected.high[0]))
    assert cat["delta_ci_high"] - 0.25 == pytest.approx(6.205347 * 0.125 / np.sqrt(3), rel=1e-6)


def test_confusion_and_its_difference() -> None:
    cells = prediction_tables(frame()).confusion.set_index(["true_class", "predicted_class"])
    assert list(cells.loc[(1, 2), ["share", "baseline_share", "difference"]]) == pytest.approx([1 / 4, 0, 1 / 4])
    assert list(cells.loc[(0, 1), ["share", "baseline_share"]]) == pytest.approx([1 / 12, 4 / 12])
    assert cells.groupby("true_class")["share"].sum().tolist() == pytest.approx([1, 1])
    assert set(cells["true_class_name"]) == {"0", "1"}


def test_images_that_change_sides() -> None:
    tables = prediction_tables(frame())
    gained = tables.examples.to_dict("records")[0]
    assert (gained["image"], gained["num_only_variant"], gained["num_only_baseline"], gained["n"]) == (3, 3, 0, 3)
    assert 6 not in set(tables.examples["image"])  # once gained and once lost
    assert tables.agreement["same_seed"].tolist() == pytest.approx([(6 + 5 + 5) / 24])


def test_records_without_predictions_are_left_out_and_named() -> None:
    some = prediction_tables(frame(without=(("more", 1), ("base", 2))))
    assert some.agreement["n"].tolist() == [1]
    assert np.isnan(some.classes["delta_ci_low"]).all()
    for old in (
        frame(without=tuple(("more", seed) for seed in range(3))),
        frame().drop(columns="predictions"),
    ):
        tables = prediction_tables(old)
        assert tables.without == ("more",)
        assert replace(tables).family == 0
        assert [len(getattr(tables, name)) for name in ("classes", "confusion", "agreement", "examples")] == [0] * 4


def test_other_test_images_are_not_compared() -> None:
    mixed = frame()
    moved = [1, *LABELS[1:]]
    at = mixed.index[(mixed["variant"] == "more") & (mixed["seed"] == 0)][0]
    predicted = np.array(PREDICTED["more", 0])
    mixed.at[at, "correct"] = st.pack_correct(predicted == moved)
    mixed.at[at, "predictions"] = pack_predictions(predicted, moved, 3)
    assert prediction_tables(mixed).agreement["n"].tolist() == [2]
