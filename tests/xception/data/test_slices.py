"""Some classes of a data set: renumbered, counted, named, with keys that differ from those of the whole data set and of
other classes.
"""

from __future__ import annotations

import numpy as np
import pytest

from xception.data import DataError, find, load
from xception.data.slices import parse_classes, select_classes


def test_the_images_are_those_of_the_classes() -> None:
    whole = find("synthetic")
    part = select_classes(whole, range(5, 8))
    assert part.class_names == whole.class_names[5:8]
    assert part.title == "synthetic, classes 5 to 7"
    assert len({part.fingerprint, whole.fingerprint, select_classes(whole, range(3)).fingerprint}) == 3
    all_of_them, some = load(whole, 32), load(part, 32)
    labels = all_of_them.train.labels.numpy()
    chosen = np.flatnonzero((labels >= 5) & (labels < 8))
    assert len(some.train) == part.num_train == len(chosen)
    np.testing.assert_array_equal(some.train.labels.numpy(), labels[chosen] - 5)
    np.testing.assert_array_equal(some.train.images.numpy(), all_of_them.train.images.numpy()[chosen])
    assert part.num_test == int((all_of_them.test.labels < 8).sum() - (all_of_them.test.labels < 5).sum())


def test_all_classes_are_the_data_set_itself() -> None:
    whole = find("synthetic")
    assert select_classes(whole, parse_classes("10", 10)) is whole
    assert select_classes(whole, parse_classes("0-9", 10)) is whole


@pytest.mark.parametrize(
    ("text", "classes"), [("2", [0, 1]), ("10", list(range(10))), ("5-9", [5, 6, 7, 8, 9]), ("0-1", [0, 1])]
)
def test_classes_are_named_by_number_or_range(text: str, classes: list[int]) -> None:
    assert list(parse_classes(text, 10)) == classes


@pytest.mark.parametrize("text", ["", "x", "0", "1", "11", "5-10", "5-5", "7-3", "-3", "1-2-3", "1.5", "٣-x"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"^--classes: "):
        parse_classes(text, 10)
