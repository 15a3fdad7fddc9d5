"""Searches whose trainings are simulated: a record is a function of the trial, and takes no time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from ablations.design.options import Options
from ablations.design.trial import Trial
from ablations.execution.claims import Claims
from ablations.execution.events import Epoch, Event, Finished, Started
from ablations.execution.task import Task
from ablations.records.record import Record
from ablations.records.store import Store
from search.design.definition import SEMANTICS, Definition
from search.engine.optimize import Search
from search.engine.search_plan import BASELINE, SearchPlan, plan_base, plan_search
from search.spaces import get_space
from xception.network.closed_form import Complexity, complexity
from xception.network.config import XceptionConfig
from xception.network.model import Xception
from xception.network.weights import save

ELSEWHERE = "elsewhere:boot:1:2:3:abc"  # the owner of a claim, on another machine


class Killed(Exception):  # noqa: N818 - stands for the end of the process
    """The process has been killed."""


@functools.cache
def counted(model: XceptionConfig, image_size: int) -> Complexity:
    """Parameters and MACs, counted once per network."""
    return complexity(model, image_size)


def accuracy_of(trial: Trial) -> float:
    """A validation accuracy that rises with the network's MACs and falls without shortcuts, with noise by seed."""
    assert isinstance(trial.model, XceptionConfig)
    macs = counted(trial.model, trial.dataset.image_size).macs
    luck = (int(trial.key[:8], 16) % 1000 - 500) / 50_000
    shortfall = 0.1 if trial.model.middle.residual == "none" else 0.0
    return 0.9 - 0.5 / (1 + macs / 8e6) - shortfall - 0.2 / trial.recipe.epochs + luck


def record_of(trial: Trial, accuracy: float, *, test_accuracy: float = 0.5, status: Any = "complete") -> Record:
    """Return the record of a simulated training."""
    assert isinstance(trial.model, XceptionConfig)
    cost = counted(trial.model, trial.dataset.image_size)
    epochs = trial.recipe.epochs
    curve = [
        {"epoch": e + 1, "train_loss": 1.0, "val_loss": 1.0, "val_accuracy": accuracy * (e + 1) / epochs}
        for e in range(epochs)
    ]
    ended = status == "complete"
    return Record(
        key=trial.key,
        trial=trial.to_json(),
        status=status,
        val_accuracy=accuracy if ended else None,
        test_accuracy=test_accuracy if ended else None,
        num_classes=10,
        num_test=100,
        params=cost.params,
        macs=cost.macs,
        curves=curve,
        train_seconds=cost.macs / 1e6 * epochs,
        device="simulated",
        created_at="2026-01-01T00:00:00.000000+00:00",
        reason=None if ended else "simulated",
        environment={} if trial.recipe.continues is None else {"continued_from_epoch": trial.recipe.continues.epoch},
    )


class Simulated:
    """An executor that trains nothing, with one worker; it is killed before its `killed_at`-th result is reported."""

    abilities: ClassVar[frozenset[str]] = frozenset()

    num_workers = 1

    def __init__(
        self,
        accuracy: Callable[[Trial], float] = accuracy_of,
        *,
        killed_at: int | None = None,
        test_accuracy: float = 0.5,
    ) -> None:
        self.trained: list[str] = []
        self.accuracy, self._killed_at, self._test_accuracy = accuracy, killed_at, test_accuracy

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Yield events until there are no tasks."""
        for task in tasks:
            yield Started(task.key)
            self.trained.append(task.key)
            if self._killed_at is not None and len(self.trained) >= self._killed_at:
                raise Killed
            if task.weights_path is not None:
                assert isinstance(task.trial.model, XceptionConfig)
                task.weights_path.parent.mkdir(parents=True, exist_ok=True)
                save(Xception(task.trial.model), task.weights_path)
            yield Finished(record_of(task.trial, self.accuracy(task.trial), test_accuracy=self._test_accuracy))


class SimulatedWorkers(Simulated):
    """Several workers at a time; the one that started last ends first."""

    abilities: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, num_workers: int) -> None:
        super().__init__()
        self.num_workers = num_workers

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Yield events until there are no tasks."""
        upcoming = iter(tasks)
        busy: list[Task] = []
        while True:
            while len(busy) < self.num_workers and (task := next(upcoming, None)) is not None:
                busy.append(task)
                self.trained.append(task.key)
            if not busy:
                return
            task = busy.pop()
            yield Finished(record_of(task.trial, self.accuracy(task.trial)))


class StoodStill(Simulated):
    """Is suspended in its first training for longer than a claim lasts; a driver on another machine takes over.

    It ends the trial while this one trains the next.
    """

    def __init__(self, store: Store, claims: list[Claims]) -> None:
        super().__init__()
        self._store, self._claims = store, claims
        self.stolen: Task | None = None

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Yield events until there are no tasks."""
        for task in tasks:
            self.trained.append(task.key)
            if self.stolen is None:
                self.stolen = task
                held = {key for key, owner in self._store.claim_owners().items() if owner == self._claims[0].owner}
                for key in held:
                    self._store.release_claims(self._claims[0].owner, key)
                    assert self._store.claim(key, ELSEWHERE, 60)
                self._claims[0]._look_for_lost()
                yield Epoch(task.key, {"epoch": 1})
                raise AssertionError("the training went on")
            self._store.put(record_of(self.stolen.trial, 0.77))
            self._store.release_claims(ELSEWHERE)
            yield Finished(record_of(task.trial, accuracy_of(task.trial)))


def make_plan(out: Path, space: str = "middle_flow", *, epochs: int | None = None, **wishes: Any) -> SearchPlan:
    """Return the plan of a search at smoke scale on synthetic images."""
    options = Options(scale="smoke", dataset="synthetic", out=out, epochs=epochs)
    base = plan_base(f"search_{space}", get_space(space).question, options)
    return plan_search(Definition(space=space, design=base.designs[BASELINE], semantics=SEMANTICS, **wishes), base)


def run_search(plan: SearchPlan, num_trials: int, executor: Simulated, *, workers: int = 1, **more: Any) -> Search:
    """Run or continue a search in the store of its folder."""
    plan.out.mkdir(parents=True, exist_ok=True)
    store = Store(f"sqlite:///{plan.out / 'records.db'}")
    try:
        search = Search(plan, store, device="cpu", threads=1, workers=workers, **more)
        search.run(executor, num_trials)
        return search
    finally:
        store.close()
