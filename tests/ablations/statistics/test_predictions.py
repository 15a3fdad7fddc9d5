"""Statistics of predicted classes against cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ablations import statistics as st

LABELS = np.array([0, 0, 1, 1, 1, 1])
BASELINE = np.array([[0, 0, 1, 1, 0, 2], [0, 1, 1, 1, 1, 1]])
VARIANT = np.array([[0, 1, 1, 1, 1, 2], [0, 0, 1, 1, 1, 0]])


def test_accuracy_by_class() -> None:
    found = st.class_accuracy(BASELINE, LABELS, 3)
    np.testing.assert_allclose(found[:2], [[1.0, 0.5], [0.5, 1.0]])
    assert np.isnan(found[2]).all()  # no example has class 2


def test_confusion_is_the_mean_over_seeds_of_the_shares_of_a_class() -> None:
    found = st.confusion_shares(BASELINE, LABELS, 3)
    np.testing.assert_allclose(found[:2], [[3 / 4, 1 / 4, 0], [1 / 8, 6 / 8, 1 / 8]])
    assert np.isnan(found[2]).all()
    np.testing.assert_allclose(np.diag(found)[:2], st.class_accuracy(BASELINE, LABELS, 3)[:2].mean(axis=1))


def test_agreement_of_variants_and_of_seeds() -> None:
    found = st.agreement(VARIANT, BASELINE)
    assert found.same_seed == pytest.approx((4 / 6 + 4 / 6) / 2)
    assert found.other_seed == pytest.approx((5 / 6 + 4 / 6) / 2)
    assert found.variant_seeds == pytest.approx(4 / 6)
    assert found.baseline_seeds == pytest.approx(3 / 6)


def test_one_seed_has_no_other_to_agree_with() -> None:
    found = st.agreement(VARIANT[:1], BASELINE[:1])
    assert found.same_seed == pytest.approx(4 / 6)
    assert all(math.isnan(value) for value in (found.other_seed, found.variant_seeds, found.baseline_seeds))


def test_examples_that_one_of_two_gets_right() -> None:
    found = st.changed_examples(VARIANT == LABELS, BASELINE == LABELS)
    assert found.only_variant.tolist() == [0, 1, 0, 0, 1, 0]
    assert found.only_baseline.tolist() == [0, 1, 0, 0, 0, 1]
