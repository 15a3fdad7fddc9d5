"""Faults of a store: locked, damaged, full, started by many at once, killed while it writes.

One module, since all faults of a store share its making and its check.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from unittest import mock

from ablations.execution.execute import execute
from ablations.execution.executor import SerialExecutor
from ablations.records.record import Description, Record, StoredPlan, record_to_plain
from ablations.records.store import Store, StoreError
from ablations.records.transfer_records import export_file, rebuild
from ablations.records.trial_folder import TrialFolder
from tests.faults.bench import Bench, Outcome, forked, require, small_disk
from tests.faults.places import as_nobody
from tests.trials import small_task, small_trial
from xception.base.errors import DataError
from xception.base.files import write_json


@cache
def record(seed: int) -> Record:
    trial = small_trial(seed)
    curves = [{"epoch": 1, "train_loss": 2.0, "val_loss": 1.0, "val_accuracy": 0.5}]
    values = {"test_accuracy": 0.1 + 0.2, "correct": bytes(100), "curves": curves, "created_at": "2026"}
    return Record(key=trial.key, trial=trial.to_json(), status="complete", **values)  # type: ignore[arg-type]


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'records.db'}"


def filled(folder: Path, num: int = 50) -> Path:
    with closing(Store(url(folder))) as store:
        for seed in range(num):
            store.put(record(seed))
    return folder / "records.db"


def refused(folder: Path, *words: str) -> str:
    """The line with which a store is refused."""
    try:
        with closing(Store(url(folder), patience_seconds=0.5)) as store:
            store.check()
    except StoreError as error:
        message = str(error).replace(str(folder), "FOLDER")
        require("\n" not in message and all(word in message for word in words), message)
        return message
    raise AssertionError("the store was accepted as intact")


def locked_for_a_time(bench: Bench) -> Outcome:
    folder = bench.new_folder()
    filled(folder, 1)
    with closing(sqlite3.connect(folder / "records.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(1.0, lambda: other.execute("ROLLBACK"))
        release.start()
        with closing(Store(url(folder))) as store:
            store.put(record(1))
            num = len(store.get())
        release.join()
    return Outcome(lost=2 - num, message="waits, then writes")


def locked_for_ever(bench: Bench) -> Outcome:
    folder = bench.new_folder()
    filled(folder, 1)
    with closing(sqlite3.connect(folder / "records.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        message = refused(folder, "database is locked")
        other.execute("ROLLBACK")
    with closing(Store(url(folder))) as store:
        return Outcome(lost=1 - len(store.get()), message=message)


def damaged(bench: Bench, damage: Callable[[bytearray], bytearray], *words: str) -> Outcome:
    """The file is damaged, refused with the way to make it again, and made again from the folders of the trials."""
    folder = bench.new_folder()
    path = filled(folder)
    for seed in range(50):
        trial = TrialFolder(folder / "trials", record(seed).key)
        trial.path.mkdir(parents=True)
        trial.write_record(record(seed))
    path.write_bytes(damage(bytearray(path.read_bytes())))
    message = refused(folder, *words)
    for name in ("records.db", "records.db-wal", "records.db-shm"):
        (folder / name).unlink(missing_ok=True)
    with closing(Store(url(folder))) as store:
        rebuild(folder / "trials", store, lambda line: None)
        found = store.get()
    equal = all(found.get(record(seed).key) == record(seed) for seed in range(50))
    return Outcome(lost=50 - len(found), bit_equal=int(equal), message=message)


def truncated(bench: Bench) -> Outcome:
    return damaged(bench, lambda content: content[: len(content) // 2], "is damaged", "python -m ablations rebuild")


def page_overwritten(bench: Bench) -> Outcome:
    def overwrite(content: bytearray) -> bytearray:
        middle = len(content) // 2 // 4096 * 4096
        content[middle : middle + 4096] = os.urandom(4096)
        return content

    return damaged(bench, overwrite, "is damaged", "python -m ablations rebuild")


def bit_flipped(bench: Bench) -> Outcome:
    """One bit of a loss in a curve, which SQLite itself does not see."""

    def flip(content: bytearray) -> bytearray:
        place = content.index(b'"val_loss": 1.0') + len(b'"val_loss": ')
        content[place] ^= 1
        return content

    return damaged(bench, flip, "is damaged", "python -m ablations rebuild")


def no_database(bench: Bench) -> Outcome:
    return damaged(bench, lambda content: bytearray(b"not a database " * 1000), "is not a store of records")


def later_version(bench: Bench) -> Outcome:
    folder = bench.new_folder()
    with closing(sqlite3.connect(filled(folder, 1))) as connection, connection:
        connection.execute("UPDATE xception_schema SET version = 99")
    return Outcome(message=refused(folder, "schema version 99"))


def created_at_once(bench: Bench) -> Outcome:
    """Eight processes make the same new store at once, and write the same ten records."""
    times = 2 if bench.short else 10
    lost = duplicated = 0
    for seed in range(10):
        record(seed)
    for _ in range(times):
        folder = bench.new_folder()
        start, go = os.pipe()

        def work(folder: Path = folder, start: int = start) -> None:
            os.read(start, 1)
            with closing(Store(url(folder))) as store:
                new = sum(store.put(record(seed)) for seed in range(10))
            (folder / f"new-{os.getpid()}").write_text(str(new))

        pids = [forked(work) for _ in range(8)]
        os.write(go, b"x" * 8)
        statuses = [os.waitpid(pid, 0)[1] for pid in pids]
        os.close(start)
        os.close(go)
        require(statuses == [0] * 8, f"some could not: {statuses}")
        new = sum(int(path.read_text()) for path in folder.glob("new-*"))
        with closing(Store(url(folder))) as store:
            store.check()
            lost += 10 - len(store.get())
        duplicated += new - 10
    return Outcome(
        injected=8 * times, lost=lost, duplicated=duplicated, message="one makes it, each record is new once"
    )


def killed_while_writing(bench: Bench) -> Outcome:
    """A process that writes records is killed at random moments: every confirmed write must be there, whole."""
    times, num = 5 if bench.short else 50, 60
    lost = duplicated = 0
    for seed in range(num):
        record(seed)
    for _ in range(times):
        folder = bench.new_folder()
        told, tell = os.pipe()

        def work(folder: Path = folder, tell: int = tell) -> None:
            with closing(Store(url(folder))) as store:
                for seed in range(num):
                    store.put(record(seed))
                    os.write(tell, seed.to_bytes(2, "big"))

        pid = forked(work)
        os.read(told, 2)
        select.select([], [], [], bench.random.uniform(0.0, 0.2))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(tell)
        promised = 1 + len(os.read(told, 2 * num)) // 2
        os.close(told)
        with closing(Store(url(folder))) as store:
            store.check()
            found = store.get()
            lost += sum(found.get(record(seed).key) != record(seed) for seed in range(promised))
            for seed in range(num):
                store.put(record(seed))
            duplicated += len(store.get()) - num
    return Outcome(
        injected=times,
        lost=lost,
        duplicated=duplicated,
        message="every record that was acknowledged is there and whole",
    )


def disk_full(bench: Bench) -> Outcome:
    with small_disk(bench.folder / "store", "300k") as disk:
        done = 0
        message = ""
        with closing(Store(url(disk))) as store:
            try:
                for seed in range(300):
                    store.put(record(seed))
                    done += 1
            except StoreError as error:
                message = str(error).replace(str(disk), "FOLDER")
        require("full" in message and "\n" not in message, f"said: {message!r}")
        with closing(Store(url(disk))) as store:
            found = store.get()
        return Outcome(lost=done - len(found), message=message)


def failed_then_final(bench: Bench) -> Outcome:
    """A failure is replaced by a result, a result by nothing."""
    with closing(Store(url(bench.new_folder()))) as store:
        first = replace(record(0), status="failed", reason="its worker was lost")
        answers = [
            store.put(first),
            store.put(record(0)),
            store.put(replace(record(0), test_accuracy=0.9)),
            store.put(first),
        ]
        require(answers == [True, True, False, False], f"answers: {answers}")
        return Outcome(lost=int(store.get()[record(0).key] != record(0)), message="the first final record stays")


def migrated(bench: Bench) -> Outcome:
    folder = bench.new_folder()
    with closing(sqlite3.connect(filled(folder))) as connection, connection:
        for column in ("digest", "predictions", "confidence"):
            connection.execute(f"ALTER TABLE xception_records DROP COLUMN {column}")
        connection.execute("UPDATE xception_schema SET version = 1")
    with closing(Store(url(folder))) as store:
        store.check()
        found = store.get()
    equal = all(found[record(seed).key] == record(seed) for seed in range(50))
    return Outcome(lost=50 - len(found), bit_equal=int(equal), message="brought forward")


def record_of_other_version(bench: Bench, change: Callable[[dict[str, object]], object]) -> Outcome:
    """A record file with other fields is read as far as it is understood, and the trial is not trained again."""
    folder = bench.new_folder()
    plain = record_to_plain(record(0))
    change(plain)
    trial = TrialFolder(folder / "trials", record(0).key)
    trial.path.mkdir(parents=True)
    write_json(trial.path / "record.json", plain)
    lines: list[str] = []
    read = trial.read_record(lines.append)
    require(read is not None and read.test_accuracy == record(0).test_accuracy, "the record is not read")
    require(len(lines) == 1 and "of another version" in lines[0] and "damaged" not in lines[0], f"said: {lines}")
    with closing(Store(url(folder))) as store:
        copied = rebuild(folder / "trials", store, lines.append)
    return Outcome(lost=1 - copied.new, message=lines[0].replace(str(folder), "OUT"))


def record_of_later_version(bench: Bench) -> Outcome:
    return record_of_other_version(bench, lambda plain: plain.update(energy_joules=3.0))


def record_of_earlier_version(bench: Bench) -> Outcome:
    return record_of_other_version(bench, lambda plain: plain.pop("macs"))


def record_not_understood(bench: Bench) -> Outcome:
    """A record file that is whole and cannot be understood stops the run by its name; nothing is trained again."""
    folder = bench.new_folder()
    task = replace(small_task(0), trials=folder / "trials")
    trial = TrialFolder(folder / "trials", task.key)
    trial.path.mkdir(parents=True)
    write_json(trial.path / "record.json", record_to_plain(record(0)) | {"status": "finished"})
    trained: list[object] = []
    with closing(Store(url(folder))) as store:
        try:
            trained = list(execute([task], store, SerialExecutor()))
        except DataError as error:
            message = str(error).replace(str(folder), "OUT")
        else:
            message = "it was trained again"
        require("cannot be understood" in message and not store.get(), message)
    return Outcome(duplicated=len(trained), message=message)


def nothing_to_rebuild(bench: Bench) -> Outcome:
    from ablations.__main__ import main

    folder = bench.new_folder()
    (folder / "trials").mkdir()
    err = io.StringIO()
    try:
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
            main(["rebuild", "--store", url(folder), "--trials", str(folder / "trials")])
    except SystemExit as end:
        require(end.code == 2, f"status {end.code}")
    require("no record was found" in err.getvalue(), err.getvalue())
    return Outcome(message=err.getvalue().strip().replace(str(folder), "OUT"))


def clock_ahead(bench: Bench) -> Outcome:
    """A plan was written while the clock was a day ahead; the plan written after it is the latest."""
    folder = bench.new_folder()
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="microseconds")
    with closing(Store(url(folder))) as store:
        with mock.patch("ablations.records.plan_table.now", return_value=tomorrow):
            store.put_plan(plan("first"))
        for name in ("second", "third"):
            store.put_plan(plan(name))
        order = [found.plan for found in store.plans("study")]
    require(order == ["third", "second", "first"], f"the order is {order}")
    return Outcome(injected=2, message="the plan that was written last is the latest")


def plan(name: str) -> StoredPlan:
    description = Description.from_values({"question": "?", "dataset": "x", "scale": "quick", "margin": 0.01})
    return StoredPlan(plan=name, study="study", description=description, members=())


def removed(bench: Bench) -> Outcome:
    """The database is removed, or another put in its place, while a run uses it."""
    folder, line = bench.new_folder(), ""
    for other in (False, True):
        filled(folder, 2)
        with closing(Store(url(folder))) as store:
            for path in folder.glob("records.db*"):
                path.unlink()
            if other:
                filled(folder, 1)
            try:
                store.put(record(3))
            except StoreError as error:
                line = str(error).replace(str(folder), "OUT")
        require("was removed or replaced" in line, f"not noticed: {line}")
        for path in folder.glob("records.db*"):
            path.unlink()
    return Outcome(injected=2, message=line)


def read_only(bench: Bench) -> Outcome:
    """The store of another user, in a folder that cannot be written: checked, exported and loaded."""
    folder = bench.new_folder()
    bench.folder.chmod(0o755)
    filled(folder, 5)
    folder.chmod(0o555)
    target = bench.new_folder()
    target.chmod(0o777)

    def work() -> None:
        with closing(Store(url(folder))) as store:
            require(store.check() == 5 and len(store.get()) == 5, "records are missing")
            require(export_file(store, target / "records.jsonl") == 5, "not exported")
            try:
                store.put(record(9))
            except StoreError:
                return
        raise AssertionError("it was written")

    try:
        require(as_nobody(work) == 0, "it cannot be read")
    finally:
        folder.chmod(0o755)
    return Outcome(message="read as a whole; writing is refused")
