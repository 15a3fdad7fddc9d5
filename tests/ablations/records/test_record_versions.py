"""Records written by another version: known fields are read, and no trial is trained again without a request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablations.__main__ import main
from ablations.execution.execute import execute
from ablations.execution.executor import SerialExecutor
from ablations.records.record import record_to_plain
from ablations.records.store import Store
from ablations.records.trial_folder import TrialFolder
from tests.faults.stores import record
from tests.trials import small_task
from xception.base.errors import DataError
from xception.base.files import write_json


def written(folder: Path, change: Callable[[dict[str, Any]], object]) -> TrialFolder:
    plain = record_to_plain(record(0))
    change(plain)
    trial = TrialFolder(folder / "trials", record(0).key)
    trial.path.mkdir(parents=True)
    write_json(trial.path / "record.json", plain)
    return trial


@pytest.mark.parametrize(
    ("change", "shown"),
    [(lambda plain: plain.update(energy_joules=3.0), "+energy_joules"), (lambda plain: plain.pop("macs"), "-macs")],
    ids=["a field more", "a field fewer"],
)
def test_another_version_is_read_as_far_as_it_is_understood(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], shown: str
) -> None:
    lines: list[str] = []
    read = written(tmp_path, change).read_record(lines.append)
    assert read is not None
    assert read.test_accuracy == record(0).test_accuracy
    assert len(lines) == 1
    assert f"of another version ({shown})" in lines[0]
    assert "damaged" not in lines[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain.update(status="finished"),
        lambda plain: plain.pop("trial"),
        lambda plain: plain.update(macs="9"),
    ],
)
def test_a_record_that_cannot_be_understood_stops_the_run(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    trial = written(tmp_path, change)
    with pytest.raises(DataError, match="of another version, and cannot be understood"):
        trial.read_record()
    store = Store(f"sqlite:///{tmp_path / 'records.db'}")
    try:
        task = small_task(0)
        assert task.key == record(0).key
        from dataclasses import replace

        with pytest.raises(DataError, match=r"record\.json"):
            list(execute([replace(task, trials=tmp_path / "trials")], store, SerialExecutor()))
        assert store.get() == {}
        assert store.claim_owners() == {}
    finally:
        store.close()


def test_rebuild_that_finds_nothing_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "trials").mkdir()
    with pytest.raises(SystemExit) as ended:
        main(["rebuild", "--store", f"sqlite:///{tmp_path / 'new.db'}", "--trials", str(tmp_path / "trials")])
    assert ended.value.code == 2
    assert "--trials: no record was found there" in capsys.readouterr().err
