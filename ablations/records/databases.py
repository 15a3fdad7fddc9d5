"""Connections to a database, and which of its errors are temporary."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from xception.base.files import refuse_windows

__all__ = ["connect", "file_of", "is_read_only", "parse_url", "will_pass"]


def parse_url(text: str) -> sa.URL:
    """Return a database URL; everything after `sqlite:///` is a path, whatever characters it has.

    Raises:
        ValueError: it is none, or the path is not valid as a file name.
    """
    path = text.removeprefix("sqlite:///")
    if path == text:
        return sa.make_url(text)
    path.encode()
    if "\0" in path or path.startswith("file:"):
        raise ValueError("not a path")
    return sa.URL.create("sqlite", database=path)


def file_of(url: str) -> Path | None:
    """Return the file that an SQLite URL names; None for a server."""
    path = url.removeprefix("sqlite:///")
    return None if path == url else Path(path)


def is_read_only(url: sa.URL) -> bool:
    """Return whether an SQLite file is there and this process may read it but not write it: another user's, say."""
    if url.get_backend_name() != "sqlite" or not url.database or not Path(url.database).is_file():
        return False
    return not (os.access(url.database, os.W_OK) and os.access(Path(url.database).absolute().parent, os.W_OK | os.X_OK))


def connect(url: sa.URL, patience_seconds: float) -> sa.Engine:
    """Return the engine for an SQLite or PostgreSQL URL; statements with the option `xception_writes` may write.

    Raises:
        OSError: the folder of an SQLite file cannot be made.
        ModuleNotFoundError: the database's driver is not installed.
    """
    refuse_windows()
    if is_read_only(url):
        return _read_only_engine(Path(str(url.database)).absolute())
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, min(patience_seconds, 60.0))
    return sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10})


def will_pass(error: Exception) -> bool:
    """Whether an error is temporary: a PostgreSQL server that restarts or is full, or two conflicting transactions.
    SQLite has none.
    """
    if not isinstance(error, DBAPIError) or error.orig is None or not hasattr(error.orig, "sqlstate"):
        return False
    state = error.orig.sqlstate
    if state is None:  # the connection failed or broke
        return error.connection_invalidated or isinstance(error, OperationalError)
    # Classes 08 and 57P: connection and server; 40: serialisation and deadlock; 53300: no free connection.
    return state[:2] in ("08", "40") or state in ("57P01", "57P02", "57P03", "53300")


def _read_only_engine(path: Path) -> sa.Engine:
    """The engine for an SQLite file that cannot be written, nor its folder."""
    # Without a write-ahead log nothing writes to it; SQLite would create one even to read.
    constant = "" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1"
    return sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(f"{path.as_uri()}?mode=ro{constant}", uri=True, check_same_thread=False),
        poolclass=sa.pool.QueuePool,
    )


def _sqlite_engine(url: sa.URL, lock_seconds: float) -> sa.Engine:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    # We begin transactions ourselves: the driver begins them at the first write, too late to wait for a lock.
    engine = sa.create_engine(url, connect_args={"timeout": lock_seconds, "isolation_level": None})

    @sa.event.listens_for(engine, "connect")
    def settle(connection: Any, _record: Any) -> None:
        deadline = time.monotonic() + lock_seconds
        while True:  # changing the journal mode does not wait for locks
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
        connection.exec_driver_sql(
            "BEGIN IMMEDIATE" if connection.get_execution_options().get("xception_writes") else "BEGIN"
        )

    return engine
