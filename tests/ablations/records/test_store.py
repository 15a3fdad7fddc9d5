"""What a store must never do: lose a record, store one twice, trust a damaged file, or become unreadable to a new
version.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ablations.records.record import Description, Member, Record, StoredPlan, record_from_plain, record_to_plain
from ablations.records.store import SCHEMA, Store, StoreError
from ablations.records.transfer_records import export_file, import_file, merge, rebuild
from ablations.records.trial_folder import TrialFolder
from tests.command import ROOT, call
from tests.trials import small_trial


def record(seed: int, **changes: object) -> Record:
    trial = small_trial(seed)
    values: dict[str, object] = {
        "key": trial.key,
        "trial": trial.to_json(),
        "status": "complete",
        "test_accuracy": 0.1 + 0.2,
        "val_accuracy": 1,
        "correct": b"\x00\xff",
        "num_test": 16,
        "curves": [{"epoch": 1, "train_loss": 2.302585092994046, "val_loss": 1e-300, "val_accuracy": 0.5}],
        "environment": {"torch": "2"},
        "created_at": "2026-01-01T00:00:00+00:00",
    }
    return Record(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{path}")) as opened:
        yield opened


def test_a_record_comes_back_as_it_went_in(store: Store) -> None:
    assert store.put(record(0))
    assert store.get() == {record(0).key: record(0)}
    store.check()


@pytest.mark.parametrize("status", ["complete", "diverged"])
def test_what_is_final_stays_and_what_failed_is_replaced(store: Store, status: str) -> None:
    assert store.put(record(0, status="failed", reason="lost"))
    assert store.put(record(0, status="failed", reason="lost again"))
    assert store.put(record(0, status=status))
    assert not store.put(record(0, test_accuracy=0.9))
    assert not store.put(record(0, status="failed"))
    assert store.get()[record(0).key] == record(0, status=status)


def test_a_lock_is_waited_for_and_reported_if_it_stays(path: Path, store: Store) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"^--store: sqlite:///.*records.db cannot be used: database is locked$"):
            Store(f"sqlite:///{path}", patience_seconds=0.1)
        other.execute("ROLLBACK")
    assert store.put(record(0))


def test_processes_that_start_at_once_make_one_store_and_write_each_key_once(tmp_path: Path) -> None:
    code = (
        "import sys, json\n"
        "from ablations.records.record import record_from_plain; from ablations.records.store import Store\n"
        "records = [record_from_plain(p) for p in json.load(open(sys.argv[2]))]\n"
        "store = Store(sys.argv[1]); print(sum(store.put(r) for r in records)); store.close()"
    )
    (tmp_path / "records.json").write_text(json.dumps([record_to_plain(record(seed)) for seed in range(20)]))
    url = f"sqlite:///{tmp_path / 'new' / 'records.db'}"
    words = [sys.executable, "-c", code, url, str(tmp_path / "records.json")]
    running = [
        subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(8)
    ]
    outputs = [process.communicate() for process in running]
    assert [err for _, err in outputs] == [""] * 8
    assert sum(int(out) for out, _ in outputs) == 20
    with closing(Store(url)) as store:
        assert len(store.get()) == 20
        store.check()


def flipped(path: Path, marker: bytes) -> None:
    """Flip a bit of the first value that holds the marker."""
    content = bytearray(path.read_bytes())
    place = content.index(marker)
    content[place + len(marker) - 1] ^= 1
    path.write_bytes(content)


def test_a_flipped_bit_is_not_taken_for_a_result(path: Path) -> None:
    with closing(Store(f"sqlite:///{path}")) as store:
        store.put(record(0, reason="a marker"))
    flipped(path, b"a marker")
    with (
        closing(Store(f"sqlite:///{path}")) as store,
        pytest.raises(StoreError, match=r"is damaged: the record .* rebuild"),
    ):
        store.get()


@pytest.mark.parametrize("how", ["truncated", "overwritten", "no database"])
def test_a_damaged_file_is_refused_with_the_way_to_make_it_again(path: Path, how: str) -> None:
    with closing(Store(f"sqlite:///{path}")) as store:
        for seed in range(100):
            store.put(record(seed))
    content = bytearray(path.read_bytes())
    if how == "truncated":
        content = content[: len(content) // 2]
    elif how == "overwritten":
        content[8192 : len(content) // 2] = bytes(len(content) // 2 - 8192)
    else:
        content = bytearray(b"not a database at all" * 1000)
    path.write_bytes(content)
    with pytest.raises(StoreError) as raised, closing(Store(f"sqlite:///{path}")) as store:
        store.check()
    assert "\n" not in str(raised.value)
    assert ("is not a store" if how == "no database" else "python -m ablations rebuild") in str(raised.value)


def test_a_store_of_version_1_is_brought_to_this_one(path: Path) -> None:
    with closing(Store(f"sqlite:///{path}")) as store:
        store.put(record(0))
    with closing(sqlite3.connect(path)) as connection, connection:
        for column in ("digest", "predictions", "confidence"):  # what versions 2, 3 and 4 added
            connection.execute(f"ALTER TABLE xception_records DROP COLUMN {column}")
        connection.execute("DROP TABLE xception_claims")
        connection.execute("UPDATE xception_schema SET version = 1")
    with closing(Store(f"sqlite:///{path}")) as store:
        assert store.get() == {record(0).key: record(0)}
        assert store.put(record(1))
        store.check()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version FROM xception_schema").fetchall() == [(SCHEMA,)]
        assert connection.execute("SELECT count(*) FROM xception_records WHERE digest IS NULL").fetchone() == (0,)


@pytest.mark.parametrize(("version", "later"), [(2, ("predictions", "confidence")), (3, ("confidence",))])
def test_a_store_from_before_a_column_keeps_its_digests(path: Path, version: int, later: tuple[str, ...]) -> None:
    with closing(Store(f"sqlite:///{path}")) as store:
        store.put(record(0))
    query = "SELECT digest FROM xception_records WHERE key = ?"
    with closing(sqlite3.connect(path)) as connection, connection:
        for column in later:
            connection.execute(f"ALTER TABLE xception_records DROP COLUMN {column}")
        connection.execute(f"UPDATE xception_schema SET version = {version}")
        before = connection.execute(query, [record(0).key]).fetchone()
    kept = record(1, predictions=b"\x00\x01", confidence=b"\x00\x02")
    with closing(Store(f"sqlite:///{path}")) as store:
        assert store.put(kept)
        store.check()
        assert store.get() == {record(0).key: record(0), kept.key: kept}
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(query, [record(0).key]).fetchone() == before
        connection.execute(f"UPDATE xception_records SET {later[-1]} = x'0003' WHERE key = ?", [kept.key])
    with closing(Store(f"sqlite:///{path}")) as store, pytest.raises(StoreError, match="is not as it was written"):
        store.check()


def test_predictions_are_exported_and_kept_in_the_folder_of_a_trial(tmp_path: Path) -> None:
    kept = record(0, predictions=bytes(range(20)), confidence=bytes(range(20, 40)))
    folder = TrialFolder(tmp_path / "trials", kept.key)
    folder.path.mkdir(parents=True)
    folder.write_record(kept)
    assert folder.read_record() == kept
    assert record_from_plain(record_to_plain(kept)) == kept
    with (
        closing(Store(f"sqlite:///{tmp_path / 'a.db'}")) as one,
        closing(Store(f"sqlite:///{tmp_path / 'b.db'}")) as two,
    ):
        one.put(kept)
        export_file(one, tmp_path / "records.jsonl")
        import_file(tmp_path / "records.jsonl", two)
        assert two.get() == {kept.key: kept}


def test_a_store_of_a_later_version_is_refused(path: Path, store: Store) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE xception_schema SET version = 99")
    with pytest.raises(StoreError, match=f"has schema version 99; this program reads versions 1 to {SCHEMA}"):
        Store(f"sqlite:///{path}")


def filled(store: Store) -> None:
    for seed in range(3):
        store.put(record(seed))
    store.put(record(3, status="failed", reason="lost"))
    members = tuple(
        Member(variant="v", seed=s, stream=0, position=0, is_baseline=True, key=record(s).key) for s in range(4)
    )
    store.put_plan(StoredPlan(plan="p" * 64, study="s", description=Description(question="?"), members=members))
    store.put_measurement("m" * 64, "latency", {"latency_ms": 1.5})


def test_export_and_import_give_the_same_store(store: Store, tmp_path: Path) -> None:
    filled(store)
    assert export_file(store, tmp_path / "records.jsonl") == 4
    with closing(Store(f"sqlite:///{tmp_path / 'copy.db'}")) as copy:
        assert dataclasses.asdict(import_file(tmp_path / "records.jsonl", copy)) == {
            "new": 4,
            "known": 0,
            "different": 0,
        }
        assert (copy.get(), copy.plans(), copy.all_measurements()) == (
            store.get(),
            store.plans(),
            store.all_measurements(),
        )
        again = import_file(tmp_path / "records.jsonl", copy)
        assert (again.new, again.known) == (1, 3)  # a failure is replaced by a later failure


@pytest.mark.parametrize("how", ["cut off", "bit flipped", "empty", "other"])
def test_a_damaged_export_is_refused_and_nothing_of_it_taken(store: Store, tmp_path: Path, how: str) -> None:
    filled(store)
    file = tmp_path / "records.jsonl"
    export_file(store, file)
    content = bytearray(file.read_bytes())
    if how == "bit flipped":
        content[len(content) // 2] ^= 1
    file.write_bytes(
        bytes({"cut off": content[:-200], "bit flipped": content, "empty": b"", "other": b"[1]\n{}\n"}[how])
    )
    with closing(Store(f"sqlite:///{tmp_path / 'copy.db'}")) as copy:
        with pytest.raises(ValueError, match=r"records\.jsonl: "):
            import_file(file, copy)
        assert copy.get() == {}


def test_merging_keeps_what_was_there_first(store: Store, tmp_path: Path) -> None:
    filled(store)
    with closing(Store(f"sqlite:///{tmp_path / 'other.db'}")) as other:
        for each in (record(0), record(1, test_accuracy=0.5), record(3), record(9)):
            other.put(each)
        assert dataclasses.asdict(merge(other, store)) == {"new": 2, "known": 1, "different": 1}
    assert store.get()[record(1).key] == record(1)
    assert store.get()[record(3).key].status == "complete"


def test_a_store_is_made_again_from_the_folders_of_its_trials(store: Store, tmp_path: Path) -> None:
    for seed in range(3):
        folder = TrialFolder(tmp_path / "trials", record(seed).key)
        folder.path.mkdir(parents=True)
        folder.write_record(record(seed))
    damaged = tmp_path / "trials" / record(2).key / "record.json"
    damaged.write_bytes(damaged.read_bytes()[:100])
    (tmp_path / "trials" / record(5).key).mkdir()
    lines: list[str] = []
    assert rebuild(tmp_path / "trials", store, lines.append).new == 2
    assert lines == [f"{damaged} was damaged and is passed over"]


def test_the_command_maintains_stores_and_reports_wrong_use_in_one_line(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with closing(Store(url)) as opened:
        filled(opened)
    assert call("-m", "ablations", "check", "--store", url).stdout == "4 records, all of them whole\n"
    for words in (
        ["check", "--store", f"{url}.none"],
        ["export", "--store", url],
        ["rebuild", "--store", url, "--trials", "/none"],
    ):
        assert call("-m", "ablations", *words, expect=2).stderr.count("\n") == 1
