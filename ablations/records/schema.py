"""The tables of a store: their creation, their migration from older versions, and the digest of a record.

All names begin with `xception_`, since the database may be Optuna's too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

__all__ = [
    "SCHEMA",
    "bring_forward",
    "claims",
    "create_all",
    "digest_of",
    "measurements",
    "members",
    "plans",
    "records",
]

SCHEMA = 4
metadata = sa.MetaData()

schema_versions = sa.Table("xception_schema", metadata, sa.Column("version", sa.Integer, primary_key=True))
records = sa.Table(
    "xception_records",
    metadata,
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
    sa.Column("digest", sa.String(64)),  # SHA-256 of the other columns, so that a flipped bit on disk is detected
    sa.Column("predictions", sa.LargeBinary),
    sa.Column("confidence", sa.LargeBinary),
)
plans = sa.Table(
    "xception_plans",
    metadata,
    sa.Column("plan", sa.String(64), primary_key=True),
    sa.Column("study", sa.Text, nullable=False, index=True),
    sa.Column("planned_at", sa.String(40), nullable=False),
    sa.Column("options", sa.Text, nullable=False),
)
members = sa.Table(
    "xception_members",
    metadata,
    sa.Column("plan", sa.String(64), primary_key=True),
    sa.Column("variant", sa.String(255), primary_key=True),
    sa.Column("seed", sa.BigInteger, primary_key=True),
    sa.Column("stream", sa.BigInteger, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("is_baseline", sa.Boolean, nullable=False),
    sa.Column("key", sa.String(64), nullable=False, index=True),
)
measurements = sa.Table(
    "xception_measurements",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("values", sa.Text, nullable=False),
    sa.Column("measured_at", sa.String(40), nullable=False),
)
claims = sa.Table(
    "xception_claims",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("owner", sa.Text, nullable=False, index=True),
    sa.Column("until", sa.Double, nullable=False),  # seconds since 1970, by the database's clock
)


_LATER = frozenset(
    {"predictions", "confidence"}
)  # columns that earlier versions' digests lack: an empty one is in no digest


def digest_of(row: Mapping[str, Any]) -> str:
    """SHA-256 of a row of records, the same for every database."""
    values: list[Any] = []
    for column in records.columns:
        value = row.get(column.name)
        if value is None and column.name in _LATER:
            continue
        if column.name == "digest" or value is None:
            values.append(None)
        elif isinstance(column.type, sa.LargeBinary):
            values.append(bytes(value).hex())
        else:
            values.append(float(value) if isinstance(column.type, sa.Double) else value)
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _add_digests(connection: sa.Connection) -> None:
    """From version 1 to 2: adds a digest to each record."""
    connection.execute(sa.text("ALTER TABLE xception_records ADD COLUMN digest VARCHAR(64)"))
    known = [column for column in records.columns if column.name not in _LATER]
    for row in connection.execute(sa.select(*known)).mappings().all():
        connection.execute(sa.update(records).where(records.c.key == row["key"]).values(digest=digest_of(dict(row))))


def _add_predictions(connection: sa.Connection) -> None:
    """From version 2 to 3: adds the predicted class of each test image; earlier records have none."""
    _add(connection, records.c.predictions)


def _add_confidence(connection: sa.Connection) -> None:
    """From version 3 to 4: adds the histogram of confidence on the test set; earlier records have none."""
    _add(connection, records.c.confidence)


def _add(connection: sa.Connection, column: sa.Column[Any]) -> None:
    kind = column.type.compile(connection.dialect)
    connection.execute(sa.text(f"ALTER TABLE xception_records ADD COLUMN {column.name} {kind}"))


# By the version that they start from; each migrates a store by one version, all in one transaction.
_MIGRATIONS: dict[int, Callable[[sa.Connection], None]] = {
    1: _add_digests,
    2: _add_predictions,
    3: _add_confidence,
}


def create_all(connection: sa.Connection, tables: sa.MetaData = metadata) -> None:
    """Create missing tables; packages above create theirs in the same way."""
    if connection.dialect.name == "postgresql":
        connection.execute(
            sa.text("SELECT pg_advisory_xact_lock(7268914)")
        )  # concurrent creation of a table fails there
    tables.create_all(connection)


def bring_forward(connection: sa.Connection) -> int | None:
    """Create our tables and migrate older ones to this version; a newer version is returned and left unchanged."""
    create_all(connection)
    version = connection.execute(sa.select(schema_versions.c.version)).scalar()
    if version is None:
        connection.execute(sa.insert(schema_versions).values(version=SCHEMA))
    elif version > SCHEMA:
        return int(version)
    elif version < SCHEMA:
        for step in range(version, SCHEMA):
            _MIGRATIONS[step](connection)
        connection.execute(sa.update(schema_versions).values(version=SCHEMA))
    return None
