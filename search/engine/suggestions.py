"""Suggestions before they are trained: made, turned into new networks within the limits, and filtered.

Measured costs, dominance, a proxy and the predictor reject candidates; only the rest are trained
(`search.engine.optimize`).
"""

from __future__ import annotations

import functools
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from ablations.records.store import Store
from ablations.statistics.pareto import dominates
from search.design.definition import FREE_DRAW, MEASURED, MOST_REJECTIONS, PREDICTOR
from search.design.space import Values
from search.engine.index import Asked, Index
from search.engine.ledger import Ledger, Origin, Row, State
from search.engine.measure import Measured, measured_costs
from search.engine.predictor import LEAST, Predictor
from search.engine.repair import Candidate, Repair
from search.engine.samplers import trial_seed
from search.engine.search_plan import SearchPlan, warm_start
from xception.base.formatting import plural
from xception.network.config import XceptionConfig

__all__ = ["Scores", "Suggestions", "Watcher", "learned"]

# As `MOST_REJECTIONS`, where each needs a measurement.
MOST_MEASURED_REJECTIONS = 100
_STARTS = 10  # suggestions drawn from the priors, if any
# A filter starts after this many trained candidates, and turns away candidates below this quantile of them.
_FILTER_AFTER, _FILTER_QUANTILE = 12, 0.25

Scores = Callable[[XceptionConfig], dict[str, float]]
Watcher = Callable[[Row], None]


