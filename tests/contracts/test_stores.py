"""What both databases store under concurrent writers: final records, plans, measurements and claims."""

from __future__ import annotations

import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa

from ablations.records.record import Description, Member, Record, StoredPlan
from ablations.records.store import Store, StoreError
from tests.command import ROOT

RECORD = Record(
    key="a" * 64,
    trial='{"seed":0}',
    status="complete",
    val_accuracy=0.1 + 0.2,  # a float64 without a shorter decimal form
    val_loss=5e-324,
    test_accuracy=1 / 3,
    num_test=11,
    correct=bytes(range(256)),
    predictions=bytes(range(255, -1, -1)),
    confidence=bytes(range(250, -1, -1)),
    params=2**53 + 1,
    macs=2**62,
    curves=[{"epoch": 1, "train_loss": 0.1, "val_loss": 1 / 3, "val_accuracy": 0.5}],
    train_seconds=1.5,
    device="cpu",
    threads=1,
    environment={"torch": "x", "nested": {"a": [1, None]}},
    created_at="2026-01-01T00:00:00.000001+00:00",
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/records.db"
    name: str = request.getfixturevalue("postgres").database(f"contract_{uuid.uuid4().hex}")
    return name


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store(url)
    yield opened
    opened.close()


def test_a_record_comes_back_to_the_bit(store: Store) -> None:
    assert store.put(RECORD)
    assert store.get([RECORD.key]) == {RECORD.key: RECORD}
    assert store.get() == {RECORD.key: RECORD}
    assert store.statuses([RECORD.key, "b" * 64]) == {RECORD.key: "complete"}


@pytest.mark.parametrize("final", ["complete", "diverged"])
def test_a_final_record_stays_and_a_failed_one_is_replaced(store: Store, final: str) -> None:
    failed = replace(RECORD, status="failed", reason="killed")
    assert store.put(failed)
    assert store.put(replace(failed, reason="killed again"))
    assert store.get()[RECORD.key].reason == "killed again"
    assert store.put(replace(RECORD, status=final))  # type: ignore[arg-type]
    assert not store.put(replace(RECORD, test_accuracy=0.9))
    assert not store.put(failed)
    assert store.get()[RECORD.key] == replace(RECORD, status=final)  # type: ignore[arg-type]


def test_more_keys_than_a_statement_holds(store: Store) -> None:
    keys = [f"{i:064d}" for i in range(1201)]
    for key in keys[::400]:
        store.put(replace(RECORD, key=key))
    assert set(store.get(keys)) == set(store.statuses(keys)) == set(keys[::400])


def test_the_same_plan_again_is_the_latest_and_has_its_new_members(store: Store) -> None:
    def plan(name: str, at: str, num: int) -> StoredPlan:
        members = tuple(
            Member(variant="a", seed=i, stream=0, position=0, is_baseline=True, key=f"{i:064d}") for i in range(num)
        )
        return StoredPlan(plan=name, study="s", description=Description(scale="smoke"), members=members, planned_at=at)

    first, other, again = plan("p", "2026-01-01", 2), plan("q", "2026-01-02", 1), plan("p", "2026-01-03", 3)
    for one in (first, other, again):
        store.put_plan(one)
    assert store.plans("s") == [again, other]
    assert store.plans("nothing") == []
    assert store.plans(key=f"{0:064d}") == [again, other]
    assert store.plans("s", key=f"{2:064d}") == [again]
    assert store.plans(key="no trial") == []


def test_the_head_of_a_plan_names_it_without_its_trials(store: Store) -> None:
    def plan(name: str, run: str, at: str) -> StoredPlan:
        member = Member(variant="a", seed=0, stream=0, position=0, is_baseline=True, key="k")
        about = Description(scale="smoke", run=run)
        return StoredPlan(plan=name, study="s", description=about, members=(member,), planned_at=at)

    for one in (plan("p", "s_1", "2026-01-01"), plan("q", "", "2026-01-02")):
        store.put_plan(one)
    assert [(head.plan, head.study, head.run) for head in store.plan_heads()] == [("q", "s", "s"), ("p", "s", "s_1")]
    assert store.plan("p") == plan("p", "s_1", "2026-01-01")
    assert store.plan("no plan") is None


def test_a_measurement_is_replaced_by_a_later_one(store: Store) -> None:
    assert store.measurement("k") is None
    store.put_measurement("k", "latency", {"ms": 1.25})
    store.put_measurement("k", "latency", {"ms": 2.5})
    assert store.measurement("k") == {"ms": 2.5}
    assert store.measurements("latency") == [{"ms": 2.5}]


def test_a_key_has_one_owner_at_a_time(store: Store) -> None:
    assert store.claim("k", "me", 60)
    assert store.claim("k", "me", 60)
    assert not store.claim("k", "you", 60)
    assert store.claim_owners() == {"k": "me"}
    store.release_claims("you")
    assert not store.claim("k", "you", 60)
    store.release_claims("me", "k")
    assert store.claim("k", "you", 60)


def test_a_claim_runs_out_unless_it_is_renewed(store: Store) -> None:
    assert store.claim("lost", "me", -1)
    assert store.claim("kept", "me", -1)
    assert store.claim("lost", "you", 60)
    store.renew_claims("me", 60)
    assert not store.claim("kept", "you", 60)
    assert store.claim_owners() == {"lost": "you", "kept": "me"}


def test_a_final_record_leaves_nothing_to_claim_and_a_failed_one_does(store: Store) -> None:
    store.put(replace(RECORD, status="failed"))
    assert store.claim(RECORD.key, "me", 60)
    store.put(RECORD)
    store.release_claims("me")
    assert not store.claim(RECORD.key, "you", 60)
    assert store.claim_owners() == {}


def test_of_many_drivers_at_once_one_gets_each_key(url: str) -> None:
    keys = [f"{i:064d}" for i in range(25)]
    barrier = threading.Barrier(4)

    def drive(owner: str) -> list[str]:
        store = Store(url)
        barrier.wait()
        mine = [key for key in keys if store.claim(key, owner, 60)]
        store.close()
        return mine

    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(drive, "abcd"))
    assert sorted(key for mine in taken for key in mine) == keys


