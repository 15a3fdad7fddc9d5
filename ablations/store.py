"""Records in a database: SQLite by default, PostgreSQL by URL; the only truth about what was trained.

Records know no study: which trial serves which study stands in a table of its own. All tables
begin with `xception_`, since the database may be Optuna's too.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from ablations.passwords import passwords_in, without_password
from ablations.record import Member, Plan, Record

__all__ = ["Store", "StoreError"]

T = TypeVar("T")
SCHEMA = 2
_log = logging.getLogger(__name__)
_metadata = sa.MetaData()

_schema = sa.Table("xception_schema", _metadata, sa.Column("version", sa.Integer, primary_key=True))
_records = sa.Table(
    "xception_records",
    _metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("trial", sa.Text, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("val_accuracy", sa.Double),
    sa.Column("val_loss", sa.Double),
    sa.Column("test_accuracy", sa.Double),
    sa.Column("test_top5_accuracy", sa.Double),
    sa.Column("test_loss", sa.Double),
    sa.Column("num_test", sa.Integer),
    sa.Column("num_classes", sa.Integer),
    sa.Column("correct", sa.LargeBinary),
    sa.Column("params", sa.BigInteger),
    sa.Column("macs", sa.BigInteger),
    sa.Column("curves", sa.Text, nullable=False),
    sa.Column("train_seconds", sa.Double),
    sa.Column("images_per_second", sa.Double),
    sa.Column("device", sa.Text),
    sa.Column("threads", sa.Integer),
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("digest", sa.String(64)),  # SHA-256 of the other columns: a bit that flipped on disk is not taken for a result
)
_plans = sa.Table(
    "xception_plans",
    _metadata,
    sa.Column("plan", sa.String(64), primary_key=True),
    sa.Column("study", sa.Text, nullable=False, index=True),
    sa.Column("planned_at", sa.String(40), nullable=False),
    sa.Column("options", sa.Text, nullable=False),
)
_members = sa.Table(
    "xception_members",
    _metadata,
    sa.Column("plan", sa.String(64), primary_key=True),
    sa.Column("variant", sa.String(255), primary_key=True),
    sa.Column("seed", sa.BigInteger, primary_key=True),
    sa.Column("stream", sa.BigInteger, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("is_baseline", sa.Boolean, nullable=False),
    sa.Column("key", sa.String(64), nullable=False, index=True),
)
_measurements = sa.Table(
    "xception_measurements",
    _metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("values", sa.Text, nullable=False),
    sa.Column("measured_at", sa.String(40), nullable=False),
)
_claims = sa.Table(
    "xception_claims",
    _metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("owner", sa.Text, nullable=False, index=True),
    sa.Column("until", sa.Double, nullable=False),  # seconds since 1970, by the database's clock
)

_JSON_COLUMNS = ("curves", "environment")
# What SQLite says of a file that is not as it was written.
_DAMAGE = ("malformed", "disk I/O error", "Could not decode to UTF-8")
_REBUILD = "move it aside and make it again with: python -m ablations rebuild --trials OUT/trials --store URL"


class StoreError(ValueError):
    """The store cannot be used: the message names it and says what is wrong, without any password."""


class Store:
    """The records under one database URL; tables are made on first use.

    A server that goes away while the store is in use is waited for, `patience_seconds` at most.

    Raises:
        StoreError: the URL is not understood, or the database cannot be opened or is not ours.
    """

    def __init__(self, url: str, patience_seconds: float = 300.0) -> None:
        try:
            self.url = sa.make_url(url)
        except (SQLAlchemyError, ValueError):  # ValueError: the port is no number
            raise StoreError("--store: not a database URL; allowed: sqlite:///PATH or postgresql://HOST/NAME") from None
        if "@" in (self.url.host or ""):
            raise StoreError("--store: more than one @ before the host; an @ in a name or password is written %40")
        if self.url.password == "***":
            raise StoreError("--store: *** stands for a password; leave it out of the URL and set PGPASSWORD or write ~/.pgpass")
        self._secrets = passwords_in(url) | ({str(self.url.password)} if self.url.password else set())
        self._patience_seconds = patience_seconds
        self._is_open = False
        backend = self.url.get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise StoreError(f"--store: {backend!r} is not supported; allowed: sqlite:///PATH or postgresql://HOST/NAME")
        if self.url.drivername == "postgresql":
            self.url = self.url.set(drivername="postgresql+psycopg")
        self.name = without_password(url)
        self._insert = sqlite.insert if backend == "sqlite" else postgresql.insert
        try:
            if backend == "sqlite":
                self._engine = _sqlite_engine(self.url, min(patience_seconds, 60.0))
            else:
                self._engine = sa.create_engine(self.url, pool_pre_ping=True, connect_args={"connect_timeout": 10})
        except ModuleNotFoundError as error:
            raise StoreError(f"--store: {self.name} needs the package {error.name}; install the extra `postgres`") from None
        self._writer = self._engine.execution_options(xception_writes=True)
        try:
            self._told(self._create)
        except StoreError:
            self._engine.dispose()
            raise
        self._is_open = True

    def close(self) -> None:
        """Give the database's connections back."""
        self._engine.dispose()

    # Records

    def put(self, record: Record) -> bool:
        """Write one record in one transaction; return False where a final one stood already, which stays."""
        row = record.values()
        row |= {name: json.dumps(row[name]) for name in _JSON_COLUMNS}
        row["created_at"] = row["created_at"] or _now()
        row["digest"] = _digest(row)
        insert = self._insert(_records).values(row)
        statement = insert.on_conflict_do_update(
            index_elements=[_records.c.key],
            set_={name: insert.excluded[name] for name in row if name != "key"},
            where=_records.c.status == "failed",
        ).returning(_records.c.key)  # a row count is not told of such a statement on PostgreSQL

        def write() -> bool:
            with self._writer.begin() as connection:
                return connection.execute(statement).first() is not None

        return self._told(write)

    def get(self, keys: Iterable[str] | None = None) -> dict[str, Record]:
        """Return the records with the given keys (all records without them) by key."""
        columns = sa.select(_records)
        out: dict[str, Record] = {}
        wanted = None if keys is None else list(dict.fromkeys(keys))
        for chunk in [None] if wanted is None else [wanted[i : i + 500] for i in range(0, len(wanted), 500)]:
            query = columns if chunk is None else columns.where(_records.c.key.in_(chunk))
            for row in self._rows(query):
                out[row["key"]] = self._record(row)
        return out

    def _record(self, row: dict[str, Any]) -> Record:
        digest = row.pop("digest")
        if digest is not None and digest != _digest(row):
            raise StoreError(f"--store: {self.name} is damaged: the record {row['key'][:12]} is not as it was written; {_REBUILD}")
        return Record(**row | {name: json.loads(row[name]) for name in _JSON_COLUMNS})

    def check(self) -> None:
        """Hold the database, and every record in it, against what was written.

        Raises:
            StoreError: something is damaged; the message says how to make the store again.
        """
        self.check_pages()
        self.get()

    def check_pages(self) -> None:
        """Hold the pages and indices of an SQLite file against each other: a damaged index would hide records, which were trained again.

        Raises:
            StoreError: something is damaged; the message says how to make the store again.
        """
        if self.url.get_backend_name() == "sqlite":
            found = self._rows(sa.text("PRAGMA integrity_check(1)"))[0]["integrity_check"]
            if found != "ok":
                raise StoreError(f"--store: {self.name} is damaged: {' '.join(found.split())}; {_REBUILD}")

    def statuses(self, keys: Iterable[str]) -> dict[str, str]:
        """Return the status of those of the keys that are stored."""
        out: dict[str, str] = {}
        wanted = list(dict.fromkeys(keys))
        for i in range(0, len(wanted), 500):
            query = sa.select(_records.c.key, _records.c.status).where(_records.c.key.in_(wanted[i : i + 500]))
            out |= {row["key"]: row["status"] for row in self._rows(query)}
        return out

    # Claims: which driver trains which key, where several work on the same store

    def claim(self, key: str, owner: str, seconds: float) -> bool:
        """Claim a key for a time; return False where another owner holds it or its record is final."""
        now = self._clock()
        insert = self._insert(_claims).values(key=key, owner=owner, until=now + seconds)
        statement = insert.on_conflict_do_update(
            index_elements=[_claims.c.key],
            set_={"owner": insert.excluded.owner, "until": insert.excluded.until},
            where=(_claims.c.until < now) | (_claims.c.owner == owner),
        ).returning(_claims.c.key)
        final = sa.select(_records.c.key).where(_records.c.key == key, _records.c.status != "failed")

        def write() -> bool:
            with self._writer.begin() as connection:
                if connection.execute(statement).first() is None:
                    return False
                if connection.execute(final).first() is None:
                    return True
                connection.execute(sa.delete(_claims).where(_claims.c.key == key))
                return False

        return self._told(write)

    def renew_claims(self, owner: str, seconds: float) -> None:
        """Let all claims of an owner last for a time from now."""
        self._change(sa.update(_claims).where(_claims.c.owner == owner).values(until=self._clock() + seconds))

    def release_claims(self, owner: str, key: str | None = None) -> None:
        """Give up an owner's claim of a key, or all of the owner's claims."""
        statement = sa.delete(_claims).where(_claims.c.owner == owner)
        self._change(statement if key is None else statement.where(_claims.c.key == key))

    def claim_owners(self) -> dict[str, str]:
        """Return who holds each key that is claimed at present."""
        rows = self._rows(sa.select(_claims.c.key, _claims.c.owner).where(_claims.c.until >= self._clock()))
        return {row["key"]: row["owner"] for row in rows}

    def _clock(self) -> sa.ColumnElement[float]:
        """The time that claims are held against: the server's, since drivers may run on machines whose clocks differ."""
        if self.url.get_backend_name() == "postgresql":
            return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)
        return sa.literal(time.time())

    # Plans

    def put_plan(self, plan: Plan) -> None:
        """Write a plan and its members; the same plan asked for again becomes the latest of its study."""
        row = {"plan": plan.plan, "study": plan.study, "planned_at": plan.planned_at or _now(), "options": json.dumps(plan.options)}
        insert = self._insert(_plans).values(row)
        replaced = insert.on_conflict_do_update(
            index_elements=[_plans.c.plan], set_={"planned_at": insert.excluded.planned_at, "options": insert.excluded.options}
        )
        members = [{"plan": plan.plan, **vars(m)} for m in plan.members]

        def write() -> None:
            with self._writer.begin() as connection:
                connection.execute(replaced)
                connection.execute(sa.delete(_members).where(_members.c.plan == plan.plan))
                if members:
                    connection.execute(sa.insert(_members), members)

        self._told(write)

    def plans(self, study: str | None = None) -> list[Plan]:
        """Return the plans of a study (of all studies without a name), the latest first."""
        query = sa.select(_plans).order_by(_plans.c.planned_at.desc(), _plans.c.plan)
        found = self._rows(query if study is None else query.where(_plans.c.study == study))
        return [self._plan(row) for row in found]

    def _plan(self, row: dict[str, Any]) -> Plan:
        query = sa.select(_members).where(_members.c.plan == row["plan"]).order_by(_members.c.position, _members.c.seed, _members.c.stream)
        members = tuple(Member(**{k: v for k, v in m.items() if k != "plan"}) for m in self._rows(query))
        return Plan(plan=row["plan"], study=row["study"], options=json.loads(row["options"]), members=members, planned_at=row["planned_at"])

    # Measurements

    def put_measurement(self, key: str, kind: str, values: dict[str, Any]) -> None:
        """Write what was measured of a network; a later measurement under the same key replaces it."""
        row = {"key": key, "kind": kind, "values": json.dumps(values), "measured_at": _now()}
        insert = self._insert(_measurements).values(row)
        changes = {name: insert.excluded[name] for name in row if name != "key"}
        statement = insert.on_conflict_do_update(index_elements=[_measurements.c.key], set_=changes)

        def write() -> None:
            with self._writer.begin() as connection:
                connection.execute(statement)

        self._told(write)

    def measurement(self, key: str) -> dict[str, Any] | None:
        """Return what was measured under a key, or None."""
        rows = self._rows(sa.select(_measurements.c["values"]).where(_measurements.c.key == key))
        return json.loads(rows[0]["values"]) if rows else None

    def measurements(self, kind: str) -> list[dict[str, Any]]:
        """Return all that was measured of one kind, the latest first."""
        query = sa.select(_measurements.c["values"]).where(_measurements.c.kind == kind).order_by(_measurements.c.measured_at.desc())
        return [json.loads(row["values"]) for row in self._rows(query)]

    def all_measurements(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return key, kind and values of everything that was measured."""
        query = sa.select(_measurements.c.key, _measurements.c.kind, _measurements.c["values"]).order_by(_measurements.c.key)
        return [(row["key"], row["kind"], json.loads(row["values"])) for row in self._rows(query)]

    # Tables of packages above this one

    def create_tables(self, metadata: sa.MetaData) -> None:
        """Make another package's tables where they are missing; their names begin with `xception_` too."""

        def write(connection: sa.Connection) -> None:
            if self.url.get_backend_name() == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(7268914)"))  # as in _create
            metadata.create_all(connection)

        self.write(write)

    def write(self, action: Callable[[sa.Connection], T]) -> T:
        """Run an action in one transaction; it may be run again where the connection is lost."""

        def write() -> T:
            with self._writer.begin() as connection:
                return action(connection)

        return self._told(write)

    def read(self, query: sa.Select[Any]) -> Sequence[dict[str, Any]]:
        """Return the rows of a query."""
        return self._rows(query)

    # Underneath

    def _change(self, statement: sa.Update | sa.Delete) -> None:
        def write() -> None:
            with self._writer.begin() as connection:
                connection.execute(statement)

        self._told(write)

    def _rows(self, query: sa.Select[Any] | sa.TextClause) -> Sequence[dict[str, Any]]:
        def read() -> list[dict[str, Any]]:
            with self._engine.connect() as connection:
                return [dict(row) for row in connection.execute(query).mappings()]

        return self._told(read)

    def _create(self) -> None:
        with self._writer.begin() as connection:
            if self.url.get_backend_name() == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(7268914)"))  # creating a table twice at once fails there
            _metadata.create_all(connection)
            version = connection.execute(sa.select(_schema.c.version)).scalar()
            if version is None:
                connection.execute(sa.insert(_schema).values(version=SCHEMA))
            elif version > SCHEMA:
                raise StoreError(f"--store: {self.name} has schema version {version}; this program reads versions 1 to {SCHEMA}")
            elif version < SCHEMA:
                for step in range(version, SCHEMA):
                    _MIGRATIONS[step](connection)
                connection.execute(sa.update(_schema).values(version=SCHEMA))

    def _told(self, action: Callable[[], T]) -> T:
        """Run an action; a database error becomes a StoreError in one line that shows no password.

        All actions may be run again: what a lost connection may or may not have written is written once more, to the same end.
        """
        deadline, delay = None, 0.05
        while True:
            try:
                return action()
            except (DBAPIError, sqlite3.Error) as error:  # the latter while a connection is made
                now = time.monotonic()
                if self._is_open and _will_pass(error) and (deadline is None or now < deadline):
                    if deadline is None:
                        deadline = now + self._patience_seconds
                        _log.warning("%s does not answer; trying again for up to %g s", self.name, self._patience_seconds)
                    time.sleep(delay)
                    delay = min(2 * delay, 2.0)
                    continue
                reason = self._reason(error)
                if any(words in reason for words in _DAMAGE):
                    raise StoreError(f"--store: {self.name} is damaged: {reason}; {_REBUILD}") from None
                what = "cannot be used" if isinstance(error, OperationalError | sqlite3.OperationalError) else "is not a store of records"
                raise StoreError(f"--store: {self.name} {what}: {reason}") from None

    def _reason(self, error: Exception) -> str:
        text = " ".join(str(getattr(error, "orig", error)).split())
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _digest(row: Mapping[str, Any]) -> str:
    """SHA-256 of a row of records, as every database gives it back."""
    values: list[Any] = []
    for column in _records.columns:
        value = row.get(column.name)
        if column.name == "digest" or value is None:
            values.append(None)
        elif isinstance(column.type, sa.LargeBinary):
            values.append(bytes(value).hex())
        else:
            values.append(float(value) if isinstance(column.type, sa.Double) else value)
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _add_digests(connection: sa.Connection) -> None:
    """From version 1 to 2: each record gets its digest."""
    connection.execute(sa.text("ALTER TABLE xception_records ADD COLUMN digest VARCHAR(64)"))
    for row in connection.execute(sa.select(_records)).mappings().all():
        connection.execute(sa.update(_records).where(_records.c.key == row["key"]).values(digest=_digest(dict(row))))


# By the version that they start from; each brings a store one version further, all in one transaction.
_MIGRATIONS: dict[int, Callable[[sa.Connection], None]] = {1: _add_digests}


def _will_pass(error: Exception) -> bool:
    """Whether an error of PostgreSQL is that of a server that restarts or is full, or of two transactions that met; never so for SQLite."""
    if not isinstance(error, DBAPIError) or error.orig is None or not hasattr(error.orig, "sqlstate"):
        return False
    state = error.orig.sqlstate
    if state is None:  # the connection could not be made, or broke
        return error.connection_invalidated or isinstance(error, OperationalError)
    # Classes 08 and 57P: connection and server; 40: serialisation and deadlock; 53300: no connection free.
    return state[:2] in ("08", "40") or state in ("57P01", "57P02", "57P03", "53300")


def _sqlite_engine(url: sa.URL, lock_seconds: float) -> sa.Engine:
    if url.database and url.database != ":memory:":
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            what = f"the folder of {url.database} cannot be made: {error.strerror}"
            raise StoreError(f"--store: {what}; allowed: a path that can be written") from None
    # Transactions are begun by us: the driver would begin them at the first write, too late to wait for a lock.
    engine = sa.create_engine(url, connect_args={"timeout": lock_seconds, "isolation_level": None})

    @sa.event.listens_for(engine, "connect")
    def settle(connection: Any, _record: Any) -> None:
        deadline = time.monotonic() + lock_seconds
        while True:  # changing the journal's mode does not wait for others by itself
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        connection.execute("PRAGMA synchronous=FULL")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("xception_writes") else "BEGIN")

    return engine


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
