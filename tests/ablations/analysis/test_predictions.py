"""Kept predictions of a frame: effects by class, confusion, agreement and images that change sides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ablations import statistics as st
from ablations.analysis.comparison import compare
from ablations.analysis.predictions import prediction_tables
from ablations.analysis.seeds_read import decide_as_read
from ablations.reporting.confusion_plots import confusion_plot
from ablations.reporting.predictions import display_predictions
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


def sequential(num_seeds: int, settled: int) -> pd.DataFrame:
    """A study with seeds as needed: `good` is settled at that look, `some` needs more."""
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1], 100)
    rows = []
    for variant, rate in (("base", 0.5), ("good", 0.9), ("some", 0.58)):
        for seed in range(num_seeds):
            ran = variant != "good" or seed < settled
            predicted = np.where(rng.random(200) < rate, labels, 1 - labels)
            correct = predicted == labels
            rows.append(
                {
                    "variant": variant,
                    "is_baseline": variant == "base",
                    "seed": seed,
                    "seeds_mode": "auto",
                    "margin": 0.01,
                    "status": "complete" if ran else "missing",
                    "test_accuracy": float(correct.mean()) if ran else np.nan,
                    "num_test": 200,
                    "num_classes": 2,
                    "correct": st.pack_correct(correct) if ran else None,
                    "predictions": pack_predictions(predicted, labels, 2) if ran else None,
                }
            )
    return pd.DataFrame(rows)


def test_intervals_by_class_are_those_of_the_looks() -> None:
    whole = sequential(10, settled=5)
    tables = prediction_tables(whole)
    assert tables.is_sequential
    assert tables.family == 4  # two classes of two variants, at every look
    effects = compare(whole).set_index("variant")
    rows = tables.classes.to_dict("records")
    read = [int(effects.loc[row["variant"], "n"]) for row in rows]
    assert [row["n"] for row in rows] == read  # the seeds of the main effect
    assert read[0] == 5 < read[2]
    for k, row in enumerate(rows):
        look = next(look for look in st.LOOKS if look.seeds == read[k])
        limit = np.minimum(read, look.seeds)
        values = np.where(np.arange(10) < limit[:, np.newaxis], _by_class(whole), np.nan)
        expected = st.decide(values, None, look.alpha, grid=np.full(4, 0.01))
        assert row["delta_ci_low"] == pytest.approx(max(-1, expected.low[k]))
        assert row["delta_ci_high"] == pytest.approx(min(1, expected.high[k]))
        at_once = st.decide(values, None, grid=np.full(4, 0.01))
        assert expected.high[k] - expected.low[k] > at_once.high[k] - at_once.low[k]  # what the looks cost


def _by_class(frame: pd.DataFrame) -> np.ndarray:
    """Differences from the baseline of each class of `good`, then `some`, (4, 10)."""
    labels = np.repeat([0, 1], 100)
    correct = {
        (row["variant"], row["seed"]): st.unpack_correct(row["correct"], 200) if row["status"] == "complete" else None
        for row in frame.to_dict("records")
    }
    out = np.full((4, 10), np.nan)
    for k, (variant, label) in enumerate((v, c) for v in ("good", "some") for c in (0, 1)):
        for seed in range(10):
            mine, theirs = correct[variant, seed], correct["base", seed]
            if mine is not None and theirs is not None:
                out[k, seed] = mine[labels == label].mean() - theirs[labels == label].mean()
    return out


def test_intervals_by_class_hold_whichever_look_is_the_last() -> None:
    """Looking at every look, the share of studies in which any interval misses the truth stays at its level."""
    rng = np.random.default_rng(5)
    missed = 0
    for _ in range(400):
        differences = rng.normal(0, 0.02, (4, 10))
        looked = [decide_as_read(differences, [look] * 4) for look in st.LOOKS]
        missed += any(bool(((one.low > 0) | (one.high < 0)).any()) for one in looked)
    assert missed / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_a_class_without_test_images_is_named_and_has_no_row() -> None:
    tables = prediction_tables(frame(), ("cat", "dog", "eel"))
    assert tables.absent == ("eel",)
    assert set(tables.classes["class_name"]) == {"cat", "dog"}
    assert "eel" in set(tables.confusion["predicted_class_name"])  # predicted all the same
    shown = display_predictions(tables)
    assert "1 class has no test image, and so no row: eel." in shown[0].caption
    figure = confusion_plot(tables.confusion, data="x")
    assert figure is not None
    assert "eel" in [text.get_text() for text in figure.axes[0].get_yticklabels()]
