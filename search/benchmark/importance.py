"""The importance of each dimension of a space for an objective.

For a search: PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255), which compares the best candidates with all and
supports conditional dimensions. For a space that was trained whole: functional ANOVA (Hutter et al. 2014), exact, since
every combination is in the table.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import optuna

from search.design.space import Value

__all__ = ["functional_anova", "ped_anova"]

# With fewer candidates, common features of the best are meaningless.
LEAST = 10


def ped_anova(study: optuna.Study, position: int) -> dict[str, float]:
    """Return the share of each dimension in one objective, the largest first; empty for fewer than ten candidates."""
    complete = [t for t in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)) if t.values]
    if len(complete) < LEAST or len({t.values[position] for t in complete}) < 2:
        return {}
    sign = 1.0 if study.directions[position] == optuna.study.StudyDirection.MINIMIZE else -1.0
    with warnings.catch_warnings():
        # The evaluator warns that it minimises the given target, which is intended here.
        warnings.filterwarnings(
            "ignore", message="Some regimes for parameter"
        )  # rare values: their shares are imprecise
        warnings.filterwarnings(
            "ignore", message="PedAnovaImportanceEvaluator computes the importances of params to achieve low"
        )
        shares = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator(), target=lambda t: sign * t.values[position]
        )
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def functional_anova(grid: Sequence[Mapping[str, Value]], outcomes: Sequence[float]) -> dict[str, float]:
    """Return the share of each dimension, and of each pair beyond its two, in the variance of the outcome over a whole
    grid.

    Pairs are named `a × b`. The rest to 1 is interactions of three and more.

    Raises:
        ValueError: a combination is missing, or occurs twice.
    """
    names = list(grid[0])
    levels = {name: list(dict.fromkeys(values[name] for values in grid)) for name in names}
    shape = tuple(len(levels[name]) for name in names)
    table = np.full(shape, np.nan)
    for values, outcome in zip(grid, outcomes, strict=True):
        table[tuple(levels[name].index(values[name]) for name in names)] = outcome
    if np.isnan(table).any() or len(grid) != table.size:
        raise ValueError(f"grid: {len(grid)} combinations are not allowed; each of {table.size} once")
    total = float(table.var())
    if total == 0:
        return dict.fromkeys(names, 0.0)
    means = {
        kept: table.mean(axis=tuple(i for i in range(len(names)) if i not in kept), keepdims=True) - table.mean()
        for size in (1, 2)
        for kept in itertools.combinations(range(len(names)), size)
    }
    shares = {names[i]: float((means[i,] ** 2).mean()) / total for i in range(len(names))}
    for i, j in itertools.combinations(range(len(names)), 2):
        interaction = means[i, j] - means[i,] - means[j,]
        shares[f"{names[i]} × {names[j]}"] = float((interaction**2).mean()) / total
    return dict(sorted(shares.items(), key=lambda item: -item[1]))
