"""Several drivers on one database, a server that restarts, and passwords, with real processes."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pandas as pd
import pytest

from ablations.execution.claims import Claims, is_dead
from ablations.records.passwords import passwords_in, without_password
from ablations.records.store import Store, StoreError
from tests.command import ROOT, call, call_here, run_folder
from tests.servers import Postgres

STUDY = (
    "run_ablation.py",
    "--study",
    "residuals",
    "--scale",
    "smoke",
    "--epochs",
    "1",
    "--dataset",
    "synthetic",
    "--workers",
    "1",
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/records.db"
    name: str = request.getfixturevalue("postgres").database(f"drivers_{uuid.uuid4().hex}")
    return name


def start(*args: str, url: str, out: Path) -> subprocess.Popen[str]:
    """Start a driver; its standard error comes through a pipe."""
    command = [sys.executable, *STUDY, "--store", without_password(url), "--out", str(out), *args]
    secret = {"PGPASSWORD": next(iter(passwords_in(url)), "")}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **secret},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(driver: subprocess.Popen[str], expect: int = 0) -> str:
    """Wait for a driver and return all that it printed."""
    out, err = driver.communicate(timeout=900)
    assert driver.returncode == expect, err
    return out + err


@pytest.mark.long  # the fault matrix has two drivers on one store by default
def test_two_drivers_of_one_study_train_each_key_once(url: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    drivers = [start("--seeds", "3", url=url, out=tmp_path / name) for name in "ab"]
    if url.startswith("postgresql"):
        assert drivers[0].stderr is not None
        for line in drivers[0].stderr:
            if line.startswith("[1/"):  # in the middle of the study
                request.getfixturevalue("postgres").restart()
                break
    said = [end(driver) for driver in drivers]
    trained = [int(n) for text in said for n in re.findall(r"(\d+) trials trained", text)]
    assert sum(trained) == 6, said
    store = Store(url)
    assert {record.status for record in store.get().values()} == {"complete"}
    assert len(store.get()) == 6
    assert store.claim_owners() == {}
    store.close()
    tables = [(run_folder(tmp_path / name, "residuals") / "runs.csv") for name in "ab"]
    first, second = (pd.read_csv(table) for table in tables)
    pd.testing.assert_frame_equal(first, second)
    for secret in passwords_in(url):
        for text in [*said, *(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())]:
            assert secret not in text


def test_a_killed_drivers_keys_are_free_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/records.db"
    driver = start("--seeds", "1", url=url, out=tmp_path / "a")
    assert driver.stderr is not None
    for line in driver.stderr:
        if line.startswith("Study"):
            break
    store = Store(url)
    while not store.claim_owners():
        assert driver.poll() is None
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    (owner,) = set(store.claim_owners().values())
    assert is_dead(owner)
    with Claims(store) as claims:
        assert not is_dead(claims.owner)
        list(claims.claimed([]))
        assert store.claim_owners() == {}
    store.close()


@pytest.mark.parametrize("command", ["run_ablation", "search.__main__", "ablations.__main__"])
def test_a_password_on_a_command_line_is_refused(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        importlib.import_module(command).main(["--store", "postgresql://me:geheim@127.0.0.1:1/db"])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "postgresql://me@127.0.0.1:1/db: every user of this machine can read a password" in line
    assert "PGPASSWORD" in line
    assert "~/.pgpass" in line


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda url: url.replace("tester:", "tester:wrong"), "password authentication failed"),
        (lambda url: url.replace("tester:", "nobody:"), "authentication failed"),
        (lambda url: url.rpartition("/")[0] + "/nowhere", "does not exist"),
        (lambda url: re.sub(r":\d+/", ":1/", url), "refused"),
        (lambda url: re.sub(r":\d+/", ":port/", url), "not a database URL"),
        (lambda url: re.sub(r":[^:@]+@", ":***@", url), "PGPASSWORD"),
        (lambda url: url.replace("tester:", "tester:a@b"), "%40"),
        (lambda url: url.replace("postgresql:", "mysql:"), "postgresql://"),
    ],
)
def test_a_wrong_server_or_password_is_reported_in_one_line_without_it(
    postgres: Postgres, change: object, word: str
) -> None:
    assert callable(change)
    with pytest.raises(StoreError) as caught:
        Store(change(postgres.url))
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert postgres.password not in str(caught.value)


def test_a_server_that_crashes_is_waited_for_and_one_that_stays_away_is_not(postgres: Postgres) -> None:
    store = Store(postgres.database(f"crash_{uuid.uuid4().hex}"), patience_seconds=60)
    store.put_measurement("k", "kind", {"a": 1})
    postgres.crash()
    assert store.measurement("k") == {"a": 1}
    store.close()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:se/cret@host/db", "postgresql://me@host/db"),
        ("postgresql://me:secret@host:5432/db", "postgresql://me@host:5432/db"),
        ("postgresql://me:s@cr:et@host/db?sslmode=require", "postgresql://me@host/db?sslmode=require"),
        (
            "postgresql://host/db?user=me&password=secret&sslmode=require",
            "postgresql://host/db?user=me&sslmode=require",
        ),
        ("postgresql://host/db?sslpassword=secret", "postgresql://host/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("sqlite:////tmp/a:b@c.db", "sqlite:////tmp/a:b@c.db"),
    ],
)
def test_a_url_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("--executor", "ray", "--ray-address", "127.0.0.1:1"), "127.0.0.1:1"),
        (("--executor", "ray", "--ray-address", "nowhere"), "HOST:PORT"),
        (("--executor", "ray", "--device", "cuda:1"), "--device"),
        (("--executor", "ray", "--gpus-per-trial", "1.5"), "--gpus-per-trial"),
        (("--ray-address", "auto"), "--executor ray"),
        (("--executor", "slurm"), "ray"),
    ],
)
def test_wrong_use_of_a_cluster_is_reported_in_one_line(
    args: tuple[str, ...], word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = call_here(capsys, *STUDY[1:-2], "--out", str(tmp_path), *args, expect=2)
    (line,) = printed.err.strip().splitlines()
    assert word in line


@pytest.mark.long
def test_more_cores_than_a_cluster_has_are_refused_in_one_line(tmp_path: Path) -> None:
    """In a separate process with a separate Ray, which ends with it: other tests connect to clusters of their own."""
    words = (*STUDY[:-2], "--out", str(tmp_path), "--executor", "ray", "--cpus-per-trial", "100000")
    (line,) = call(*words, expect=2).stderr.strip().splitlines()
    assert "can never be met" in line