class Suggestions(ABC):
    """The suggestions of a search in the state of its ledger, and the next one."""

    def __init__(
        self,
        plan: SearchPlan,
        store: Store,
        *,
        device: str,
        scores: Scores | None,
        say: Callable[[str], None],
        watch: Watcher,
        ledger: Ledger | None,
        repair: Repair | None,
    ) -> None:
        self.plan, self._store, self._device = plan, store, device
        self._scores, self._say, self._watch = scores, say, watch
        self.ledger = ledger or Ledger(store, plan.definition, plan.space.digest)
        self.rows = self.ledger.rows()
        self._repair = repair or Repair(plan)
        self.index = self._new_index()
        self._warm: list[Values] | None = None
        self._is_exhausted = False
        self._predictor: tuple[int, Predictor] | None = None
        self.num_measured = 0
        self.measure_seconds = 0.0
        self._recount()

    @abstractmethod
    def _begin(self, row: Row) -> None:
        """Train a candidate."""

    @abstractmethod
    def _is_running(self, number: int) -> bool:
        """Whether a candidate is being trained for this search by this driver."""

    def _new_index(self) -> Index:
        return Index(self.plan.definition, self.plan.space, self.rows, self._costs_at)

    def _costs_at(self, values: Values) -> dict[str, float] | None:
        candidate = self._repair.candidate(values)
        return None if candidate is None else candidate.costs

    @property
    def states(self) -> Counter[str]:
        """The number of suggestions by outcome."""
        return Counter(row.state for row in self.rows)

    @property
    def _has_ended(self) -> bool:
        return (
            self._is_exhausted
            or self._rejections >= MOST_REJECTIONS
            or self._measured_rejections >= MOST_MEASURED_REJECTIONS
        )

    def _recount(self) -> None:
        """Rebuild the state that follows from the rows."""
        self._models = {row.model for row in self.rows}
        self._counted = self._rejections = self._measured_rejections = 0
        self._front: list[tuple[float, ...]] = []
        for row in self.rows:
            self._count(row)
            self._extend_front(row)

    def _count(self, row: Row) -> None:
        """Count a row as evaluated, or as turned away since the last one that was not."""
        self._counted += row.is_counted
        if row.is_turned_away:
            self._rejections += 1
            self._measured_rejections += row.state == "infeasible" and any(name in row.excess for name in MEASURED)
        else:
            self._rejections = self._measured_rejections = 0

    def _extend_front(self, row: Row) -> None:
        if row.state != "complete":
            return
        signs = self.plan.definition.signs
        point = tuple(sign * value for sign, value in zip(signs, row.values, strict=True) if value is not None)
        if not any(dominates(other, point) for other in self._front):
            self._front = [other for other in self._front if not dominates(point, other)] + [point]

    def _take_in_others(self) -> None:
        """Read the suggestions of other drivers of this search and their results."""
        promotes = self.plan.definition.pruner == "asha"
        found = self.ledger.rows(0 if promotes else len(self.rows))
        if promotes and found[: len(self.rows)] != self.rows:
            known = {row.number: row for row in self.rows}
            self.rows = [known[row.number] if self._is_running(row.number) else row for row in found]
            self.index = self._new_index()
        elif len(found) > (len(self.rows) if promotes else 0):
            for row in found[len(self.rows) :] if promotes else found:
                self.index.take(row)
                self.rows.append(row)
        else:
            return
        self._recount()
        for row in self.rows:
            if row.state == "asked" and not self._is_running(row.number):
                self._begin(row)

    def _ask(self) -> None:
        """Make a candidate of a new suggestion; None if the space is exhausted."""
        given, origin = self._given()
        asked = self.index.ask(given)
        seed = trial_seed(self.plan.definition.seed, asked.number)
        candidate = self._repair(asked.values, self._models.__contains__, seed)
        if candidate is None:
            self._is_exhausted = True
            self.index = self._new_index()  # without the suggestion that leads to no candidate
            self._say(f"no network that is new and within the limits is left: the search ends with {self._counted}")
            return
        if candidate.changes:
            self.index.change(asked.number, candidate.values)
        self._consider(asked, candidate, "drawn" if candidate.is_drawn else origin)

    def _given(self) -> tuple[Values | None, Origin]:
        """Values that do not come from the sampler: those of a proxy or a prior, or random ones where the sampler's
        suggestions are repeatedly turned away.
        """
        number, definition = len(self.rows), self.plan.definition
        draw = functools.partial(self.plan.space.draw, random.Random(trial_seed(definition.seed, number)))
        if self._rejections >= FREE_DRAW:
            return draw(), "drawn"
        if definition.warm_start is not None and self._scores is not None:
            if self._warm is None:
                proxy, scores = definition.warm_start, self._scores
                self._warm = warm_start(self.plan, lambda network: scores(network)[proxy])
            if number < len(self._warm):
                return self._warm[number], "proxy"
        if self.plan.space.has_prior and number < _STARTS:
            return draw(), "prior"
        return None, "sampler"

    def _consider(self, asked: Asked, candidate: Candidate, origin: Origin) -> None:
        row = Row(
            number=asked.number,
            state="asked",
            params=candidate.values,
            model=candidate.model,
            trial_attributes=asked.trial_attributes,
            search_attributes=asked.search_attributes,
            sampler_seconds=asked.sampler_seconds,
            origin=origin,
            changes=candidate.changes,
        )
        row = self._with_costs(row, candidate.costs)
        if self.plan.definition.measured:
            found = measured_costs(self.plan, candidate.network, store=self._store, device=self._device)
            row = self._with_measured(row, found)
            if row.model != candidate.model and row.model in self._models:
                row = replace(
                    row, reason="at the width that keeps the limit it is the network of an earlier suggestion"
                )
            if row.reason is not None or any(excess > 0 for excess in row.excess.values()):
                self._settle(row, "infeasible")
                return
        if not self.plan.definition.is_trained:
            self._settle(row, "complete")
        elif self._is_dominated(row):
            self._settle(row, "dominated")
        else:
            if self._scores is not None:
                row = replace(row, proxies=self._scores(candidate.network))
            if self._is_filtered(row):
                self._settle(row, "filtered")
                return
            self.index.constrain(row.number, row.excess)
            if self._written(row):
                self._begin(row)

    def _with_measured(self, row: Row, found: Measured) -> Row:
        self.num_measured += found.num_measured
        self.measure_seconds += found.seconds
        row = self._with_costs(replace(row, model=found.model, reason=found.reason), found.costs)
        if found.seconds:
            self._say(
                f"suggestion {row.number}: {plural(found.num_measured, 'network')} measured in {found.seconds:.1f} s"
            )
        return row

    def _with_costs(self, row: Row, costs: dict[str, float]) -> Row:
        values = tuple(costs.get(name) for name in self.plan.definition.objectives)
        return replace(row, costs=costs, values=values, excess=self.plan.excess(costs))

    def _is_dominated(self, row: Row) -> bool:
        """Whether a finished candidate dominates this one even at the highest possible accuracy."""
        best = -self.plan.definition.accuracy_at_most
        hoped = tuple(best if name == "val_accuracy" else row.costs[name] for name in self.plan.definition.objectives)
        return len(hoped) > 1 and any(dominates(point, hoped) for point in self._front)

    def _is_filtered(self, row: Row) -> bool:
        name = self.plan.definition.filter
        if name is None:
            return False
        seen = self._seen_by_filter(name)
        if len(seen) < max(_FILTER_AFTER, LEAST):
            return False
        lowest = sorted(seen)[int(len(seen) * _FILTER_QUANTILE)]
        return (self._predicted(row) if name == PREDICTOR else row.proxies[name]) < lowest

    def _seen_by_filter(self, name: str) -> list[float]:
        complete = [row for row in self.rows if row.state == "complete"]
        if name != PREDICTOR:
            return [row.proxies[name] for row in complete if name in row.proxies]
        at = self.plan.definition.objectives.index("val_accuracy")
        return [value for row in complete if (value := row.values[at]) is not None]

    def _predicted(self, row: Row) -> float:
        known = learned(self.rows, self.plan)
        if self._predictor is None or self._predictor[0] != len(known):
            self._predictor = (len(known), Predictor(self.plan.space, known))
        return float(self._predictor[1].predict([(row.params, row.costs)])[0][0])

    def _settle(self, row: Row, state: State) -> None:
        """Write a suggestion that needs no training, with a result from which its sampler can learn.

        A population consists of complete trials: a network beyond a limit is one of them, with its excess as the
        constraint, by which Optuna ranks it below all within the limits.
        """
        row = replace(row, state=state)
        sampler = self.plan.definition.sampler
        if state != "complete" and sampler in ("gp", "nsga2", "nsga3"):
            row = replace(row, told=self.index.worst(row.values or (None,) * len(self.plan.definition.objectives)))
        self.index.constrain(row.number, row.excess)
        row = replace(row, trial_attributes=self.index.tell(row))
        if self._written(row) and self._has_ended:
            self._say(
                f"{self._rejections} suggestions in a row were turned away: the search ends with {self._counted}"
                " candidates"
            )

    def _written(self, row: Row) -> bool:
        """Write a new row; where another driver has taken its number, forget it and take in the other's."""
        if not self.ledger.add(row):
            self.index = self._new_index()
            self._take_in_others()
            return False
        self.rows.append(row)
        self._models.add(row.model)
        self._count(row)
        self._extend_front(row)
        self._watch(row)
        return True


def learned(rows: list[Row], plan: SearchPlan) -> list[tuple[Values, dict[str, float], float]]:
    """Return the training data of a predictor: values, costs and validation accuracy of each complete candidate."""
    if "val_accuracy" not in plan.definition.objectives:
        return []
    at = plan.definition.objectives.index("val_accuracy")
    return [
        (row.params, row.costs, value)
        for row in rows
        if row.state == "complete" and (value := row.values[at]) is not None
    ]
