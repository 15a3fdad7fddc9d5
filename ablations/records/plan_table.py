"""The study plans in a database: which trials serve which variant of which study."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from ablations.records import schema
from ablations.records.open_database import OpenDatabase, now
from ablations.records.record import Description, Member, StoredPlan

__all__ = ["PlanHead", "PlanTable"]

_LATEST_FIRST = sa.select(schema.plans).order_by(schema.plans.c.planned_at.desc(), schema.plans.c.plan)


@dataclass(frozen=True, kw_only=True)
class PlanHead:
    """What names a stored plan, without its trials: a store may hold thousands of plans."""

    plan: str
    study: str
    run: str


class PlanTable(OpenDatabase):
    """The tables of plans and their members."""

    def put_plan(self, plan: StoredPlan) -> None:
        """Write a plan and its members; a repeated plan becomes the latest of its study."""
        row = {"plan": plan.plan, "study": plan.study, "options": json.dumps(plan.description.values())}
        latest = sa.select(sa.func.max(schema.plans.c.planned_at))
        members = [{"plan": plan.plan, **vars(m)} for m in plan.members]

        def put(connection: sa.Connection) -> None:
            planned_at = plan.planned_at or _after(connection.execute(latest).scalar())
            insert = self.insert(schema.plans).values(**row, planned_at=planned_at)
            replaced = insert.on_conflict_do_update(
                index_elements=[schema.plans.c.plan],
                set_={"planned_at": insert.excluded.planned_at, "options": insert.excluded.options},
            )
            connection.execute(replaced)
            connection.execute(sa.delete(schema.members).where(schema.members.c.plan == plan.plan))
            if members:
                connection.execute(sa.insert(schema.members), members)

        self.write(put)

    def plans(self, study: str | None = None, *, key: str | None = None) -> list[StoredPlan]:
        """Return the plans of a study (of all studies without a name), the latest first; with the key of a trial, those
        that it is in.
        """
        query = _LATEST_FIRST if study is None else _LATEST_FIRST.where(schema.plans.c.study == study)
        if key is not None:
            having = sa.select(schema.members.c.plan).where(schema.members.c.key == key)
            query = query.where(schema.plans.c.plan.in_(having))
        return [self._plan(row) for row in self.rows(query)]

    def plan_heads(self) -> list[PlanHead]:
        """Return what names each plan, the latest first."""
        named = ((row, json.loads(row["options"]).get("run")) for row in self.rows(_LATEST_FIRST))
        return [PlanHead(plan=row["plan"], study=row["study"], run=run or row["study"]) for row, run in named]

    def plan(self, digest: str) -> StoredPlan | None:
        """Return the plan with a digest; None if there is none, or if it was removed."""
        found = self.rows(sa.select(schema.plans).where(schema.plans.c.plan == digest))
        return self._plan(found[0]) if found else None

    def _plan(self, row: dict[str, Any]) -> StoredPlan:
        order = schema.members.c.position, schema.members.c.seed, schema.members.c.stream
        query = sa.select(schema.members).where(schema.members.c.plan == row["plan"]).order_by(*order)
        members = tuple(Member(**{k: v for k, v in m.items() if k != "plan"}) for m in self.rows(query))
        return StoredPlan(
            plan=row["plan"],
            study=row["study"],
            description=Description.from_values(json.loads(row["options"])),
            members=members,
            planned_at=row["planned_at"],
        )


def _after(latest: str | None) -> str:
    """The time now, or right after the latest plan if that one is in the future."""
    if latest is None or latest < now():
        return now()
    return (datetime.fromisoformat(latest) + timedelta(microseconds=1)).isoformat(timespec="microseconds")
