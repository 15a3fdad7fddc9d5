"""Measurements of networks, by key and kind."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from ablations.records import schema
from ablations.records.open_database import OpenDatabase, now

__all__ = ["MeasurementTable"]


class MeasurementTable(OpenDatabase):
    """The table of measurements."""

    def put_measurement(self, key: str, kind: str, values: dict[str, Any]) -> None:
        """Write a measurement of a network; a later measurement under the same key replaces it."""
        row = {"key": key, "kind": kind, "values": json.dumps(values), "measured_at": now()}
        insert = self.insert(schema.measurements).values(row)
        changes = {name: insert.excluded[name] for name in row if name != "key"}
        self.change(insert.on_conflict_do_update(index_elements=[schema.measurements.c.key], set_=changes))

    def measurement(self, key: str) -> dict[str, Any] | None:
        """Return the measurement of a key, or None."""
        rows = self.rows(sa.select(schema.measurements.c["values"]).where(schema.measurements.c.key == key))
        return json.loads(rows[0]["values"]) if rows else None

    def measurements(self, kind: str) -> list[dict[str, Any]]:
        """Return all measurements of one kind, the latest first."""
        of_kind = sa.select(schema.measurements.c["values"]).where(schema.measurements.c.kind == kind)
        query = of_kind.order_by(schema.measurements.c.measured_at.desc())
        return [json.loads(row["values"]) for row in self.rows(query)]

    def all_measurements(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return key, kind and values of all measurements."""
        table = schema.measurements.c
        query = sa.select(table.key, table.kind, table["values"]).order_by(table.key)
        return [(row["key"], row["kind"], json.loads(row["values"])) for row in self.rows(query)]
