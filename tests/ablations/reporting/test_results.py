"""The display of a run in a notebook: verdicts, table and figures, escaped and without scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations.reporting import figures as plots
from ablations.reporting.results import Results
from tests import frames
from tests.ablations.reporting.test_report import Page


@pytest.mark.parametrize("name", ["normal", "one_variant", "half_finished", "all_missing", "hostile"])
def test_a_notebook_shows_verdicts_table_and_figures(name: str, tmp_path: Path) -> None:
    frame = frames.cases()[name]
    comparison = frames.comparison(frame)
    plots.save_figures(frames.few_figures(frame, comparison), tmp_path / "figures")
    page = Page(Results(folder=tmp_path, frame=frame, comparison=comparison)._repr_html_())
    for row in comparison.to_dict("records"):
        assert str(row["variant"]) in page.text
        assert row["verdict"] == "baseline" or str(row["sentence"]) in page.text
    assert len(page.all("table")) == 1
    assert len(page.all("img")) == len([*(tmp_path / "figures").glob("[ad][ci][cf]*.svg")])
    assert all(set(image) == {"src", "alt", "style"} for image in page.all("img"))
    assert not page.all("script")
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)


def test_without_its_folder_the_numbers_remain(tmp_path: Path) -> None:
    frame = frames.cases()["normal"]
    page = Page(Results(folder=tmp_path / "gone", frame=frame, comparison=frames.comparison(frame))._repr_html_())
    assert not page.all("img")
    assert "middle only" in page.text
