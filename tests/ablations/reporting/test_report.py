"""The page: all parts of a study's report, in every edge case, with nothing injected and nothing fetched."""

from __future__ import annotations

import html.parser
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ablations.analysis.predictions import prediction_tables
from ablations.reporting import explore, report
from ablations.reporting import figures as plots
from ablations.reporting.front import display_front, front_table
from ablations.reporting.own_files import require_own_page
from tests import frames

pytestmark = pytest.mark.usefixtures("svg_alone", "no_vega")


@pytest.fixture(scope="module")
def no_vega() -> Iterator[None]:
    """Write pages as if vl-convert-python were not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explore, "_vega", lambda: None)
        yield


VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(html.parser.HTMLParser):
    """Tags, attributes and text of a page; an error where tags are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def context(frame: pd.DataFrame, folder: Path, **more: object) -> report.ReportContext:
    comparison = frames.comparison(frame)
    few = frames.few_figures(frame, comparison)
    values: dict[str, Any] = {
        "study": "residuals",
        "question": "Do residual connections help?",
        "reference": "Chollet 2017, Figure 9",
        "frame": frame,
        "command": "python run_ablation.py --study residuals",
        "continue_command": "python run_ablation.py --study residuals --seeds 5",
        "environment": {"python": "3.11", "packages": {"torch": "2.11", "ray": None}, "devices": ["cpu"]},
        "comparison": comparison,
        "figures": plots.save_figures(few, folder),
        "predictions": prediction_tables(frame),
        "front": display_front(front_table(frame, comparison)),
        **more,
    }
    return report.ReportContext(**values)


CASES = [
    "normal",
    "one_variant",
    "all_diverged",
    "one_seed",
    "half_finished",
    "all_missing",
    "hostile",
    "two_baselines",
]


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, pd.DataFrame, Page]:
    frame = frames.cases()[request.param]
    return request.param, frame, Page(report.study_page(context(frame, tmp_path_factory.mktemp("figures"))))


def test_every_case_gives_a_whole_page(case: tuple[str, pd.DataFrame, Page]) -> None:
    name, frame, page = case
    for part in (
        "Do residual connections help?",
        "Verdicts",
        "Table",
        "Figures",
        "By class and image",
        "Every seed",
        "Fairness",
        "Diverged and failed trials",
        "Missing trials",
        "Methods, to paste",
        "@misc{xception_ablations",
        "Environment",
        "python run_ablation.py --study residuals",
        "Cite as:",
        "torch 2.11",
    ):
        assert part in page.text
    for variant in frame["variant"].unique():
        assert variant in page.text
    words = set(re.findall(r"[A-Za-z]+", page.text))
    assert not words & {"nan", "NaN", "None", "NA"} or name == "hostile"
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"] for a in page.all("a")} <= {f"#{i}" for i in ids}


def test_nothing_is_fetched_and_nothing_injected(case: tuple[str, pd.DataFrame, Page]) -> None:
    page = case[2]
    assert len(page.all("script")) == 1
    assert not page.all("script")[0]
    for image in page.all("img"):
        assert str(image["src"]).startswith("data:image/")
        assert str(image["alt"]).endswith(".")
        assert set(image) == {"src", "alt"}
    for attributes in (a for _, a in page.tags):
        assert not any(name.startswith("on") for name in attributes)
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    policy = next(str(m["content"]) for m in page.all("meta") if m.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    assert "script-src 'sha256-" in policy


def test_tables_say_what_their_headers_head(case: tuple[str, pd.DataFrame, Page]) -> None:
    page = case[2]
    assert {h.get("scope") for h in page.all("th")} == {"col", "row"}
    assert len(page.all("caption")) == len(page.all("table"))
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert set(headings[1:]) == {2}


def test_a_half_finished_study_says_what_is_missing(tmp_path: Path) -> None:
    page = Page(report.study_page(context(frames.cases()["half_finished"], tmp_path)))
    assert "5 of 20 trials are missing" in page.text
    assert "seeds 1, 2, 3, 4" in page.text
    assert "python run_ablation.py --study residuals --seeds 5" in page.text
    assert "the training loss is not finite in epoch 2" in page.text
    assert "cannot allocate 3.1 GiB" in page.text
    assert "1 diverged (left out of effects, counted at chance in the line beside them), 1 failed" in page.text


def test_predictions_are_on_the_page_or_said_to_be_missing(tmp_path: Path) -> None:
    frame = frames.cases()["normal"]
    page = Page(report.study_page(context(frame, tmp_path)))
    assert "The 95 % intervals hold together over all 30 rows" in page.text
    assert "Agreement: the share of test images" in page.text
    assert "Confusions that change most" in page.text
    assert "hold no predictions" not in page.text
    some = frame.assign(predictions=frame["predictions"].where(frame["variant"] != "none", None))
    assert "Not in this part: none. No pair" in Page(report.study_page(context(some, tmp_path))).text
    old = Page(report.study_page(context(frame.drop(columns="predictions"), tmp_path)))
    assert "hold no predictions to compare" in old.text
    assert "Agreement: the share of test images" not in old.text


def test_every_seed_is_on_the_page(tmp_path: Path) -> None:
    frame = frames.cases()["normal"]
    page = Page(report.study_page(context(frame, tmp_path)))
    for value in frame["test_accuracy"]:
        assert f"{100 * value:.2f}" in page.text


def test_fairness_names_what_differs(tmp_path: Path) -> None:
    frame = frames.cases()["normal"]
    same = Page(report.study_page(context(frame, tmp_path))).text
    assert "trained with the same recipe" in same
    other = frame.copy()
    other.loc[other["variant"] == "none", "recipe_json"] = '{"batch_size":128,"epochs":6,"optimiser":{"rate":0.3}}'
    other["variant"] = other["variant"].replace("entry only", "entry only@params")
    page = Page(report.study_page(context(other, tmp_path, fairness={"Tuned": "12 trials per variant"}))).text
    assert "Recipes differ" in page
    assert "optimiser.rate: 0.3" in page
    assert "12 trials per variant" in page
    assert "1.07" in page  # 134 k of 125 k parameters


def test_many_variants_fold_what_decides_nothing(tmp_path: Path) -> None:
    frame = frames.records([f"v{i}" for i in range(14)], seeds=2)
    page = Page(report.study_page(context(frame, tmp_path)))
    assert len(page.all("details")) == 1
    assert "variants without a clear effect" in page.text


def test_the_store_page_holds_all_studies(tmp_path: Path) -> None:
    contexts = [context(frames.records(study=name), tmp_path / name, study=name) for name in ("residuals", "norms")]
    report.write_store_report(contexts, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert [h for h, _ in page.tags if h == "h1"] == ["h1"]
    assert {a["href"] for a in page.all("a")} >= {"#study-1", "#study-2"}
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    require_own_page(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    earlier = text.replace('<meta name="generator" content="xception-ablations">\n', "")
    assert earlier != text
    (tmp_path / "report.html").write_text(earlier, encoding="utf-8")
    require_own_page(tmp_path / "report.html")


def test_without_trials_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no trials; run it first") as error:
        report.write_report(
            replace(context(frames.records(), tmp_path), frame=frames.records().iloc[:0]), tmp_path / "report.html"
        )
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="contexts: none given"):
        report.write_store_report([], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()
