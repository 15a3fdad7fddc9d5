"""A candidate that is being trained: its trainings in stages, with a pruner's decision after each."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ablations.design.trial import Trial
from ablations.records.record import Record, chance_accuracy
from search.design.definition import RUNG_PRUNERS
from search.engine.ledger import Row
from search.engine.rungs import chain, rungs
from search.engine.search_plan import SearchPlan
from xception.base.canonical import from_json
from xception.network.config import XceptionConfig

__all__ = ["Running", "Stage", "accuracy_of", "stages"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Trainings whose mean accuracy is one step of a pruner; `keep_at` is the epoch whose state is kept."""

    step: int
    trials: tuple[Trial, ...]
    keep_at: int | None = None


@dataclass
class Running:
    """A suggestion on its way through its stages."""

    row: Row
    stages: deque[Stage]
    stage: Stage | None = None
    records: dict[str, Record] = field(default_factory=dict)

    @property
    def waits(self) -> bool:
        """Whether a training of this stage has not ended."""
        return self.stage is not None and any(trial.key not in self.records for trial in self.stage.trials)


def stages(plan: SearchPlan, row: Row) -> deque[Stage]:
    """Return the remaining stages of a candidate."""
    network, definition = from_json(XceptionConfig, row.model), plan.definition
    seeds = range(definition.seeds_per_candidate)
    if definition.pruner in RUNG_PRUNERS:
        epochs = rungs(definition.design.recipe.epochs)
        steps = zip(epochs, chain(plan.design, network, 0), strict=True)
        whole = [Stage(step=step, trials=(trial,), keep_at=kept) for step, (trial, kept) in steps]
    elif definition.pruner == "wilcoxon":
        whole = [Stage(step=seed, trials=(plan.trial(network, seed),)) for seed in seeds]
    else:
        epochs_of_all = definition.design.recipe.epochs
        whole = [Stage(step=epochs_of_all, trials=tuple(plan.trial(network, seed) for seed in seeds))]
    return deque(whole[len(row.steps) :])


def accuracy_of(record: Record) -> float:
    """Return a record's validation accuracy; that of a diverged training is chance. The test set is never looked at."""
    if record.status == "diverged" or record.val_accuracy is None:
        return chance_accuracy(record.num_classes or 1)
    return record.val_accuracy
