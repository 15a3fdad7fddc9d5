"""A predictor of accuracy: a Gaussian process over the dimensions of a space and the size of a network.

It proposes (expected improvement over a pool, half of it neighbours of the best) and filters; its ranking of unseen
candidates is measured by cross-validation and shown. The regression is scikit-learn's.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from ablations.statistics.pareto import front
from search.design.definition import Definition
from search.design.space import Real, Space, Values
from search.engine.evolution import mutated
from search.engine.samplers import Propose

__all__ = ["LEAST", "Predictor", "Proposer", "cross_validated"]

Array = NDArray[np.float64]
LEAST = 8  # minimum number of candidates to fit
_POOL, _NEAR, _FOLDS = 64, 5, 5


class Predictor:
    """Predicted accuracies of networks, each with a standard deviation."""

    def __init__(self, space: Space, rows: Sequence[tuple[Values, Mapping[str, float], float]]) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        self._space = space
        features = self._features([(values, costs) for values, costs, _ in rows])
        spread = features.std(axis=0)
        self._mean, self._scale = features.mean(axis=0), np.where(spread > 0, spread, 1.0)
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(math.sqrt(features.shape[1]), (0.3, 1e3), nu=2.5)
        kernel += WhiteKernel(0.1, (1e-3, 1e1))
        self._model: Any = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
        with warnings.catch_warnings():  # hitting a bound is not an error: few candidates determine little
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._model.fit((features - self._mean) / self._scale, np.array([accuracy for _, _, accuracy in rows]))

    def predict(self, networks: Sequence[tuple[Values, Mapping[str, float]]]) -> tuple[Array, Array]:
        """Return the mean accuracy of each network, (N,), and its standard deviation, (N,)."""
        features = (self._features(networks) - self._mean) / self._scale
        mean, deviation = self._model.predict(features, return_std=True)
        return np.asarray(mean), np.asarray(deviation)

    def _features(self, networks: Sequence[tuple[Values, Mapping[str, float]]]) -> Array:
        return np.array([_features(self._space, values, costs) for values, costs in networks], dtype=float)


class Proposer:
    """The candidate of the greatest expected improvement among new and neighbouring ones."""

    def __init__(self, definition: Definition, space: Space, seed: int, costs: Propose) -> None:
        self._definition, self._space, self._costs = definition, space, costs
        self._random = random.Random(seed)

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> Values:
        """Return the next suggestion."""
        known = []
        for other in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            costs = self._costs(other.params)
            if costs is not None and all(excess <= 0 for excess in other.constraints.values()):
                known.append((other.params, costs, other.values))
        if len(known) < LEAST:
            return self._space.draw(self._random)
        at = self._definition.objectives.index("val_accuracy")
        predictor = Predictor(self._space, [(values, costs, told[at]) for values, costs, told in known])
        pool = self._pool(known, {frozenset(values.items()) for values, _, _ in known})
        if not pool:
            return self._space.draw(self._random)
        mean, deviation = predictor.predict(pool)
        if len(self._definition.objectives) == 1:
            best = max(told[at] for _, _, told in known)
            return pool[int(np.argmax(_improvement(mean, deviation, best)))][0]
        hoped = mean + deviation
        points = [
            [
                sign * (hoped[i] if name == "val_accuracy" else costs.get(name, 0.0))
                for name, sign in zip(self._definition.objectives, self._definition.signs, strict=True)
            ]
            for i, (_, costs) in enumerate(pool)
        ]
        return pool[self._random.choice(front(points))][0]

    def _pool(
        self, known: Sequence[tuple[Values, Mapping[str, float], list[float]]], seen: set[frozenset[Any]]
    ) -> list[tuple[Values, Mapping[str, float]]]:
        signs, at = self._definition.signs, range(len(self._definition.objectives))
        by_first = sorted(known, key=lambda row: [signs[i] * row[2][i] for i in at])
        out = []
        for number in range(_POOL):
            if number % 2:
                values = mutated(self._space, self._random.choice(by_first[:_NEAR])[0], self._random)
            else:
                values = self._space.draw(self._random)
            place = frozenset(values.items())
            costs = None if place in seen else self._costs(values)
            seen.add(place)
            if costs is not None:
                out.append((values, costs))
        return out


def cross_validated(
    space: Space, rows: Sequence[tuple[Values, Mapping[str, float], float]], seed: int = 0
) -> dict[str, float] | None:
    """Return Spearman's and Kendall's rank correlation of predictions with accuracies, each candidate predicted from
    the others' folds, with the number of candidates; None where there are too few or all are equal.
    """
    from scipy import stats

    accuracies = np.array([accuracy for _, _, accuracy in rows])
    if len(rows) < 2 * LEAST or np.ptp(accuracies) == 0:
        return None
    order = random.Random(seed).sample(range(len(rows)), len(rows))
    predicted = np.zeros(len(rows))
    for fold in range(_FOLDS):
        held_out = order[fold::_FOLDS]
        rest = [rows[i] for i in order if i not in set(held_out)]
        predicted[held_out] = Predictor(space, rest).predict([rows[i][:2] for i in held_out])[0]
    if np.ptp(predicted) == 0:
        return None
    return {
        "n": float(len(rows)),
        "spearman": float(stats.spearmanr(predicted, accuracies).statistic),
        "kendall": float(stats.kendalltau(predicted, accuracies).statistic),
    }


def _improvement(mean: Array, deviation: Array, best: float) -> Array:
    from scipy.stats import norm

    spread = np.maximum(deviation, 1e-9)
    z = (mean - best) / spread
    improvement: Array = spread * (z * norm.cdf(z) + norm.pdf(z))
    return improvement


def _features(space: Space, values: Values, costs: Mapping[str, float]) -> list[float]:
    out: list[float] = []
    for dimension in space.dimensions:
        value = values.get(dimension.name)
        numbers = dimension.values is None or all(isinstance(v, int | float) for v in dimension.values)
        if numbers:
            out.append(
                -1.0
                if value is None
                else _number(dimension.log, value)
                if isinstance(dimension, Real)
                else float(value)
            )
        else:
            out += [float(value == option) for option in dimension.values or ()]
    return [*out, *(math.log(costs[name]) for name in ("macs", "params") if name in costs)]


def _number(is_log: bool, value: Any) -> float:
    return math.log(float(value)) if is_log else float(value)
