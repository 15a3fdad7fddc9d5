"""The search itself: ask, run the same trial that an ablation would, tell. One process asks for suggestions, reports
results and writes.

A suggestion becomes a new network within the limits that are counted (`search.engine.repair`). It is then checked by
everything known without training: measured costs, dominance, a proxy, the predictor. Only the remaining candidates are
trained. Every step is written before the next, so that a search that was killed continues where it was; with one worker
the following suggestions are the same as without the interruption. Several drivers may share a search: each reads the
suggestions of the others before it makes one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

from ablations.design.trial import Trial
from ablations.execution.claims import Claims
from ablations.execution.events import Event, Finished, Notice
from ablations.execution.execute import STOOD_STILL, events_of
from ablations.execution.executor import Executor
from ablations.execution.task import Task
from ablations.records.record import Record
from ablations.records.store import Store, StoreError
from search.engine.ledger import Ledger, Row, State
from search.engine.repair import Repair
from search.engine.rungs import next_promotion, trainings
from search.engine.running import Running, Stage, accuracy_of, stages
from search.engine.search_plan import SearchPlan
from search.engine.suggestions import Scores, Suggestions, Watcher
from xception.base.formatting import count

__all__ = ["Search"]

_LOOK_SECONDS = 1.0


class Search(Suggestions):
    """A search in the state of its ledger; `run` continues it.

    `watch` is called with every row written.
    """

    def __init__(
        self,
        plan: SearchPlan,
        store: Store,
        *,
        device: str,
        threads: int,
        workers: int = 1,
        scores: Scores | None = None,
        say: Callable[[str], None] = lambda line: None,
        watch: Watcher = lambda row: None,
        ledger: Ledger | None = None,
        repair: Repair | None = None,
    ) -> None:
        super().__init__(plan, store, device=device, scores=scores, say=say, watch=watch, ledger=ledger, repair=repair)
        self._threads, self._workers = threads, workers
        self._running: dict[int, Running] = {}
        self._by_key: dict[str, int] = {}
        self._ready: deque[tuple[Trial, int | None]] = deque()
        self._elsewhere: deque[tuple[Trial, int | None]] = deque()
        self._given_out: dict[str, tuple[Trial, int | None]] = {}
        self.num_trained = 0
        self.train_seconds = 0.0

    @property
    def trainings(self) -> float:
        """The cost of the search so far, in whole trainings."""
        return sum(row.trainings for row in self.rows)

    def run(self, executor: Executor, num_trials: int, alone: Claims | None = None) -> None:
        """Continue until that many candidates are evaluated, or the space is exhausted.

        `alone` is the claim of a search that may have one driver only.

        Raises:
            StoreError: another driver took it over while this process was stopped.
        """
        self._num_trials = num_trials
        with Claims(self._store) as claims:
            for row in self.rows:
                if row.state == "asked":
                    self._begin(row)
            while True:
                with closing(events_of(executor, _Feed(self, claims, alone))) as events:
                    for event in events:
                        self._take(event, claims)
                        if _has_lost(claims, alone):  # closing the events stops running trials, which resume later
                            break
                if alone is not None and alone.has_lost_some:
                    raise StoreError(
                        f"--store: another run on {self._store.name} took over this search while this process"
                        " was suspended; once that run has ended, this command continues the search"
                    )
                if claims.has_lost_some:
                    self._say(STOOD_STILL)
                    claims.forget_lost()
                    self._ready.extendleft(reversed(self._given_out.values()))
                    self._given_out.clear()
                    continue
                if not self._elsewhere:
                    return
                claims.wait(_LOOK_SECONDS)
                self._ready.extend(self._elsewhere)
                self._elsewhere.clear()

    def next_task(self, claims: Claims) -> Task | None:
        """Return the next task, or None if there is none now."""
        while True:
            while self._ready:
                trial, keep_at = self._ready.popleft()
                if trial.key not in self._by_key:
                    continue
                task = Task(
                    trial=trial,
                    source=self.plan.source,
                    device=self._device,
                    threads=self._threads,
                    trials=self.plan.out / "trials",
                    keep_state_at=keep_at,
                )
                if any(claims.claimed([task])):
                    self._given_out[trial.key] = (trial, keep_at)
                    return task
                if not self._look_up(trial):
                    self._elsewhere.append((trial, keep_at))
            self._take_in_others()
            if self._ready or self._promote():
                continue
            if not self._may_ask():
                return None
            # Measurements need an idle machine: then a round of suggestions is made at once.
            for _ in range(self._workers if self.plan.definition.measured else 1):
                if self._may_ask(in_round=True):
                    self._ask()

    def _may_ask(self, in_round: bool = False) -> bool:
        if self._counted + len(self._running) >= self._num_trials or self._has_ended:
            return False
        return in_round or not self._running or not self.plan.definition.measured

    # Training

    def _is_running(self, number: int) -> bool:
        return number in self._running

    def _begin(self, row: Row) -> None:
        candidate = Running(row, stages(self.plan, row))
        self._running[row.number] = candidate
        self._advance(candidate)

    def _promote(self) -> bool:
        """Promote a candidate that successive halving stopped to its next rung; return whether there was one."""
        if self.plan.definition.pruner != "asha":
            return False
        is_last = self._has_ended or self._counted + len(self._running) >= self._num_trials
        chosen = next_promotion(self.rows, self.plan.definition, is_last=is_last)
        if chosen is None:
            return False
        row = replace(chosen, state="asked", told=())
        self.ledger.finish(row)
        self.rows[row.number] = row
        self._counted -= 1
        self._begin(row)
        return True

    def _advance(self, candidate: Running) -> None:
        """Advance through the stages whose records exist; queue the missing trainings."""
        while not candidate.waits:
            if candidate.stage is not None and self._ends(candidate, candidate.stage):
                return
            stage = candidate.stage = candidate.stages.popleft()
            trials = {trial.key: trial for trial in stage.trials}
            new = tuple(key for key in trials if key not in candidate.row.keys)
            candidate.row = replace(candidate.row, keys=(*candidate.row.keys, *new))
            stored = self._store.get(trials)
            for key, trial in trials.items():
                if key in stored and stored[key].is_final:
                    candidate.records[key] = stored[key]
                else:
                    self._by_key[key] = candidate.row.number
                    self._ready.append((trial, stage.keep_at))

    def _ends(self, candidate: Running, stage: Stage) -> bool:
        """Return whether a candidate ends with the completed stage; if so, its result is reported and written."""
        records = [candidate.records[trial.key] for trial in stage.trials]
        broken = next((r for r in records if r.status == "failed"), None)
        if broken is not None:
            self._finish(candidate, "failed", reason=broken.reason)
            return True
        epochs = self.plan.design.recipe.epochs
        spent = sum(
            trainings(trial, epochs, record.environment.get("continued_from_epoch"))
            for trial, record in zip(stage.trials, records, strict=True)
        )
        value = sum(map(accuracy_of, records)) / len(records)
        candidate.row = replace(candidate.row, trainings=candidate.row.trainings + spent)
        is_last, pruner = not candidate.stages, self.plan.definition.pruner
        if pruner != "none":
            candidate.row = replace(candidate.row, steps=(*candidate.row.steps, (stage.step, value)))
        if pruner == "asha" and not is_last:
            candidate.row = replace(candidate.row, told=self._values(candidate.row, value))
            self._finish(candidate, "pruned")
            return True
        stops = pruner not in ("none", "asha") and self.index.is_pruned(candidate.row.number, stage.step, value)
        if stops and not is_last:
            self._finish(candidate, "pruned")
            return True
        if is_last:
            if pruner == "wilcoxon":
                value = sum(seen for _, seen in candidate.row.steps) / len(candidate.row.steps)
            candidate.row = replace(candidate.row, values=self._values(candidate.row, value))
            self._finish(candidate, "complete")
        return is_last

    def _values(self, row: Row, accuracy: float) -> tuple[float, ...]:
        return tuple(
            accuracy if name == "val_accuracy" else row.costs[name] for name in self.plan.definition.objectives
        )

    def _finish(self, candidate: Running, state: State, reason: str | None = None) -> None:
        row = replace(candidate.row, state=state, reason=reason)
        if self.index.is_told(row.number):  # on a lower rung
            self.rows[row.number] = row
            self.index = self._new_index()  # Optuna accepts a trial's result only once
        else:
            row = replace(row, trial_attributes=self.index.tell(row))
        self.ledger.finish(row)
        self.rows[row.number] = row
        self._extend_front(row)
        del self._running[row.number]
        self._counted += 1
        self._watch(row)
        self._say(self._line(row))

    def _take(self, event: Event, claims: Claims) -> None:
        if isinstance(event, Notice):
            self._say(f"suggestion {self._by_key.get(event.key, '?')}: {event.line}")
        if not isinstance(event, Finished):
            return
        record = event.record
        self._given_out.pop(record.key, None)
        if not self._store.put(record):  # another driver's result is there already
            record = self._store.get([record.key])[record.key]
        claims.release(record.key)
        if record.status == "complete":
            self.num_trained += 1
            self.train_seconds += record.train_seconds or 0.0
        self._receive(record)

    def _receive(self, record: Record) -> None:
        candidate = self._running[self._by_key.pop(record.key)]
        candidate.records[record.key] = record
        self._advance(candidate)

    def _look_up(self, trial: Trial) -> bool:
        """Return whether another driver on the store has trained a task that we could not claim; if so, its record is
        used.
        """
        record = self._store.get([trial.key]).get(trial.key)
        if record is None or not record.is_final:
            return False
        self._receive(record)
        return True

    def _line(self, row: Row) -> str:
        what = {"pruned": "stopped early", "failed": f"failed: {row.reason}"}.get(row.state, "")
        if row.state == "pruned" and row.steps:
            what += f" after {row.steps[-1][0] + (self.plan.definition.pruner == 'wilcoxon')}"
            what += " seeds" if self.plan.definition.pruner == "wilcoxon" else " epochs"
            what += f" at {row.steps[-1][1]:.2%}"
        shown = (
            []
            if row.values[:1] == () or row.state != "complete"
            else [_shown(name, value) for name, value in zip(self.plan.definition.objectives, row.values, strict=True)]
        )
        turned_away = len(self.rows) - self._counted - len(self._running)
        rest = f" ({turned_away} turned away so far)" if turned_away else ""
        return f"[{self._counted}/{self._num_trials}] suggestion {row.number}: {', '.join(shown) or what}{rest}"


class _Feed(Iterator[Task]):
    """The source of an executor's tasks: None means that there are none now, but more may follow."""

    def __init__(self, search: Search, claims: Claims, alone: Claims | None) -> None:
        self._search, self._claims, self._alone = search, claims, alone

    def __next__(self) -> Task:
        task = None if _has_lost(self._claims, self._alone) else self._search.next_task(self._claims)
        if task is None:
            raise StopIteration
        return task


def _has_lost(claims: Claims, alone: Claims | None) -> bool:
    return claims.has_lost_some or (alone is not None and alone.has_lost_some)


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return f"{name} not known"
    if name == "val_accuracy":
        return f"validation accuracy {value:.2%}"
    return f"{name} {count(value) if name in ('macs', 'params') else f'{value:.3g}'}"
