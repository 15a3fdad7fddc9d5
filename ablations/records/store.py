"""Records in a database: SQLite by default, PostgreSQL by URL; the only truth about what was trained.

Records do not refer to studies: a separate table holds which trials serve which study. All tables begin with
`xception_`, since the database may be Optuna's too.
"""

from __future__ import annotations

import sqlalchemy as sa

from ablations.records.claim_table import ClaimTable
from ablations.records.measurement_table import MeasurementTable
from ablations.records.open_database import REBUILD, StoreError
from ablations.records.plan_table import PlanTable
from ablations.records.record_table import RecordTable
from ablations.records.schema import SCHEMA

__all__ = ["SCHEMA", "Store", "StoreError"]


class Store(RecordTable, PlanTable, ClaimTable, MeasurementTable):
    """The records, plans, claims and measurements under one database URL; tables are made on first use.

    If the server goes away, operations wait for it, `patience_seconds` at most.

    Raises:
        StoreError: the URL is not understood, or the database cannot be opened or is not ours.
    """

    def check(self) -> int:
        """Check the database and every record's digest; return the number of records.

        Raises:
            StoreError: something is damaged; the message says how to rebuild the store.
        """
        self.check_pages()
        return sum(1 for _ in self.records())

    def check_pages(self) -> None:
        """Check the pages and indices of an SQLite file: a damaged index would hide records, which would be trained
        again.

        Raises:
            StoreError: something is damaged; the message says how to rebuild the store.
        """
        if self.url.get_backend_name() == "sqlite":
            found = self.rows(sa.text("PRAGMA integrity_check(1)"))[0]["integrity_check"]
            if found != "ok":
                raise StoreError(f"--store: {self.name} is damaged: {' '.join(found.split())}; {REBUILD}")
