"""A search as an Optuna study in memory, built from the ledger and rebuilt from it whenever it is lost.

Optuna samples and prunes; the ledger has all its inputs and outputs. The sampler of a suggestion is made from the
search's seed and the suggestion's number, and what samplers keep between suggestions (generations, parents, rungs) is
kept with the ledger's rows. CMA-ES would store itself as a pickle: its state is not kept, and its suggestions are
requested again.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from search.design.definition import Definition
from search.design.space import Space, Values
from search.engine.evolution import FromValues
from search.engine.ledger import Row
from search.engine.optuna_file import study_name
from search.engine.samplers import Propose, make_pruner, make_sampler

__all__ = ["Asked", "Index"]

_CONSTRAINT = "constraints:"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A suggestion, with the sampler's state for it and its seconds."""

    number: int
    values: Values
    trial_attributes: dict[str, Any]
    search_attributes: dict[str, Any]
    sampler_seconds: float


class _Storage(InMemoryStorage):
    """Optuna's storage in memory, in which a suggestion can be changed before its result is added."""

    def replace_params(self, number: int, params: Values, distributions: dict[str, BaseDistribution]) -> None:
        """Give a running trial other values."""
        trial = copy.copy(self._get_trial(number))
        trial.params, trial.distributions = dict(params), dict(distributions)
        self._set_trial(number, trial)


class Index:
    """The Optuna study of a search, at the state that the ledger's rows give."""

    def __init__(
        self,
        definition: Definition,
        space: Space,
        rows: Sequence[Row] = (),
        costs: Propose = lambda values: {},
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._definition, self._space, self._costs = definition, space, costs
        self._storage = _Storage()
        self.study = optuna.create_study(
            storage=self._storage,
            study_name=study_name(definition),
            directions=["maximize" if sign < 0 else "minimize" for sign in definition.signs],
            pruner=make_pruner(definition),
        )
        self._id = self._storage.get_study_id_from_name(self.study.study_name)
        self._distributions = {d.name: d.distribution() for d in space.dimensions}
        self._rows: list[Row] = []
        for row in rows:
            self.take(row)

    @property
    def num_rows(self) -> int:
        """The number of suggestions."""
        return len(self._rows)

    def take(self, row: Row) -> None:
        """Add a suggestion from the ledger."""
        self._replay(row) if self._forgets else self._restore(row)

    def ask(self, values: Values | None = None) -> Asked:
        """Return the next suggestion: the sampler's, or the values that are given."""
        number = len(self._rows)
        before = self._storage.get_study_system_attrs(self._id)
        began = time.perf_counter()
        if values is None:
            self.study.sampler = make_sampler(self._definition, self._space, number, self._costs)
        else:
            given = values
            self.study.sampler = FromValues(lambda study, trial: given)
        suggested = self._space.suggest(self.study.ask())
        seconds = time.perf_counter() - began
        after = self._storage.get_study_system_attrs(self._id)
        self._rows.append(Row(number=number, state="asked", params=suggested, model=""))
        return Asked(
            number=number,
            values=suggested,
            trial_attributes=self._attributes(number),
            search_attributes={} if self._forgets else {k: v for k, v in after.items() if before.get(k) is not v},
            sampler_seconds=seconds,
        )

    def change(self, number: int, values: Values) -> None:
        """Give a suggestion other values than its sampler's; what the sampler keeps with it stays."""
        self._storage.replace_params(number, values, {name: self._distributions[name] for name in values})
        self._rows[number] = replace(self._rows[number], params=values)

    def constrain(self, number: int, excess: dict[str, float]) -> None:
        """Set the excess of a suggestion over each limit, as a fraction; negative within it."""
        for name, value in excess.items():
            self._storage.set_trial_system_attr(number, _CONSTRAINT + name, value)

    def is_pruned(self, number: int, step: int, value: float) -> bool:
        """Add an intermediate value and return whether the pruner would stop here."""
        self._storage.set_trial_intermediate_value(number, step, value)
        return bool(self.study.pruner.prune(self.study, self._storage.get_trial(number)))

    def tell(self, row: Row) -> dict[str, Any]:
        """Add the result of a suggestion; return the sampler's state for it."""
        self._rows[row.number] = row
        state, values = self._outcome(row)
        self.study.tell(row.number, values, state)
        return {k: v for k, v in self._attributes(row.number).items() if "relative_params" not in k}

    def is_told(self, number: int) -> bool:
        """Whether the result of a suggestion was added."""
        return self._storage.get_trial(number).state.is_finished()

    def worst(self, known: Sequence[float | None]) -> tuple[float, ...]:
        """Return values with unknown ones replaced by the worst so far, for samplers that learn from values alone."""
        seen = [row.values for row in self._rows if row.state == "complete"]
        out = []
        for i, (value, sign) in enumerate(zip(known, self._definition.signs, strict=True)):
            column = [v for values in seen if (v := values[i]) is not None]
            worst = (max(column) if sign > 0 else min(column)) if column else 0.0
            out.append(worst if value is None else value)
        return tuple(out)

    @property
    def _forgets(self) -> bool:
        return self._definition.sampler == "cmaes"

    def _attributes(self, number: int) -> dict[str, Any]:
        if self._forgets:
            return {}
        attributes = self._storage.get_trial_system_attrs(number)
        return {name: value for name, value in attributes.items() if not name.startswith(_CONSTRAINT)}

    def _outcome(self, row: Row) -> tuple[TrialState, list[float] | None]:
        if row.told:
            return TrialState.COMPLETE, list(row.told)
        if row.state == "complete":
            return TrialState.COMPLETE, [value for value in row.values if value is not None]
        return (TrialState.FAIL if row.state in ("failed", "asked") else TrialState.PRUNED), None

    def _restore(self, row: Row) -> None:
        """Restore a row in the study."""
        for name, value in row.search_attributes.items():
            self._storage.set_study_system_attr(self._id, name, value)
        self._rows.append(row)
        state, values = (TrialState.RUNNING, None) if row.state == "asked" else self._outcome(row)
        attributes = row.trial_attributes | {_CONSTRAINT + name: value for name, value in row.excess.items()}
        if state == TrialState.PRUNED and row.steps:
            values = [row.steps[-1][1]]  # as Optuna does when a trial is pruned
        distributions = {name: self._distributions[name] for name in row.params}
        self.study.add_trial(
            optuna.trial.create_trial(
                state=state,
                values=values,
                params=row.params,
                distributions=distributions,
                intermediate_values=dict(row.steps),
                system_attrs=attributes,
            )
        )

    def _replay(self, row: Row) -> None:
        """Request a row again, so that the sampler restores its state; with several workers the ledger's values replace
        the suggestion.
        """
        asked = self.ask(None if row.origin == "sampler" or row.changes else row.params)
        if asked.values != row.params:
            self.change(row.number, row.params)
        self._rows[row.number] = row
        for step, value in row.steps:
            self._storage.set_trial_intermediate_value(row.number, step, value)
        if row.state != "asked":
            self.tell(row)
