"""The benchmark of a large study: its records are those of the plan, and every part is timed."""

from __future__ import annotations

import json

import pytest

from ablations.design.options import Options
from ablations.design.plan_study import plan_study
from benchmarks import large_study


def test_records_have_the_keys_of_the_plan() -> None:
    plan = plan_study(large_study.large_study(4), Options(scale="quick", dataset="synthetic", seeds=2))
    records = large_study.records_of(plan)
    assert len(records) == 8
    assert {record.key for record in records} == {trial.key for trial in plan.trials().values()}


@pytest.mark.long
def test_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert large_study.main(["--variants", "3", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["variants"], report["trials"]) == (3, 9)
    assert report["seconds"].keys() == large_study.PARTS.keys()
    assert all(seconds > 0 for seconds in report["seconds"].values())
