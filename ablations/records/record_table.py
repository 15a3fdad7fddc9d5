"""Records in a database: a final one stays, a failed one is replaced."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from typing import Any

import sqlalchemy as sa

from ablations.records import schema
from ablations.records.open_database import REBUILD, OpenDatabase, StoreError, now
from ablations.records.record import Record

__all__ = ["RecordTable"]

_CHUNK = 1000
_JSON_COLUMNS = ("curves", "environment")


class RecordTable(OpenDatabase):
    """The table of records."""

    def put(self, record: Record) -> bool:
        """Write one record in one transaction; return False if a final one exists, which stays."""
        return bool(self.put_all([record]))

    def put_all(self, records: Iterable[Record]) -> set[str]:
        """Write records, a thousand per transaction; return the keys of those that were written. A final record is
        never replaced.
        """
        rows = map(_row, records)
        came: set[str] = set()
        while chunk := list(islice(rows, _CHUNK)):

            def put(connection: sa.Connection, chunk: list[dict[str, Any]] = chunk) -> set[str]:
                return {row["key"] for row in chunk if connection.execute(self._put, row).first() is not None}

            came |= self.write(put)
        return came

    def get(self, keys: Iterable[str] | None = None) -> dict[str, Record]:
        """Return the records with the given keys (all records without them) by key."""
        columns = sa.select(schema.records)
        out: dict[str, Record] = {}
        wanted = None if keys is None else list(dict.fromkeys(keys))
        for chunk in [None] if wanted is None else [wanted[i : i + 500] for i in range(0, len(wanted), 500)]:
            query = columns if chunk is None else columns.where(schema.records.c.key.in_(chunk))
            for row in self.rows(query):
                out[row["key"]] = self._record(row)
        return out

    def records(self) -> Iterator[Record]:
        """Yield all records by key, a thousand in memory at a time; those written meanwhile may be included or not."""
        last = ""
        query = sa.select(schema.records).order_by(schema.records.c.key).limit(_CHUNK)
        while rows := self.rows(query.where(schema.records.c.key > last)):
            for row in rows:
                last = row["key"]
                yield self._record(row)

    def _record(self, row: dict[str, Any]) -> Record:
        digest = row.pop("digest")
        if digest is not None and digest != schema.digest_of(row):
            raise StoreError(
                f"--store: {self.name} is damaged: the record {row['key'][:12]} is not as it was written; {REBUILD}"
            )
        return Record(**row | {name: json.loads(row[name]) for name in _JSON_COLUMNS})

    def statuses(self, keys: Iterable[str]) -> dict[str, str]:
        """Return the status of each stored key among the given ones."""
        out: dict[str, str] = {}
        wanted = list(dict.fromkeys(keys))
        for i in range(0, len(wanted), 500):
            chosen = schema.records.c.key.in_(wanted[i : i + 500])
            query = sa.select(schema.records.c.key, schema.records.c.status).where(chosen)
            out |= {row["key"]: row["status"] for row in self.rows(query)}
        return out

    def keys(self, beginning: str) -> list[str]:
        """Return the keys of stored records with a prefix of hexadecimal digits, in order."""
        chosen = schema.records.c.key.startswith(beginning, autoescape=True)
        return [row["key"] for row in self.rows(sa.select(schema.records.c.key).where(chosen).order_by("key"))]

    @cached_property
    def _put(self) -> sa.Executable:
        """The statement that writes a record unless a final one exists; built once, since building it takes longer than
        running it.
        """
        insert = self.insert(schema.records)
        return insert.on_conflict_do_update(
            index_elements=[schema.records.c.key],
            set_={
                column.name: insert.excluded[column.name] for column in schema.records.columns if column.name != "key"
            },
            where=schema.records.c.status == "failed",
        ).returning(schema.records.c.key)  # PostgreSQL reports no row count for such a statement


def _row(record: Record) -> dict[str, Any]:
    """A record as a row of its table."""
    row = record.values()
    row |= {name: json.dumps(row[name]) for name in _JSON_COLUMNS}
    row["created_at"] = row["created_at"] or now()
    row["digest"] = schema.digest_of(row)
    return row
