"""What a search suggested and what came of it, in tables of the store: all that is needed to continue it.

Records say what trainings gave; the ledger says which of them a search asked for, in which order. Nothing is pickled:
what a sampler keeps between trials is kept as JSON.
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

__all__ = ["FINAL", "Ledger", "Row", "State"]

# `asked`: suggested, and not finished yet. The others are final:
# `complete`: evaluated. `pruned`: stopped by the pruner. `failed`: a training failed. Not trained: `infeasible` (beyond
# a limit), `dominated` (whatever accuracy it may reach), `filtered` (by a proxy), `duplicate` (the network of an
# earlier suggestion).
State = Literal["asked", "complete", "pruned", "failed", "infeasible", "dominated", "filtered", "duplicate"]
FINAL = tuple(state for state in get_args(State) if state != "asked")

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
    """One suggestion and what came of it.

    `model` is the network's canonical JSON, `keys` the trials that were needed, `values` the objectives (None for what
    is not known), `costs` everything known of its cost, `excess` by how much each limit is exceeded (as a fraction,
    negative within), `steps` what the pruner saw. The attributes are what a sampler keeps with the trial, and with the
    whole search, as of this suggestion.
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
    told: tuple[float, ...] = ()  # what the sampler was told where that is not `values`
    given: bool = False  # not the sampler's: chosen by a proxy, or drawn because the sampler found nothing new
    twin: int | None = None  # the earlier suggestion that a duplicate repeats
    trial_attributes: dict[str, Any] = field(default_factory=dict)
    search_attributes: dict[str, Any] = field(default_factory=dict)
    sampler_seconds: float | None = None
    reason: str | None = None

    @property
    def is_counted(self) -> bool:
        """Whether the suggestion is one of the trials that were asked for: it was evaluated, as far as it went."""
        return self.state in ("complete", "pruned", "failed")

    @property
    def is_turned_away(self) -> bool:
        """Whether the suggestion was neither evaluated nor is about to be."""
        return self.state != "asked" and not self.is_counted


class Ledger:
    """The suggestions of one search in a store.

    Raises:
        StoreError: the store cannot be used.
        ValueError: it has this search from another definition of its space.
    """

    def __init__(self, store: Store, definition: Definition, digest: str) -> None:
        self._store = store
        self.search = definition.key
        store.create_tables(_metadata)
        known = store.rows(sa.select(_searches).where(_searches.c.search == self.search))
        if known and known[0]["digest"] != digest:
            raise ValueError(
                f"--space: {definition.space} was defined otherwise when this search was begun in {store.name}; its"
                " records stay usable: give another --seed for a new search beside it, or another --store"
            )
        if not known:
            row = {
                "search": self.search,
                "space": definition.space,
                "digest": digest,
                "definition": canonical_json(definition),
            }
            store.write(lambda connection: connection.execute(sa.insert(_searches).values(**row, begun_at=_now())))

    def rows(self) -> list[Row]:
        """Return all suggestions by number.

        Raises:
            StoreError: a number is missing.
        """
        query = sa.select(_trials).where(_trials.c.search == self.search).order_by(_trials.c.number)
        rows = [_row(found) for found in self._store.rows(query)]
        for number, row in enumerate(rows):
            if row.number != number:
                raise StoreError(
                    f"--store: {self._store.name} lacks suggestion {number} of a search; give another --seed to begin"
                    " anew"
                )
        return rows

    def add(self, *rows: Row) -> None:
        """Write new suggestions, all or none."""
        now = _now()
        values = [
            {"search": self.search, "number": row.number, **_content(row), "asked_at": now, "told_at": now}
            for row in rows
        ]
        for value in values:
            value["told_at"] = None if value["state"] == "asked" else now

        def write(connection: sa.Connection) -> None:
            for row in rows:
                connection.execute(
                    sa.delete(_trials).where(_trials.c.search == self.search, _trials.c.number == row.number)
                )
            connection.execute(sa.insert(_trials), values)

        self._store.write(write)

    def finish(self, row: Row) -> None:
        """Write what came of a suggestion."""
        place = (_trials.c.search == self.search) & (_trials.c.number == row.number)
        statement = sa.update(_trials).where(place).values(**_content(row), told_at=_now())
        self._store.write(lambda connection: connection.execute(statement))


def _content(row: Row) -> dict[str, Any]:
    known = {name: value for name, value in vars(row).items() if name not in ("number", "state")}
    content = {
        name: value
        for name, value in known.items()
        if value is not None and value is not False and value not in ({}, ())
    }
    return {"state": row.state, "content": json.dumps(content)}


def _row(found: dict[str, Any]) -> Row:
    content = json.loads(found["content"])
    row = Row(number=found["number"], state=found["state"], **content)
    steps = tuple((int(step), float(value)) for step, value in row.steps)
    return replace(row, keys=tuple(row.keys), values=tuple(row.values), told=tuple(row.told), steps=steps)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
