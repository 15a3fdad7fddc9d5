"""Two published baselines as samplers: regularised evolution and local search.

Regularised evolution: Real et al. 2019, *Regularized Evolution for Image Classifier Architecture Search*
(arXiv:1802.01548), Algorithm 1. Local search: White et al. 2021, *Exploring the Loss Landscape in Neural Architecture
Search* (arXiv:2005.02960), Algorithm 1. With several objectives both compare by dominance. Neither keeps state between
trials: a suggestion is a function of the finished ones and a seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ablations.statistics.pareto import front
from search.design.space import Space, Values

__all__ = ["Evolution", "FromValues", "LocalSearch"]

_LAYERS = 20  # of increasingly worse candidates that local search tries before it draws at random


class FromValues(BaseSampler):
    """A sampler that makes a whole suggestion at once, from the finished trials of the search."""

    def __init__(self, suggest: Callable[[optuna.Study, FrozenTrial], Values]) -> None:
        self._suggest = suggest
        self._values: Values | None = None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return nothing: dimensions are requested one by one."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return nothing: dimensions are requested one by one."""
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return one dimension of the suggestion."""
        if self._values is None:
            self._values = self._suggest(study, trial)
        return self._values[param_name]


class Evolution:
    """The best of a random sample of the youngest candidates, with one dimension changed."""

    def __init__(self, space: Space, seed: int, *, population: int, sample: int) -> None:
        self._space, self._population, self._sample = space, population, sample
        self._random = random.Random(seed)

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> Values:
        """Return the next suggestion."""
        finished = _finished(study)
        if len(finished) < self._population:
            return self._space.draw(self._random)
        sample = self._random.sample(finished[-self._population :], min(self._sample, self._population))
        parent = self._random.choice(_best(study, sample))
        return mutated(self._space, parent.params, self._random)


class LocalSearch:
    """An untried neighbour of the best candidate that has one: from a local optimum the search continues at the next
    best.
    """

    def __init__(self, space: Space, seed: int, *, starts: int) -> None:
        self._space, self._starts = space, starts
        self._random = random.Random(seed)

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> Values:
        """Return the next suggestion."""
        left = _finished(study)
        if len(left) < self._starts:
            return self._space.draw(self._random)
        seen = {frozenset(t.params.items()) for t in study.get_trials(deepcopy=False) if t.number != trial.number}
        for _ in range(_LAYERS):
            layer = _best(study, left)
            for best in self._random.sample(layer, len(layer)):
                fresh = [
                    values for values in self._space.neighbours(best.params) if frozenset(values.items()) not in seen
                ]
                if fresh:
                    return self._random.choice(fresh)
            numbers = {t.number for t in layer}
            left = [t for t in left if t.number not in numbers]
            if not left:
                break
        return self._space.draw(self._random)


def mutated(space: Space, values: Mapping[str, Any], generator: random.Random) -> Values:
    """Return values with one dimension drawn anew, among its other values."""
    names = [d.name for d in space.dimensions if d.name in values and (d.values is None or len(d.values) > 1)]
    name = generator.choice(names)
    dimension = next(d for d in space.dimensions if d.name == name)
    if dimension.values is None:
        value = dimension.at(generator.random())
    else:
        value = generator.choice([v for v in dimension.values if v != values[name]])
    return space.completed({**values, name: value}, lambda d: d.at(generator.random()))


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    """Complete trials within all limits, the youngest last."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [t for t in trials if all(excess <= 0 for excess in t.constraints.values())]


def _best(study: optuna.Study, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that no other dominates: with one objective, the best."""
    signs = [-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in study.directions]
    return [trials[i] for i in front([[s * v for s, v in zip(signs, t.values, strict=True)] for t in trials])]
