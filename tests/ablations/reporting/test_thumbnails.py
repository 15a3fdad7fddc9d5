"""Pictures of test images on the page: small, of the right image, and none where the test set is another."""

from __future__ import annotations

import base64
import io
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ablations.analysis.predictions import prediction_tables
from ablations.records.record import Record
from ablations.records.store import Store
from ablations.reporting import markup
from ablations.reporting.predictions import display_predictions, shown_examples
from ablations.reporting.thumbnails import picture, thumbnails
from tests import frames
from tests.trials import small_trial
from xception.data.cached_test_set import CachedTestSet


def _pixels(uri: str) -> np.ndarray:
    content = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)))


def test_a_picture_is_the_image_and_a_large_one_is_made_small() -> None:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (3, 32, 32), dtype=np.uint8)
    np.testing.assert_array_equal(_pixels(picture(colour)), np.moveaxis(colour, 0, -1))
    grey = rng.integers(0, 256, (1, 8, 8), dtype=np.uint8)
    np.testing.assert_array_equal(_pixels(picture(grey)), grey[0])
    assert _pixels(picture(rng.integers(0, 256, (3, 299, 200), dtype=np.uint8))).shape == (64, 43, 3)


def test_only_images_whose_class_is_the_records_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.arange(5 * 3 * 4 * 4, dtype=np.uint8).reshape(5, 3, 4, 4)
    test_set = CachedTestSet(images=images, labels=np.array([0, 1, 2, 3, 4]), places=np.array([4, 2, 0]))
    monkeypatch.setattr("ablations.reporting.thumbnails.cached_test_set", lambda config: test_set)
    trial = small_trial(0)
    frame = pd.DataFrame({"variant": ["none"], "status": ["complete"], "key": [trial.key]})
    examples = pd.DataFrame({"variant": "none", "image": [0, 1, 2, 7], "true_class": [4, 1, 0, 0]})
    with closing(Store(f"sqlite:///{tmp_path / 'records.db'}")) as store:
        store.put(Record(key=trial.key, trial=trial.to_json(), status="complete"))
        found = thumbnails(store, frame, examples)
        assert set(found) == {("none", 0), ("none", 2)}  # the second has another class, the last does not exist
        np.testing.assert_array_equal(_pixels(found["none", 0]), np.moveaxis(images[4], 0, -1))
        assert thumbnails(store, frame, examples.iloc[:0]) == {}
        monkeypatch.setattr("ablations.reporting.thumbnails.cached_test_set", lambda config: None)
        assert thumbnails(store, frame, examples) == {}


def test_pictures_are_in_the_table_of_the_page_and_in_no_other() -> None:
    tables = prediction_tables(frames.cases()["normal"])
    first = shown_examples(tables.examples).iloc[0]
    (people,) = [
        table
        for table in display_predictions(
            tables, {(first["variant"], int(first["image"])): "data:image/png;base64,QQ=="}
        )
        if "Image" in [column.title for column in table.columns]
    ]
    assert markup.to_html(people).count('<img class="thumbnail" src="data:image/png;base64,QQ==" alt="">') == 1
    assert "base64" not in markup.to_markdown(people) + markup.to_latex(people, label="x")
