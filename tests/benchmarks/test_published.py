"""What is published against the records it was made from: every verdict, both intervals, and the page read together."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

import ablations
from ablations.analysis.families import page_comparisons
from ablations.analysis.frame import plan_frame
from ablations.records.store import Store
from ablations.records.transfer_records import import_file
from ablations.reporting.tables import csv_text

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path_factory.mktemp('published') / 'records.db'}")) as store:
        import_file(RESULTS / "records_cpu.jsonl", store)
        yield store


def test_published_tables_are_those_of_the_records(store: Store) -> None:
    folders = {json.loads(p.read_text())["plan"]: p.parent for p in RESULTS.glob("*/provenance.json")}
    plans = [plan for plan in store.plans() if plan.plan in folders]
    assert len(plans) == len(folders) == 7
    numbers = ["delta_mean", "delta_ci_low", "delta_ci_high", "equivalence_ci_low", "equivalence_ci_high", "p_adjusted"]
    for plan in plans:
        made = ablations.compare(plan_frame(store, plan))
        published = pd.read_csv(folders[plan.plan] / "table.csv")
        assert published["verdict"].tolist() == made["verdict"].tolist()
        pd.testing.assert_frame_equal(published[numbers], made[numbers], check_dtype=False, rtol=1e-9)


def test_the_published_page_is_read_together(store: Store) -> None:
    published = pd.read_csv(RESULTS / "together.csv")
    names = {(row["study"], row["variant"]) for row in published.to_dict("records")}
    folders = {json.loads(p.read_text())["plan"] for p in RESULTS.glob("*/provenance.json")}
    made = page_comparisons([plan_frame(store, plan) for plan in store.plans() if plan.plan in folders])
    read = pd.read_csv(io.StringIO(csv_text(made)))
    pd.testing.assert_frame_equal(published, read, rtol=1e-9)
    assert len(names) == 14
