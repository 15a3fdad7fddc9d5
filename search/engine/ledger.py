"""The suggestions of a search and their results, in tables of the store: all that is needed to continue it.

Records hold the results of trainings; the ledger holds which of them a search requested, in which order. Nothing is
pickled: a sampler's state between trials is stored as JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa

from ablations.records.store import Store, StoreError
from search.design.definition import Definition
from search.design.space import Values
from xception.base.canonical import canonical_json

__all__ = ["FINAL", "Ledger", "Origin", "Row", "State"]

# `asked`: suggested, and not finished yet. The others are final: `complete`: evaluated. `pruned`: stopped by the
# pruner, which may continue it later. `failed`: a training failed. Not trained: `infeasible` (beyond a limit that is
# measured), `dominated` (at any accuracy), `filtered` (by a proxy or the predictor).
State = Literal["asked", "complete", "pruned", "failed", "infeasible", "dominated", "filtered"]
FINAL = tuple(state for state in get_args(State) if state != "asked")

# Where values come from: `proxy` and `prior` choose the first, `drawn` are random ones in place of the sampler's.
Origin = Literal["sampler", "proxy", "prior", "drawn"]

_metadata = sa.MetaData()
_searches = sa.Table(
    "xception_searches",
    _metadata,
    sa.Column("search", sa.String(64), primary_key=True),
    sa.Column("space", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),  # of the space's definition
    sa.Column("definition", sa.Text, nullable=False),
    sa.Column("begun_at", sa.String(40), nullable=False),
)
_trials = sa.Table(
    "xception_search_trials",
    _metadata,
    sa.Column("search", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("asked_at", sa.String(40), nullable=False),
    sa.Column("told_at", sa.String(40)),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One suggestion and its result.

    `model` is the network's canonical JSON, `keys` the trials that were needed, `values` the objectives (None if
    unknown), `costs` its known costs, `excess` the excess over each limit (a fraction, negative within), `steps` the
    pruner's inputs. The attributes are the sampler's state for the trial, and for the whole search, as of this
    suggestion.
    """

    number: int
    state: State
    params: Values
    model: str
    keys: tuple[str, ...] = ()
    values: tuple[float | None, ...] = ()
    costs: dict[str, float] = field(default_factory=dict)
    excess: dict[str, float] = field(default_factory=dict)
    proxies: dict[str, float] = field(default_factory=dict)
    steps: tuple[tuple[int, float], ...] = ()
    told: tuple[float, ...] = ()  # the values given to the sampler if they differ from `values`
    origin: Origin = "sampler"
    changes: int = 0  # dimensions that differ from the sampler's suggestion, which was a duplicate or beyond a limit
    trainings: float = 0.0  # spent, in whole ones
    trial_attributes: dict[str, Any] = field(default_factory=dict)
    search_attributes: dict[str, Any] = field(default_factory=dict)
    sampler_seconds: float | None = None
    reason: str | None = None

    @property
    def is_counted(self) -> bool:
        """Whether the suggestion counts as one of the requested trials: it was evaluated, at least in part."""
        return self.state in ("complete", "pruned", "failed")

    @property
    def is_turned_away(self) -> bool:
        """Whether the suggestion was not evaluated and will not be."""
        return self.state != "asked" and not self.is_counted


class Ledger:
    """The suggestions of one search in a store.

    Raises:
        StoreError: the store cannot be used.
        ValueError: it has this search with another definition of its space.
    """

    def __init__(self, store: Store, definition: Definition, digest: str) -> None:
        self._store = store
        self.search = definition.key
        store.create_tables(_metadata)
        known = store.rows(sa.select(_searches).where(_searches.c.search == self.search))
        if known and known[0]["digest"] != digest:
            raise ValueError(
                f"--space: {definition.space} had another definition when this search was started in {store.name}; its"
                " records stay usable: give another --seed for a new search there, or another --store"
            )
        if not known:
            row = {
                "search": self.search,
                "space": definition.space,
                "digest": digest,
                "definition": canonical_json(definition),
            }
            store.write(lambda connection: connection.execute(sa.insert(_searches).values(**row, begun_at=_now())))

    def rows(self, since: int = 0) -> list[Row]:
        """Return the suggestions from a number on, in order.

        Raises:
            StoreError: a number is missing.
        """
        query = sa.select(_trials).where(_trials.c.search == self.search, _trials.c.number >= since)
        rows = [_row(found) for found in self._store.rows(query.order_by(_trials.c.number))]
        for number, row in enumerate(rows, since):
            if row.number != number:
                raise StoreError(
                    f"--store: {self._store.name} lacks suggestion {number} of a search; give another --seed to begin"
                    " anew"
                )
        return rows

    def times(self) -> dict[int, tuple[datetime, datetime | None]]:
        """Return the times of each suggestion and of its result, by number."""
        columns = sa.select(_trials.c.number, _trials.c.asked_at, _trials.c.told_at)
        found = self._store.rows(columns.where(_trials.c.search == self.search))
        return {
            row["number"]: (
                datetime.fromisoformat(row["asked_at"]),
                None if row["told_at"] is None else datetime.fromisoformat(row["told_at"]),
            )
            for row in found
        }

    def add(self, row: Row) -> bool:
        """Write a new suggestion; return False where another driver has taken its number."""
        now = _now()
        values = {"search": self.search, "number": row.number, **_content(row), "asked_at": now}
        values["told_at"] = None if row.state == "asked" else now
        place = (_trials.c.search == self.search) & (_trials.c.number == row.number)

        def write(connection: sa.Connection) -> bool:
            try:
                with connection.begin_nested():
                    connection.execute(sa.insert(_trials), values)
            except sa.exc.IntegrityError:
                there = connection.execute(sa.select(_trials.c.content).where(place)).scalar_one()
                return bool(there == values["content"])  # then it is ours, and the reply to the write was lost
            return True

        return self._store.write(write)

    def finish(self, row: Row) -> None:
        """Write the result of a suggestion, or that it continues."""
        place = (_trials.c.search == self.search) & (_trials.c.number == row.number)
        told = None if row.state == "asked" else _now()
        statement = sa.update(_trials).where(place).values(**_content(row), told_at=told)
        self._store.write(lambda connection: connection.execute(statement))


def _content(row: Row) -> dict[str, Any]:
    known = {name: value for name, value in vars(row).items() if name not in ("number", "state")}
    content = {
        name: value
        for name, value in known.items()
        if value is not None and value not in ({}, (), 0) and (name, value) != ("origin", "sampler")
    }
    return {"state": row.state, "content": json.dumps(content)}


def _row(found: dict[str, Any]) -> Row:
    content = json.loads(found["content"])
    row = Row(number=found["number"], state=found["state"], **content)
    steps = tuple((int(step), float(value)) for step, value in row.steps)
    return replace(row, keys=tuple(row.keys), values=tuple(row.values), told=tuple(row.told), steps=steps)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
