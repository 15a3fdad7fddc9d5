"""The index of what is published: claims, verdicts and costs are those of the files."""

from __future__ import annotations

import shutil
from pathlib import Path

from ablations.reporting.paper import PAPER_STUDIES
from ablations.studies import names
from benchmarks.published_index import CLAIMS, agreement, index_page, paper_sections, published_runs

RESULTS = Path(__file__).parents[2] / "results"


def test_the_published_index_is_that_of_the_files() -> None:
    page = (RESULTS / "README.md").read_text(encoding="utf-8")
    assert page == index_page(RESULTS), "python -m benchmarks.published writes it again"
    published = {run.about["study"] for run in published_runs(RESULTS)}
    for name in names():
        assert (f"| {name} |" in page.partition("## Not run")[2]) == (name not in published)


def test_every_claim_names_variants_that_exist() -> None:
    tables = {(run.about["study"], v) for run in published_runs(RESULTS) for v in run.table["variant"]}
    assert {pair for claim in CLAIMS for pair in claim.expected} <= tables


def test_a_verdict_agrees_disagrees_or_decides_nothing() -> None:
    verdicts = ("hurts", "helps", "no meaningful effect", "inconclusive")
    said = [agreement(verdict, "hurts") for verdict in verdicts]
    assert said == ["agrees", "disagrees", "disagrees", "undecided"]
    assert agreement("no meaningful effect", "no meaningful effect") == "agrees"


def test_core_hours_are_those_of_the_trials() -> None:
    run = next(run for run in published_runs(RESULTS) if run.name == "residuals_6_epochs_cpu")
    assert abs(run.core_hours() * 3600 - run.trials["train_seconds"].sum()) < 1e-6


def test_every_cell_of_the_paper_has_a_status() -> None:
    page = "\n".join(paper_sections(RESULTS))
    for name in PAPER_STUDIES:
        rows = [line for line in page.partition(f": {name}")[2].partition("###")[0].splitlines() if line[:2] == "| "]
        assert len(rows) > 3
        for row in rows[1:]:
            assert row.split("|")[5].strip() in ("reproduced", "proxy", "not attempted"), row


def test_what_was_not_run_has_a_cost() -> None:
    lines = index_page(RESULTS).partition("## Not run")[2].splitlines()
    costs = [float(line.split("|")[4]) for line in lines if "*not run*" in line]
    assert all(cost > 0 for cost in costs)


def test_a_run_of_this_checkout_is_not_published(tmp_path: Path) -> None:
    shutil.copytree(RESULTS / "residuals_6_epochs_cpu", tmp_path / "published")
    shutil.copytree(RESULTS / "residuals_6_epochs_cpu", tmp_path / "local" / "residuals")
    assert [run.name for run in published_runs(tmp_path)] == ["published"]