def test_writers_in_several_processes_lose_nothing(url: str) -> None:
    program = (
        "import sys; from dataclasses import replace;\n"
        "from ablations.records.store import Store; from tests.contracts.test_stores import RECORD\n"
        "store = Store(sys.stdin.read())\n"
        "print(sum(store.put(replace(RECORD, key=f'{i:064d}')) for i in range(60)))\n"
    )
    command = [sys.executable, "-c", program]
    writers = [
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_python_path()
        )
        for _ in range(3)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(url)
        writer.stdin.close()
    written = [int(writer.stdout.read()) for writer in writers if writer.stdout is not None]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    for writer in writers:
        if writer.stdout is not None:
            writer.stdout.close()
    assert sum(written) == 60
    store = Store(url)
    assert len(store.get()) == 60
    store.close()


def _python_path() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}


def test_the_database_can_be_optunas_too(url: str, store: Store) -> None:
    store.put(RECORD)
    storage = optuna.storages.RDBStorage(store.url.render_as_string(hide_password=False))
    study = optuna.create_study(storage=storage, study_name="both", directions=["maximize", "minimize"])
    study.add_trial(optuna.trial.create_trial(values=[0.5, 1.0], user_attrs={"key": RECORD.key}))
    again = Store(url)
    assert again.get() == {RECORD.key: RECORD}
    again.close()
    assert [t.user_attrs["key"] for t in optuna.load_study(study_name="both", storage=storage).trials] == [RECORD.key]
    storage.remove_session()
    storage.engine.dispose()
    names = sa.inspect(store._engine).get_table_names()
    assert {name for name in names if name.startswith("xception_")} >= {
        "xception_records",
        "xception_claims",
        "xception_plans",
    }
    assert {"studies", "trials", "alembic_version"} <= set(names)


def test_a_store_of_a_later_version_is_refused(url: str, store: Store) -> None:
    with store._engine.begin() as connection:
        connection.execute(sa.text("UPDATE xception_schema SET version = version + 1"))
    with pytest.raises(StoreError, match="schema version"):
        Store(url)


def test_a_database_that_is_something_else_is_refused_in_one_line(url: str) -> None:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE xception_schema (name TEXT)"))
    engine.dispose()
    with pytest.raises(StoreError, match=r"^--store: .*not a store of records|^--store: .* cannot be used") as caught:
        Store(url)
    assert "\n" not in str(caught.value)
