"""Which driver trains which key, where several work on the same store."""

from __future__ import annotations

import time

import sqlalchemy as sa

from ablations.records import schema
from ablations.records.open_database import OpenDatabase

__all__ = ["ClaimTable"]


class ClaimTable(OpenDatabase):
    """The table of claims."""

    def claim(self, key: str, owner: str, seconds: float) -> bool:
        """Claim a key for a time; return False if another owner holds it or its record is final."""
        now = self._clock()
        insert = self.insert(schema.claims).values(key=key, owner=owner, until=now + seconds)
        statement = insert.on_conflict_do_update(
            index_elements=[schema.claims.c.key],
            set_={"owner": insert.excluded.owner, "until": insert.excluded.until},
            where=(schema.claims.c.until < now) | (schema.claims.c.owner == owner),
        ).returning(schema.claims.c.key)
        final = sa.select(schema.records.c.key).where(schema.records.c.key == key, schema.records.c.status != "failed")

        def claim(connection: sa.Connection) -> bool:
            if connection.execute(statement).first() is None:
                return False
            if connection.execute(final).first() is None:
                return True
            connection.execute(sa.delete(schema.claims).where(schema.claims.c.key == key))
            return False

        return self.write(claim)

    def renew_claims(self, owner: str, seconds: float) -> None:
        """Extend all claims of an owner by a time from now."""
        self.change(
            sa.update(schema.claims).where(schema.claims.c.owner == owner).values(until=self._clock() + seconds)
        )

    def release_claims(self, owner: str, key: str | None = None) -> None:
        """Release an owner's claim of a key, or all of its claims."""
        statement = sa.delete(schema.claims).where(schema.claims.c.owner == owner)
        self.change(statement if key is None else statement.where(schema.claims.c.key == key))

    def claim_owners(self, *, expired: bool = False) -> dict[str, str]:
        """Return the owner of each claimed key; with `expired`, of expired claims too."""
        query = sa.select(schema.claims.c.key, schema.claims.c.owner)
        rows = self.rows(query if expired else query.where(schema.claims.c.until >= self._clock()))
        return {row["key"]: row["owner"] for row in rows}

    def _clock(self) -> sa.ColumnElement[float]:
        """The clock of claims: the server's, since drivers may run on machines whose clocks
        differ.
        """
        if self.url.get_backend_name() == "postgresql":
            return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)
        return sa.literal(time.time())
