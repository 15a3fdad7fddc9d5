"""Records in a database: SQLite by default, PostgreSQL by URL; the only truth about what was trained.

Records know no study: which trial serves which study stands in a table of its own. All tables
begin with `xception_`, since the database may be Optuna's too.
"""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from ablations.records import schema
from ablations.records.databases import connect, parse_url, will_pass
from ablations.records.passwords import passwords_in, without_password
from ablations.records.record import Description, Member, Plan, Record
from ablations.records.schema import SCHEMA

__all__ = ["SCHEMA", "Store", "StoreError"]

T = TypeVar("T")
_log = logging.getLogger(__name__)

_CHUNK = 1000
_JSON_COLUMNS = ("curves", "environment")
# What SQLite says of a file that is not as it was written.
_DAMAGE = ("malformed", "disk I/O error", "Could not decode to UTF-8")
# Kinds of "disk I/O error" that are the disk's and leave what is in the file as it was: a limit, no space, no right to
# write.
_NOT_WRITTEN = re.compile("SQLITE_IOERR_(WRITE|FSYNC|DIR_FSYNC|TRUNCATE|SHM|LOCK|DELETE)")
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
            self.url = parse_url(url)
        except (SQLAlchemyError, ValueError):  # ValueError: the port is no number
            raise StoreError("--store: not a database URL; allowed: sqlite:///PATH or postgresql://HOST/NAME") from None
        if "@" in (self.url.host or ""):
            raise StoreError("--store: more than one @ before the host; an @ in a name or password is written %40")
        if self.url.password == "***":
            raise StoreError(
                "--store: *** stands for a password; leave it out of the URL and set PGPASSWORD or write ~/.pgpass"
            )
        self._secrets = passwords_in(url) | ({str(self.url.password)} if self.url.password else set())
        self._patience_seconds = patience_seconds
        self._is_open = False
        backend = self.url.get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise StoreError(
                f"--store: {backend!r} is not supported; allowed: sqlite:///PATH or postgresql://HOST/NAME"
            )
        if self.url.drivername == "postgresql":
            self.url = self.url.set(drivername="postgresql+psycopg")
        self.name = without_password(url)
        self._insert = sqlite.insert if backend == "sqlite" else postgresql.insert
        try:
            self._engine = connect(self.url, patience_seconds)
        except ModuleNotFoundError as error:
            raise StoreError(
                f"--store: {self.name} needs the package {error.name}; install the extra `postgres`"
            ) from None
        except OSError as error:
            what = f"the folder of {self.url.database} cannot be made: {error.strerror}"
            raise StoreError(f"--store: {what}; allowed: a path that can be written") from None
        self._put = self._put_statement()
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
        return bool(self.put_all([record]))

    def put_all(self, records: Iterable[Record]) -> set[str]:
        """Write records, a thousand to a transaction; return the keys of those that came in, where no final one stood
        already.
        """
        rows = map(_row, records)
        came: set[str] = set()
        while chunk := list(islice(rows, _CHUNK)):

            def write(chunk: list[dict[str, Any]] = chunk) -> set[str]:
                with self._writer.begin() as connection:
                    return {row["key"] for row in chunk if connection.execute(self._put, row).first() is not None}

            came |= self._told(write)
        return came

    def get(self, keys: Iterable[str] | None = None) -> dict[str, Record]:
        """Return the records with the given keys (all records without them) by key."""
        columns = sa.select(schema.records)
        out: dict[str, Record] = {}
        wanted = None if keys is None else list(dict.fromkeys(keys))
        for chunk in [None] if wanted is None else [wanted[i : i + 500] for i in range(0, len(wanted), 500)]:
            query = columns if chunk is None else columns.where(schema.records.c.key.in_(chunk))
            for row in self._rows(query):
                out[row["key"]] = self._record(row)
        return out

    def records(self) -> Iterator[Record]:
        """Yield all records by key, a thousand in memory at a time; those written meanwhile may come or not."""
        last = ""
        query = sa.select(schema.records).order_by(schema.records.c.key).limit(_CHUNK)
        while rows := self._rows(query.where(schema.records.c.key > last)):
            for row in rows:
                last = row["key"]
                yield self._record(row)

    def _record(self, row: dict[str, Any]) -> Record:
        digest = row.pop("digest")
        if digest is not None and digest != schema.digest_of(row):
            raise StoreError(
                f"--store: {self.name} is damaged: the record {row['key'][:12]} is not as it was written; {_REBUILD}"
            )
        return Record(**row | {name: json.loads(row[name]) for name in _JSON_COLUMNS})

    def check(self) -> int:
        """Hold the database, and every record in it, against what was written; return the number of records.

        Raises:
            StoreError: something is damaged; the message says how to make the store again.
        """
        self.check_pages()
        return sum(1 for _ in self.records())

    def check_pages(self) -> None:
        """Hold the pages and indices of an SQLite file against each other: a damaged index would hide records, which
        were trained again.

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
            chosen = schema.records.c.key.in_(wanted[i : i + 500])
            query = sa.select(schema.records.c.key, schema.records.c.status).where(chosen)
            out |= {row["key"]: row["status"] for row in self._rows(query)}
        return out

    # Claims: which driver trains which key, where several work on the same store

    def claim(self, key: str, owner: str, seconds: float) -> bool:
        """Claim a key for a time; return False where another owner holds it or its record is final."""
        now = self._clock()
        insert = self._insert(schema.claims).values(key=key, owner=owner, until=now + seconds)
        statement = insert.on_conflict_do_update(
            index_elements=[schema.claims.c.key],
            set_={"owner": insert.excluded.owner, "until": insert.excluded.until},
            where=(schema.claims.c.until < now) | (schema.claims.c.owner == owner),
        ).returning(schema.claims.c.key)
        final = sa.select(schema.records.c.key).where(schema.records.c.key == key, schema.records.c.status != "failed")

        def write() -> bool:
            with self._writer.begin() as connection:
                if connection.execute(statement).first() is None:
                    return False
                if connection.execute(final).first() is None:
                    return True
                connection.execute(sa.delete(schema.claims).where(schema.claims.c.key == key))
                return False

        return self._told(write)

    def renew_claims(self, owner: str, seconds: float) -> None:
        """Let all claims of an owner last for a time from now."""
        self._change(
            sa.update(schema.claims).where(schema.claims.c.owner == owner).values(until=self._clock() + seconds)
        )

    def release_claims(self, owner: str, key: str | None = None) -> None:
        """Give up an owner's claim of a key, or all of the owner's claims."""
        statement = sa.delete(schema.claims).where(schema.claims.c.owner == owner)
        self._change(statement if key is None else statement.where(schema.claims.c.key == key))

    def claim_owners(self, *, expired: bool = False) -> dict[str, str]:
        """Return who holds each key that is claimed at present, or was claimed last where `expired` ones count too."""
        query = sa.select(schema.claims.c.key, schema.claims.c.owner)
        rows = self._rows(query if expired else query.where(schema.claims.c.until >= self._clock()))
        return {row["key"]: row["owner"] for row in rows}

    def _clock(self) -> sa.ColumnElement[float]:
        """The time that claims are held against: the server's, since drivers may run on machines whose clocks
        differ.
        """
        if self.url.get_backend_name() == "postgresql":
            return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)
        return sa.literal(time.time())

    # Plans

    def put_plan(self, plan: Plan) -> None:
        """Write a plan and its members; the same plan asked for again becomes the latest of its study."""
        row = {
            "plan": plan.plan,
            "study": plan.study,
            "planned_at": plan.planned_at or _now(),
            "options": json.dumps(plan.description.values()),
        }
        insert = self._insert(schema.plans).values(row)
        replaced = insert.on_conflict_do_update(
            index_elements=[schema.plans.c.plan],
            set_={"planned_at": insert.excluded.planned_at, "options": insert.excluded.options},
        )
        members = [{"plan": plan.plan, **vars(m)} for m in plan.members]

        def write() -> None:
            with self._writer.begin() as connection:
                connection.execute(replaced)
                connection.execute(sa.delete(schema.members).where(schema.members.c.plan == plan.plan))
                if members:
                    connection.execute(sa.insert(schema.members), members)

        self._told(write)

    def plans(self, study: str | None = None) -> list[Plan]:
        """Return the plans of a study (of all studies without a name), the latest first."""
        query = sa.select(schema.plans).order_by(schema.plans.c.planned_at.desc(), schema.plans.c.plan)
        found = self._rows(query if study is None else query.where(schema.plans.c.study == study))
        return [self._plan(row) for row in found]

    def _plan(self, row: dict[str, Any]) -> Plan:
        order = schema.members.c.position, schema.members.c.seed, schema.members.c.stream
        query = sa.select(schema.members).where(schema.members.c.plan == row["plan"]).order_by(*order)
        members = tuple(Member(**{k: v for k, v in m.items() if k != "plan"}) for m in self._rows(query))
        return Plan(
            plan=row["plan"],
            study=row["study"],
            description=Description.from_values(json.loads(row["options"])),
            members=members,
            planned_at=row["planned_at"],
        )

    # Measurements

    def put_measurement(self, key: str, kind: str, values: dict[str, Any]) -> None:
        """Write what was measured of a network; a later measurement under the same key replaces it."""
        row = {"key": key, "kind": kind, "values": json.dumps(values), "measured_at": _now()}
        insert = self._insert(schema.measurements).values(row)
        changes = {name: insert.excluded[name] for name in row if name != "key"}
        statement = insert.on_conflict_do_update(index_elements=[schema.measurements.c.key], set_=changes)

        def write() -> None:
            with self._writer.begin() as connection:
                connection.execute(statement)

        self._told(write)

    def measurement(self, key: str) -> dict[str, Any] | None:
        """Return what was measured under a key, or None."""
        rows = self._rows(sa.select(schema.measurements.c["values"]).where(schema.measurements.c.key == key))
        return json.loads(rows[0]["values"]) if rows else None

    def measurements(self, kind: str) -> list[dict[str, Any]]:
        """Return all that was measured of one kind, the latest first."""
        of_kind = sa.select(schema.measurements.c["values"]).where(schema.measurements.c.kind == kind)
        query = of_kind.order_by(schema.measurements.c.measured_at.desc())
        return [json.loads(row["values"]) for row in self._rows(query)]

    def all_measurements(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return key, kind and values of everything that was measured."""
        table = schema.measurements.c
        query = sa.select(table.key, table.kind, table["values"]).order_by(table.key)
        return [(row["key"], row["kind"], json.loads(row["values"])) for row in self._rows(query)]

    # Tables of packages above this one

    def create_tables(self, metadata: sa.MetaData) -> None:
        """Make another package's tables where they are missing; their names begin with `xception_` too."""
        self.write(lambda connection: schema.create_all(connection, metadata))

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

    def _put_statement(self) -> sa.Executable:
        """What writes a record unless a final one stands: made once, since making it takes longer than running it."""
        insert = self._insert(schema.records)
        return insert.on_conflict_do_update(
            index_elements=[schema.records.c.key],
            set_={
                column.name: insert.excluded[column.name] for column in schema.records.columns if column.name != "key"
            },
            where=schema.records.c.status == "failed",
        ).returning(schema.records.c.key)  # a row count is not told of such a statement on PostgreSQL

    def _create(self) -> None:
        with self._writer.begin() as connection:
            newer = schema.bring_forward(connection)
            if newer is not None:
                raise StoreError(
                    f"--store: {self.name} has schema version {newer}; this program reads versions 1 to {SCHEMA}"
                )

    def _told(self, action: Callable[[], T]) -> T:
        """Run an action; a database error becomes a StoreError in one line that shows no password.

        All actions may be run again: what a lost connection may or may not have written is written once more, to the
        same end.
        """
        deadline, delay = None, 0.05
        while True:
            try:
                return action()
            except (DBAPIError, sqlite3.Error) as error:  # the latter while a connection is made
                now = time.monotonic()
                if self._is_open and will_pass(error) and (deadline is None or now < deadline):
                    if deadline is None:
                        deadline = now + self._patience_seconds
                        _log.warning(
                            "%s does not answer; trying again for up to %g s", self.name, self._patience_seconds
                        )
                    time.sleep(delay)
                    delay = min(2 * delay, 2.0)
                    continue
                reason = self._reason(error)
                name = getattr(getattr(error, "orig", error), "sqlite_errorname", "")
                if _NOT_WRITTEN.match(name):
                    reason = f"{reason} ({name})"
                elif any(words in reason for words in _DAMAGE):
                    raise StoreError(f"--store: {self.name} is damaged: {reason}; {_REBUILD}") from None
                what = (
                    "cannot be used"
                    if isinstance(error, OperationalError | sqlite3.OperationalError)
                    else "is not a store of records"
                )
                raise StoreError(f"--store: {self.name} {what}: {reason}") from None

    def _reason(self, error: Exception) -> str:
        text = " ".join(str(getattr(error, "orig", error)).split())
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _row(record: Record) -> dict[str, Any]:
    """A record as its table holds it."""
    row = record.values()
    row |= {name: json.dumps(row[name]) for name in _JSON_COLUMNS}
    row["created_at"] = row["created_at"] or _now()
    row["digest"] = schema.digest_of(row)
    return row
