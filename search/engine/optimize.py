"""The search itself: ask, run the same trial that an ablation would, tell. One process asks, tells and writes.

A suggestion is first held against what is known without training: the same network before, limits, measured costs,
dominance, a proxy. Only what is left is trained. Every step is written before the next, so that a search that was
killed goes on where it was; with one worker the suggestions that follow are those that would have followed anyway.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from ablations.design.trial import Trial
from ablations.execution.claims import Claims
from ablations.execution.events import Event, Finished, Notice
from ablations.execution.executor import Executor
from ablations.execution.task import Task
from ablations.records.record import Record, chance_accuracy
from ablations.records.store import Store
from ablations.statistics.pareto import dominates
from search.design.definition import FREE_DRAW, MEASURED, MOST_REJECTIONS
from search.design.space import Values
from search.engine.index import Asked, Index
from search.engine.ledger import Ledger, Row, State
from search.engine.measure import measured_costs
from search.engine.samplers import rungs, trial_seed
from search.engine.search_plan import SearchPlan, warm_start
from xception.base.canonical import canonical_json, from_json
from xception.base.formatting import count
from xception.network.closed_form import complexity
from xception.network.config import XceptionConfig

__all__ = ["Search", "accuracy_of"]

# As `MOST_REJECTIONS`, where each takes measuring.
MOST_MEASURED_REJECTIONS = 100
_LOOK_SECONDS = 1.0
# A filter by a proxy begins once so many candidates were trained, and turns away what is below this quantile of them.
_FILTER_AFTER, _FILTER_QUANTILE = 12, 0.25

Scores = Callable[[XceptionConfig], dict[str, float]]


@dataclass
class _Candidate:
    """A suggestion that is being trained: its trainings in stages, of which the pruner sees each before the next."""

    row: Row
    stages: deque[list[tuple[int, Trial]]]  # (step, trial)
    step: int = 0
    now: tuple[str, ...] = ()  # keys of the stage's trials
    records: dict[str, Record] = field(default_factory=dict)

    @property
    def waits(self) -> bool:
        """Whether some training of this stage has not ended."""
        return any(key not in self.records for key in self.now)


class Search:
    """A search at the state that its ledger has; `run` continues it."""

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
    ) -> None:
        self.plan, self._store, self._device, self._threads, self._workers = plan, store, device, threads, workers
        self._scores, self._say = scores, say
        self._ledger = Ledger(store, plan.definition, plan.space.digest)
        self.rows = self._ledger.rows()
        self.index = Index(plan.definition, plan.space, self.rows)
        self._limits = plan.limits
        self._first = {}
        for row in reversed(self.rows):
            self._first[row.model] = row.number
        self._front: list[tuple[float, ...]] = []
        for row in self.rows:
            self._extend_front(row)
        self._counted = 0
        self._running: dict[int, _Candidate] = {}
        self._by_key: dict[str, int] = {}
        self._ready: deque[Trial] = deque()
        self._elsewhere: deque[Trial] = deque()
        self._rejections = self._measured_rejections = 0
        for row in self.rows:
            self._count(row)
        self._warm: list[Values] | None = None
        self.num_trained = 0
        self.train_seconds = 0.0

    @property
    def states(self) -> Counter[str]:
        """How many suggestions came to what."""
        return Counter(row.state for row in self.rows)

    def run(self, executor: Executor, num_trials: int) -> None:
        """Go on until so many candidates were evaluated, or the space has no more."""
        self._num_trials = num_trials
        with Claims(self._store) as claims:
            for row in self.rows:
                if row.state == "asked":
                    self._begin(row)
            while True:
                for event in executor.run(_Feed(self, claims)):
                    self._take(event, claims)
                if not self._elsewhere:
                    return
                claims.wait(_LOOK_SECONDS)
                self._ready.extend(self._elsewhere)
                self._elsewhere.clear()

    def next_task(self, claims: Claims) -> Task | None:
        """Return what is to be trained next, or None where there is nothing now."""
        while True:
            while self._ready:
                trial = self._ready.popleft()
                task = Task(
                    trial=trial,
                    source=self.plan.source,
                    device=self._device,
                    threads=self._threads,
                    trials=self.plan.out / "trials",
                )
                if any(claims.claimed([task])):
                    return task
                if not self._look_up(trial):
                    self._elsewhere.append(trial)
            if not self._may_ask():
                return None
            # What is measured must be measured while nothing trains: then a round of suggestions is made at once.
            for _ in range(self._workers if self.plan.definition.measured else 1):
                if self._may_ask(in_round=True):
                    given = self._given()
                    self._consider(self.index.ask(given), is_given=given is not None)

    def _may_ask(self, in_round: bool = False) -> bool:
        if self._counted + len(self._running) >= self._num_trials or self._has_ended:
            return False
        return in_round or not self._running or not self.plan.definition.measured

    @property
    def _has_ended(self) -> bool:
        return self._rejections >= MOST_REJECTIONS or self._measured_rejections >= MOST_MEASURED_REJECTIONS

    def _count(self, row: Row) -> None:
        """Take a row into the number of those evaluated, or of those turned away since the last one that was not."""
        self._counted += row.is_counted
        if row.is_turned_away:
            self._rejections += 1
            self._measured_rejections += row.state == "infeasible" and any(name in row.excess for name in MEASURED)
        else:
            self._rejections = self._measured_rejections = 0

    def _given(self) -> Values | None:
        """Values that the sampler is not asked for: those that a proxy chose, or random ones where the sampler repeats
        itself.
        """
        number = len(self.rows)
        if self._rejections >= FREE_DRAW:
            return self.plan.space.draw(random.Random(trial_seed(self.plan.definition.seed, number)))
        proxy, scores = self.plan.definition.warm_start, self._scores
        if proxy is None or scores is None:
            return None
        if self._warm is None:
            self._warm = warm_start(self.plan, lambda network: scores(network)[proxy])
        return self._warm[number] if number < len(self._warm) else None

    # A suggestion, before training

    def _consider(self, asked: Asked, *, is_given: bool) -> None:
        network = self.plan.space.config(self.plan.network, asked.values)
        row = Row(
            number=asked.number,
            state="asked",
            params=asked.values,
            model=canonical_json(network),
            trial_attributes=asked.trial_attributes,
            search_attributes=asked.search_attributes,
            sampler_seconds=asked.sampler_seconds,
            given=is_given,
        )
        twin = self._first.setdefault(row.model, row.number)
        if twin != row.number:
            self._settle(
                replace(row, twin=twin, costs=self.rows[twin].costs, excess=self.rows[twin].excess), "duplicate"
            )
            return
        try:
            counted = complexity(network, self.plan.shape[1])
        except ValueError as error:  # the images are too small for it
            self._settle(replace(row, excess=dict.fromkeys(self._limits, 1.0), reason=str(error)), "infeasible")
            return
        row = self._with_costs(row, {"macs": float(counted.macs), "params": float(counted.params)})
        if not self._is_within(row):
            self._settle(row, "infeasible")
            return
        if self.plan.definition.measured:
            found = measured_costs(
                self.plan.definition.measured, network, self.plan.shape, store=self._store, device=self._device
            )
            if isinstance(found, str):
                self._settle(replace(row, reason=found), "infeasible")
                return
            row = self._with_costs(row, row.costs | found)
            if not self._is_within(row):
                self._settle(row, "infeasible")
                return
        if not self.plan.definition.is_trained:
            self._settle(row, "complete")
        elif self._is_dominated(row):
            self._settle(row, "dominated")
        else:
            if self._scores is not None:
                row = replace(row, proxies=self._scores(network))
            if self._is_filtered(row):
                self._settle(row, "filtered")
                return
            self.index.constrain(row.number, row.excess)
            self._ledger.add(row)
            self.rows.append(row)
            self._count(row)
            self._begin(row)

    def _with_costs(self, row: Row, costs: dict[str, float]) -> Row:
        values = tuple(costs.get(name) for name in self.plan.definition.objectives)
        return replace(row, costs=costs, values=values, excess=self.plan.excess(costs))

    def _is_within(self, row: Row) -> bool:
        return all(excess <= 0 for excess in row.excess.values())

    def _is_dominated(self, row: Row) -> bool:
        """Whether a finished candidate is better whatever accuracy, up to the highest that is possible, this one
        reaches.
        """
        best = -self.plan.definition.accuracy_at_most
        hoped = tuple(best if name == "val_accuracy" else row.costs[name] for name in self.plan.definition.objectives)
        return len(hoped) > 1 and any(dominates(point, hoped) for point in self._front)

    def _is_filtered(self, row: Row) -> bool:
        name = self.plan.definition.filter
        if name is None:
            return False
        seen = sorted(other.proxies[name] for other in self.rows if other.state == "complete" and name in other.proxies)
        return len(seen) >= _FILTER_AFTER and row.proxies[name] < seen[int(len(seen) * _FILTER_QUANTILE)]

    def _settle(self, row: Row, state: State) -> None:
        """Write a suggestion that needs no training; it is told in a way that its sampler learns from."""
        row = replace(row, state=state)
        if self.plan.definition.sampler == "gp" and state in ("infeasible", "dominated", "filtered"):
            row = replace(row, told=self.index.worst(row.values or (None,) * len(self.plan.definition.objectives)))
        self.index.constrain(row.number, row.excess)
        row = replace(row, trial_attributes=self.index.tell(row))
        self._ledger.add(row)
        self.rows.append(row)
        self._extend_front(row)
        self._count(row)
        if self._has_ended:
            self._say(
                f"{self._rejections} suggestions in a row were turned away: the search ends with {self._counted}"
                " candidates"
            )

    # Training

    def _begin(self, row: Row) -> None:
        candidate = _Candidate(row, self._stages(from_json(XceptionConfig, row.model)))
        self._running[row.number] = candidate
        self._advance(candidate)

    def _stages(self, network: XceptionConfig) -> deque[list[tuple[int, Trial]]]:
        definition, seeds = self.plan.definition, range(self.plan.definition.seeds_per_candidate)
        epochs = definition.design.recipe.epochs
        whole = [(epochs, self.plan.trial(network, seed)) for seed in seeds]
        match definition.pruner:
            case "none":
                return deque([whole])
            case "wilcoxon":
                return deque([[(seed, trial)] for seed, (_, trial) in zip(seeds, whole, strict=True)])
            case _:
                below = [[(step, self.plan.trial(network, 0, step))] for step in rungs(epochs)[:-1]]
                return deque([*below, whole])

    def _advance(self, candidate: _Candidate) -> None:
        """Go through the stages as far as records are there; what is missing is put where workers take it."""
        while not candidate.waits:
            if candidate.now and self._ends(candidate):
                return
            stage = candidate.stages.popleft()
            trials = {trial.key: trial for _, trial in stage}
            candidate.step, candidate.now = stage[0][0], tuple(trials)
            candidate.row = replace(candidate.row, keys=(*candidate.row.keys, *candidate.now))
            stored = self._store.get(candidate.now)
            for key, trial in trials.items():
                if key in stored and stored[key].is_final:
                    candidate.records[key] = stored[key]
                else:
                    self._by_key[key] = candidate.row.number
                    self._ready.append(trial)

    def _ends(self, candidate: _Candidate) -> bool:
        """Whether a candidate ends with the stage that is complete; if so, that is told and written."""
        records = [candidate.records[key] for key in candidate.now]
        broken = next((r for r in records if r.status == "failed"), None)
        if broken is not None:
            self._finish(candidate, "failed", reason=broken.reason)
            return True
        accuracies = [accuracy_of(record) for record in records]
        step, value = candidate.step, sum(accuracies) / len(accuracies)
        is_last = not candidate.stages
        if self.plan.definition.pruner != "none":
            candidate.row = replace(candidate.row, steps=(*candidate.row.steps, (step, value)))
            if self.index.is_pruned(candidate.row.number, step, value) and not is_last:
                self._finish(candidate, "pruned")
                return True
        if is_last:
            if self.plan.definition.pruner == "wilcoxon":
                value = sum(seen for _, seen in candidate.row.steps) / len(candidate.row.steps)
            costs = candidate.row.costs
            values = tuple(value if name == "val_accuracy" else costs[name] for name in self.plan.definition.objectives)
            candidate.row = replace(candidate.row, values=values)
            self._finish(candidate, "complete")
        return is_last

    def _finish(self, candidate: _Candidate, state: State, reason: str | None = None) -> None:
        row = replace(candidate.row, state=state, reason=reason)
        row = replace(row, trial_attributes=self.index.tell(row))
        self._ledger.finish(row)
        self.rows[row.number] = row
        self._extend_front(row)
        del self._running[row.number]
        self._counted += 1
        self._say(self._line(row))

    def _take(self, event: Event, claims: Claims) -> None:
        if isinstance(event, Notice):
            self._say(f"suggestion {self._by_key.get(event.key, '?')}: {event.line}")
        if not isinstance(event, Finished):
            return
        record = event.record
        self._store.put(record)
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
        """Whether another driver on the store has trained what we could not claim; if so, its record is taken."""
        record = self._store.get([trial.key]).get(trial.key)
        if record is None or not record.is_final:
            return False
        self._receive(record)
        return True

    def _extend_front(self, row: Row) -> None:
        if row.state != "complete":
            return
        signs = self.plan.definition.signs
        point = tuple(sign * value for sign, value in zip(signs, row.values, strict=True) if value is not None)
        if not any(dominates(other, point) for other in self._front):
            self._front = [other for other in self._front if not dominates(point, other)] + [point]

    def _line(self, row: Row) -> str:
        what = {"pruned": "stopped early", "failed": f"failed: {row.reason}"}.get(row.state, "")
        shown = (
            []
            if row.values[:1] == () or row.state != "complete"
            else [_shown(name, value) for name, value in zip(self.plan.definition.objectives, row.values, strict=True)]
        )
        turned_away = len(self.rows) - self._counted - len(self._running)
        rest = f" ({turned_away} turned away so far)" if turned_away else ""
        return f"[{self._counted}/{self._num_trials}] suggestion {row.number}: {', '.join(shown) or what}{rest}"


class _Feed(Iterator[Task]):
    """What an executor takes tasks from: it says that there are none now, and may have more later."""

    def __init__(self, search: Search, claims: Claims) -> None:
        self._search, self._claims = search, claims

    def __next__(self) -> Task:
        task = self._search.next_task(self._claims)
        if task is None:
            raise StopIteration
        return task


def accuracy_of(record: Record) -> float:
    """Return a record's validation accuracy; that of a diverged training is chance. The test set is never looked at."""
    if record.status == "diverged" or record.val_accuracy is None:
        return chance_accuracy(record.num_classes or 1)
    return record.val_accuracy


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return f"{name} not known"
    if name == "val_accuracy":
        return f"validation accuracy {value:.2%}"
    return f"{name} {count(value) if name in ('macs', 'params') else f'{value:.3g}'}"
