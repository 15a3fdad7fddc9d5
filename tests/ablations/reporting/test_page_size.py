"""A page of limited size: every study before any figure, the first figures before the second ones, the rest named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ablations.reporting import explore, page_size, report
from tests import frames
from tests.ablations.reporting.test_report import Page, context

pytestmark = pytest.mark.usefixtures("svg_alone")


@pytest.fixture(autouse=True)
def no_vega(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write pages without the figures to explore, whose scripts are larger than the limits here."""
    monkeypatch.setattr(explore, "_vega", lambda: None)


def _study(text: int, *figures: int) -> dict[str, Any]:
    return {
        "text": "x" * text,
        "figures": [{"name": f"figure_{i}", "data": "y" * size} for i, size in enumerate(figures)],
    }


def _render(study: Mapping[str, Any], figures: Sequence[Mapping[str, str]], left_out: Sequence[str]) -> str:
    return str(study["text"]) + "".join(figure["data"] for figure in figures) + ",".join(left_out)


def test_all_fits_where_there_is_room() -> None:
    fitting = page_size.fitted_studies([_study(100, 50, 50), _study(100, 50)], _render, room=10_000)
    assert (len(fitting.sections), fitting.others) == (2, [])
    assert [section.count("y") for section in fitting.sections] == [100, 50]


def test_the_first_figure_of_every_study_comes_before_the_second_of_any() -> None:
    studies = [_study(100, 300, 300), _study(100, 300, 300)]
    fitting = page_size.fitted_studies(studies, _render, room=1300)
    assert [section.count("y") for section in fitting.sections] == [300, 300]
    assert all(section.endswith("figure_1") for section in fitting.sections)


def test_studies_without_room_are_named_and_the_first_is_always_there() -> None:
    studies = [_study(5000, 10), _study(100), _study(100)]
    fitting = page_size.fitted_studies(studies, _render, room=1000)
    assert [study["text"][:1] * 3 for study in fitting.studies] == ["xxx"]
    assert len(fitting.others) == 2
    assert fitting.sections[0].endswith("figure_0")


def test_a_page_of_many_studies_stays_below_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MOST_BYTES", 250_000)
    frame = frames.cases()["normal"]
    contexts = [
        context(frame, tmp_path / f"{i}", study=f"study_{i}", place=f"run & {i}", calibration=None) for i in range(8)
    ]
    report.write_store_report(contexts, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(text.encode()) <= 250_000
    page = Page(text)
    for i in range(8):  # all are in the overview
        assert f"study_{i}" in page.text
    links = [str(link["href"]) for link in page.all("a")]
    others = [link for link in links if link.endswith("/report.html")]
    assert others
    assert f"{len(others)} studies are not on it" in page.text
    assert "run%20%26%207/report.html" in others


def test_figures_that_are_left_out_are_named_with_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = frames.cases()["normal"]
    one = context(frame, tmp_path, place="run")
    (size,) = [len(figure["data"]) for figure in map(report.embedded, one.figures)]
    whole = report.study_page(one)
    assert "not on it" not in Page(whole).text
    monkeypatch.setattr(report, "MOST_BYTES", len(whole.encode()) - size // 2)
    page = Page(report.study_page(one))
    assert "accuracy is not on it; see run/figures." in page.text
    assert not page.all("img")
