"""Samplers and pruners by name, made anew for every suggestion from the search's seed and the suggestion's number."""

from __future__ import annotations

import hashlib
import importlib.util
import random
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from search.design.definition import Definition
from search.design.space import Space, Values
from search.engine.rungs import REDUCTION, rungs

if TYPE_CHECKING:
    import optuna

__all__ = ["Propose", "check_sampler", "make_pruner", "make_sampler", "quasi_random", "trial_seed"]

# The counted costs of the network at some values; None if it is beyond a limit.
Propose = Callable[[Values], Mapping[str, float] | None]


def trial_seed(seed: int, number: int) -> int:
    """Return the seed of one suggestion, 32 bits."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:4], "big")


def check_sampler(definition: Definition, space: Space) -> None:
    """Check the sampler against the space.

    Raises:
        ValueError: it cannot search this space.
    """
    if definition.sampler != "cmaes":
        return
    if not space.is_numeric or space.is_conditional:
        raise ValueError(
            f"--sampler: 'cmaes' needs dimensions that are all numbers and always take part, which {space.name} has"
            " not; tpe, gp, nsga2, evolution, local, qmc or random"
        )
    if importlib.util.find_spec("cmaes") is None:
        raise ValueError("--sampler: 'cmaes' needs the package cmaes; install it, or use tpe, gp or nsga2")


def make_sampler(
    definition: Definition, space: Space, number: int, costs: Propose = lambda values: {}
) -> optuna.samplers.BaseSampler:
    """Return the sampler of one suggestion; it keeps no state between suggestions."""
    import optuna
    from optuna import samplers

    from search.engine.evolution import Evolution, FromValues, LocalSearch

    seed = trial_seed(definition.seed, number)
    match definition.sampler:
        case "random":
            return FromValues(lambda study, trial: space.draw(random.Random(seed)))
        case "qmc":
            return FromValues(lambda study, trial: quasi_random(space, definition.seed, number))
        case "tpe":
            return samplers.TPESampler(seed=seed)
        case "gp":
            return samplers.GPSampler(seed=seed, warn_independent_sampling=False)
        case "nsga2":
            return samplers.NSGAIISampler(seed=seed, population_size=definition.population)
        case "nsga3":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return samplers.NSGAIIISampler(seed=seed, population_size=definition.population)
        case "cmaes":
            return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
        case "evolution":
            return FromValues(
                Evolution(space, seed, population=definition.population, sample=max(2, definition.population // 4))
            )
        case "predictor":
            from search.engine.predictor import Proposer

            return FromValues(Proposer(definition, space, seed, costs))
        case _:
            return FromValues(LocalSearch(space, seed, starts=max(2, definition.population // 4)))


def quasi_random(space: Space, seed: int, number: int) -> Values:
    """Return a point of the scrambled Sobol sequence over all dimensions; inactive ones are dropped."""
    from scipy.stats import qmc

    engine = qmc.Sobol(len(space.dimensions), scramble=True, rng=seed)
    if number:
        engine.fast_forward(number)
    places = dict(zip((d.name for d in space.dimensions), engine.random(1)[0].tolist(), strict=True))
    return space.choose(lambda dimension: dimension.at(places[dimension.name]))


def make_pruner(definition: Definition) -> optuna.pruners.BasePruner:
    """Return the pruner; its steps are epochs of whole trainings, or seeds for the Wilcoxon test."""
    import optuna
    from optuna import pruners

    steps = rungs(definition.design.recipe.epochs)
    match definition.pruner:
        case "hyperband":
            return pruners.HyperbandPruner(min_resource=steps[0], max_resource=steps[-1], reduction_factor=REDUCTION)
        case "median":
            return pruners.MedianPruner()
        case "wilcoxon":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return pruners.WilcoxonPruner()
        case _:  # successive halving has its own promotion (`search.engine.rungs`)
            return pruners.NopPruner()
