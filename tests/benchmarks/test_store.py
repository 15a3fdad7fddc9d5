"""The benchmark of the store: its records are complete, and the output."""

from __future__ import annotations

import json

import pytest

from ablations.design.trial import read_trial
from ablations.records.record import record_from_plain, record_to_plain
from benchmarks import store


def test_records_are_those_of_trials() -> None:
    made = list(store.made_up_records(3))
    assert [record_from_plain(record_to_plain(record)) for record in made] == made
    assert [read_trial(record.trial).key for record in made] == [record.key for record in made]


def test_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert store.main(["--records", "2100", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["records"], report["studies"]) == (2100, 21)
    for name in ("inserts_per_second", "bulk_inserts_per_second", "table_seconds"):
        assert 0 < report[name]["low"] <= report[name]["median"] <= report[name]["high"]
    assert store.main(["--records", "100"]) == 0
    said = capsys.readouterr().out
    assert "100 records in 1 studies, SQLite" in said
    assert "put_all, a thousand at a time:       not measured" in said
