"""Removing runs from a store, with the records that no other run needs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ablations.records import schema
from ablations.records.record import Record, StoredPlan
from ablations.records.store import Store
from xception.base.suggestions import did_you_mean

__all__ = ["Pruning", "plan_pruning", "prune"]


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """What is removed: plans and keys of records; `shared` records stay, since other runs or searches need them."""

    plans: tuple[StoredPlan, ...]
    keys: tuple[str, ...]
    shared: int


def plan_pruning(store: Store, runs: Sequence[str]) -> Pruning:
    """Return what the removal of some runs removes; an earlier form of the same run is removed with it.

    A record stays if another run has it, or if a search in this store ran it.

    Raises:
        ValueError: the store has no run of a name.
    """
    plans = store.plans()
    names = [plan.run for plan in plans]
    for run in runs:
        if run not in names:
            known = ", ".join(sorted(set(names))) or "none"
            raise ValueError(f"{run!r} is not a run in {store.name}; runs there: {known}{did_you_mean(run, names)}")
    going = tuple(plan for plan in plans if plan.run in runs)
    needed = {member.key for plan in plans if plan.run not in runs for member in plan.members}
    own = {member.key for plan in going for member in plan.members}
    stored = store.get(own)
    needed |= _searched(store)
    sources = {_source(stored[key]) for key in own if key in stored} - {None}
    kept_sources = {_source(record) for key, record in store.get(needed).items()} - {None}
    candidates = own | {source for source in sources - kept_sources if source is not None}
    keys = set(store.statuses(candidates - needed))
    return Pruning(plans=going, keys=tuple(sorted(keys)), shared=len(set(stored) - keys))


def prune(store: Store, pruning: Pruning) -> None:
    """Remove plans, their members and the records that only they need, in one transaction."""

    def remove(connection: sa.Connection) -> None:
        for plan in pruning.plans:
            connection.execute(sa.delete(schema.members).where(schema.members.c.plan == plan.plan))
            connection.execute(sa.delete(schema.plans).where(schema.plans.c.plan == plan.plan))
        for start in range(0, len(pruning.keys), 500):
            chunk = pruning.keys[start : start + 500]
            connection.execute(sa.delete(schema.records).where(schema.records.c.key.in_(chunk)))

    store.write(remove)


def _source(record: Record) -> str | None:
    """The key of the trial whose network a trial starts from."""
    name: str | None = (record.plain_trial()["recipe"].get("transfer") or {}).get("source")
    return name.removeprefix("trial:") if name is not None and name.startswith("trial:") else None


def _searched(store: Store) -> set[str]:
    """The keys of the trials that searches of this store ran."""

    def read(connection: sa.Connection) -> set[str]:
        if not sa.inspect(connection).has_table("xception_search_trials"):
            return set()
        rows = connection.execute(sa.text("SELECT content FROM xception_search_trials")).scalars()
        return {key for content in rows for key in json.loads(content).get("keys", ())}

    return store.write(read)
