"""An open database: its URL, transactions that are retried when the server goes away, one-line errors without
passwords.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from ablations.records import schema
from ablations.records.databases import connect, is_read_only, parse_url, will_pass
from ablations.records.passwords import passwords_in, without_password
from ablations.records.schema import SCHEMA

__all__ = ["REBUILD", "OpenDatabase", "StoreError", "now"]

T = TypeVar("T")
_log = logging.getLogger(__name__)

# SQLite's messages about a damaged file.
_DAMAGE = ("malformed", "disk I/O error", "Could not decode to UTF-8")
# Disk I/O errors that leave the file intact: a limit, no space, no permission to write.
_NOT_WRITTEN = re.compile("SQLITE_IOERR_(WRITE|FSYNC|DIR_FSYNC|TRUNCATE|SHM|LOCK|DELETE)")
REBUILD = "move it aside and make it again with: python -m ablations rebuild --trials OUT/trials --store URL"

_REMOVED = (
    "what was finished is in the folders of its trials: python -m ablations rebuild --trials OUT/trials --store URL"
)


class StoreError(ValueError):
    """The store cannot be used: the message names it and the problem, without any password."""


class OpenDatabase:
    """One database of ours; its tables are made on first use.

    If the server goes away, operations wait for it, `patience_seconds` at most.

    Raises:
        StoreError: the URL is not understood, or the database cannot be opened or is not a store.
    """

    def __init__(self, url: str, patience_seconds: float = 300.0) -> None:
        try:
            self.url = parse_url(url)
        except (SQLAlchemyError, ValueError):  # ValueError: the port is not a number
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
        self._is_read_only = is_read_only(self.url)
        self.insert = sqlite.insert if backend == "sqlite" else postgresql.insert
        try:
            self._engine = connect(self.url, patience_seconds)
        except ModuleNotFoundError as error:
            raise StoreError(
                f"--store: {self.name} needs the package {error.name}; install the extra `postgres`"
            ) from None
        except OSError as error:
            what = f"the folder of {self.url.database} cannot be made: {error.strerror}"
            raise StoreError(f"--store: {what}; allowed: a path that can be written") from None
        self.writer = self._engine.execution_options(xception_writes=True)
        try:
            self.run(self._create)
        except StoreError:
            self._engine.dispose()
            raise
        self._is_open = True
        self._file = self._identity()

    def close(self) -> None:
        """Close the database's connections."""
        self._engine.dispose()

    def create_tables(self, metadata: sa.MetaData) -> None:
        """Create another package's tables if they are missing; their names begin with `xception_` too."""
        self.write(lambda connection: schema.create_all(connection, metadata))

    def write(self, action: Callable[[sa.Connection], T]) -> T:
        """Run an action in one transaction; it is retried if the connection is lost."""

        def transaction() -> T:
            self._require_same_file()
            with self.writer.begin() as connection:
                return action(connection)

        return self.run(transaction)

    def change(self, statement: sa.Insert | sa.Update | sa.Delete) -> None:
        """Run one statement in a transaction of its own."""
        self.write(lambda connection: connection.execute(statement))

    def rows(self, query: sa.Select[Any] | sa.TextClause) -> Sequence[dict[str, Any]]:
        """Return the rows of a query."""

        def read() -> list[dict[str, Any]]:
            with self._engine.connect() as connection:
                return [dict(row) for row in connection.execute(query).mappings()]

        return self.run(read)

    def _identity(self) -> tuple[int, int] | None:
        """The identity of an SQLite file, which distinguishes it from another of the same name; None for a server or a
        missing file.
        """
        if self.url.get_backend_name() != "sqlite" or self.url.database in (None, "", ":memory:"):
            return None
        try:
            status = os.stat(str(self.url.database))
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _require_same_file(self) -> None:
        """Check that the file is still the one that was opened: SQLite would continue to write into a removed file."""
        if self._identity() != self._file:
            raise StoreError(f"--store: {self.name} was removed or replaced while it was in use; {_REMOVED}")

    def _create(self) -> None:
        if self._is_read_only:
            with self._engine.connect() as connection:
                version = connection.execute(sa.select(schema.schema_versions.c.version)).scalar()
            if version != SCHEMA:
                raise StoreError(
                    f"--store: {self.name} has schema version {version} and cannot be written; this program reads"
                    f" version {SCHEMA}, and brings versions from 1 forward where it may write"
                )
            return
        with self.writer.begin() as connection:
            newer = schema.bring_forward(connection)
            if newer is not None:
                raise StoreError(
                    f"--store: {self.name} has schema version {newer}; this program reads versions 1 to {SCHEMA}"
                )

    def run(self, action: Callable[[], T]) -> T:
        """Run an action; a database error becomes a one-line StoreError without passwords.

        All actions can be repeated: after a lost connection they are repeated, with the same result.
        """
        deadline, delay = None, 0.05
        while True:
            try:
                return action()
            except (DBAPIError, sqlite3.Error) as error:  # the latter while connecting
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
                    raise StoreError(f"--store: {self.name} is damaged: {reason}; {REBUILD}") from None
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


def now() -> str:
    """Return the time in the form that tables store."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
