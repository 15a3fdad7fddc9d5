"""What an unpublished study of the catalogue would cost, at the rate of the published trainings.

The work of a trial comes from closed forms (`ablations.costs.training_cost`). The rate is the median over the published
trainings of `cifar_tiny` at the size below, whatever processor trained them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ablations.costs.training_cost import trial_work
from ablations.design.options import Options
from ablations.design.plan_study import design_study
from ablations.design.stand_in_data import STAND_INS, stand_in_for
from ablations.studies import get_study

__all__ = ["SIZE", "estimated_hours", "training_rate"]

SIZE = Options(scale="quick-1", train_size=5000, epochs=6, seeds=3)


def training_rate(runs: Iterable[tuple[str, pd.DataFrame]]) -> float | None:
    """Return the median work per second of published trainings at `SIZE`, from studies and their rows of `runs.csv`;
    None where there are none.
    """
    rates = {}
    for study, trials in runs:
        work = _work(study)
        alike = (trials["epochs"] == SIZE.epochs) & (trials["train_size"] == SIZE.train_size)
        for row in trials[alike & (trials["status"] == "complete")].to_dict("records"):
            if row["variant"] in work:
                rates[row["key"]] = work[row["variant"]] / row["train_seconds"]
    return float(np.median(list(rates.values()))) if rates else None


def estimated_hours(study: str, rate: float) -> float:
    """Return the core-hours of a study at `SIZE`, including trainings that it shares with others."""
    return sum(_work(study).values()) * int(SIZE.seeds or 0) / rate / 3600


def _work(name: str) -> dict[str, float]:
    """The work of one trial of each variant, and of trainings that they start from."""
    study = get_study(name)
    source = stand_in_for(study)
    plan = design_study(study, SIZE, source, None, STAND_INS)
    trials = plan.trials(dict.fromkeys(plan.designs, 1))
    work = {variant: trial_work(trial, plan.source_of(trial)) for (variant, _), trial in trials.items()}
    before = plan.pretraining(list(trials))
    return work | {str(key): trial_work(trial, plan.source_of(trial)) for key, trial in before.items()}
