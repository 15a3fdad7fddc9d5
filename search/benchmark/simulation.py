"""A real search whose trainings are looked up in a table or a formula: the same code from the suggestion to the last
rung.
"""

from __future__ import annotations

import contextlib
import functools
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablations.design.options import Options
from ablations.design.study_plan import StudyPlan
from ablations.design.trial import Trial
from ablations.execution.events import Event, Finished
from ablations.execution.task import Task
from ablations.records.record import Record
from ablations.records.store import Store
from search.benchmark.tabular import Table
from search.design.definition import Definition
from search.engine.ledger import Ledger, Row
from search.engine.optimize import Search
from search.engine.repair import Repair
from search.engine.rungs import trainings
from search.engine.search_plan import SearchPlan, plan_base, plan_search
from xception.base.canonical import canonical_json

__all__ = ["LookUp", "plan_without_data", "search_in_memory", "simulate"]

# The validation accuracy of a trial as the simulated search sees it, and the seconds that it takes.
LookUp = Callable[[Trial], tuple[float, float]]


class _MemoryStore(Store):
    """A store in memory for one simulated search, used by it alone."""

    def __init__(self) -> None:
        self.name = "memory"
        self._records: dict[str, Record] = {}

    def put(self, record: Record) -> bool:
        self._records[record.key] = record
        return True

    def get(self, keys: Iterable[str] | None = None) -> dict[str, Record]:
        wanted = self._records if keys is None else keys
        return {key: self._records[key] for key in wanted if key in self._records}

    def claim(self, key: str, owner: str, seconds: float) -> bool:
        return True

    def renew_claims(self, owner: str, seconds: float) -> None:
        """Do nothing: there is no other driver."""

    def release_claims(self, owner: str, key: str | None = None) -> None:
        """Do nothing: there is no other driver."""

    def claim_owners(self, *, expired: bool = False) -> dict[str, str]:
        return {}


class _MemoryLedger(Ledger):
    """The ledger of a simulated search."""

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def rows(self, since: int = 0) -> list[Row]:
        return self._rows[since:]

    def add(self, row: Row) -> bool:
        self._rows.append(row)
        return True

    def finish(self, row: Row) -> None:
        self._rows[row.number] = row


class _Spent(Exception):  # noqa: N818 - no error: how a simulated search ends
    """The budget is spent."""


class _Executor:
    """Looks trainings up, one at a time, until a budget of whole trainings is spent."""

    num_workers = 1

    def __init__(self, look_up: LookUp, epochs: int, budget: float, on_result: Callable[..., None]) -> None:
        self._look_up, self._epochs, self._budget, self._on_result = look_up, epochs, budget, on_result
        self._spent = 0.0

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Yield the events of each task."""
        for task in tasks:
            continues = task.trial.recipe.continues
            begun = None if continues is None else continues.epoch
            self._spent += trainings(task.trial, self._epochs, begun)
            if self._spent > self._budget + 1e-9:
                raise _Spent
            accuracy, seconds = self._look_up(task.trial)
            self._on_result(task.trial, accuracy, seconds, self._spent)
            yield Finished(
                Record(
                    key=task.key,
                    trial="",
                    status="complete",
                    val_accuracy=accuracy,
                    train_seconds=seconds,
                    environment={} if begun is None else {"continued_from_epoch": begun},
                )
            )


def simulate(
    table: Table,
    definition: Definition,
    look_up: LookUp,
    *,
    budget: float,
    on_result: Callable[[Trial, float, float, float], None],
) -> list[Row]:
    """Return the suggestions of a search on a table that spends a number of whole trainings, or evaluates every
    network.

    `on_result` is called with each trial, its accuracy, its seconds and the trainings spent so far.
    """
    plan, repair = _plan(table, definition.replace(seed=0))
    return search_in_memory(
        replace(plan, definition=plan.definition.replace(seed=definition.seed)),
        look_up,
        num_trials=len(table.grid) if definition.pruner != "none" else int(budget),
        budget=budget,
        on_result=on_result,
        repair=repair,
    )


def search_in_memory(
    plan: SearchPlan,
    look_up: LookUp,
    *,
    num_trials: int,
    budget: float = math.inf,
    on_result: Callable[[Trial, float, float, float], None] = lambda trial, accuracy, seconds, spent: None,
    repair: Repair | None = None,
) -> list[Row]:
    """Return the suggestions of a search that trains nothing and leaves nothing behind."""
    search = Search(plan, _MemoryStore(), device="cpu", threads=1, ledger=_MemoryLedger(), repair=repair)
    executor: Any = _Executor(look_up, plan.design.recipe.epochs, budget, on_result)
    with contextlib.suppress(_Spent):
        search.run(executor, num_trials)
    return search.rows


_plans: dict[tuple[int, str], tuple[Table, SearchPlan, Repair]] = {}


def _plan(table: Table, definition: Definition) -> tuple[SearchPlan, Repair]:
    """The plan of a search on a table, with a cache of the networks evaluated."""
    key = (id(table), canonical_json(definition))
    if key not in _plans:
        plan = plan_search(definition, plan_without_data())
        _plans[key] = (table, plan, Repair(plan))  # the table is kept, so that no other gets its id
    return _plans[key][1:]


@functools.cache
def plan_without_data() -> StudyPlan:
    """Return the plan of a study on data that is not read, for searches that train nothing."""
    with tempfile.TemporaryDirectory() as folder:
        return plan_base("replayed", "?", Options(scale="smoke", dataset="synthetic", out=Path(folder)))
