"""The definition of a search as a config: two runs with the same definition are the same search, and the second
continues the first.
"""

from __future__ import annotations

import math
import re

from ablations.design.study import Design
from xception.base.canonical import Config, key_of

__all__ = [
    "COSTS",
    "COUNTED",
    "FREE_DRAW",
    "LIMITS",
    "MAXIMISED",
    "MEASURED",
    "MOST_REJECTIONS",
    "OBJECTIVES",
    "POPULATED",
    "PREDICTOR",
    "PROXIES",
    "PRUNERS",
    "RUNG_PRUNERS",
    "SAMPLERS",
    "SEMANTICS",
    "Definition",
    "parse_amount",
]

# Known before training: closed forms, and measurements of an untrained network.
COUNTED = ("macs", "params")
MEASURED = ("latency_ms", "memory_mib")
COSTS = (*COUNTED, *MEASURED)
OBJECTIVES = ("val_accuracy", *COSTS)
MAXIMISED = ("val_accuracy",)
LIMITS = COSTS
SAMPLERS = ("random", "qmc", "tpe", "gp", "nsga2", "nsga3", "cmaes", "evolution", "local", "predictor")
POPULATED = ("nsga2", "nsga3", "evolution", "local")
# Of these the first three train a candidate for more and more epochs, each rung continued from the one below.
PRUNERS = ("hyperband", "asha", "median", "wilcoxon", "none")
RUNG_PRUNERS = ("hyperband", "asha", "median")
PREDICTOR = "predictor"
PROXIES = ("grad_norm", "synflow", "naswot")

# The search ends after this many suggestions in a row that were turned away by dominance, a proxy or a measurement.
MOST_REJECTIONS = 1000
# After this many, a sampler may be stuck at one point: suggestions are drawn at random until one is accepted.
FREE_DRAW = 10

# Raised when the same definition and records begin to give other suggestions.
SEMANTICS = 3
_PREFIXES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


class Definition(Config):
    """Space, network to begin with, sampler and rules of a search.

    `fixed` are fields with their values, `priors` dimensions with `VALUE:PROBABILITY`, both as they were written.
    `limits` are upper bounds on costs by name. `accuracy_at_most` is a validation accuracy that no candidate can
    exceed: candidates that would be dominated even at this accuracy are skipped. `warm_start` names a proxy by which
    the first candidates are chosen from a random pool, `filter` a proxy or the predictor, by which candidates below the
    lower quartile of those trained so far are turned away.
    """

    space: str
    fixed: tuple[tuple[str, str], ...] = ()
    priors: tuple[tuple[str, str], ...] = ()
    design: Design
    sampler: str = "tpe"
    pruner: str = "none"
    objectives: tuple[str, ...] = ("val_accuracy",)
    limits: tuple[tuple[str, float], ...] = ()
    seed: int = 0
    seeds_per_candidate: int = 1
    population: int = 20
    accuracy_at_most: float = 1.0
    warm_start: str | None = None
    filter: str | None = None
    semantics: int

    def validate(self) -> None:
        """Check names, and that each setting has an effect in combination with the others."""
        _need_one_of("--sampler", self.sampler, SAMPLERS)
        _need_one_of("--pruner", self.pruner, PRUNERS)
        for name in self.objectives:
            _need_one_of("--objectives", name, OBJECTIVES)
        if not self.objectives or len(set(self.objectives)) != len(self.objectives):
            raise ValueError(
                f"--objectives: {','.join(self.objectives)!r} is not allowed; each at most once, from"
                f" {', '.join(OBJECTIVES)}"
            )
        for name, value in self.limits:
            _need_one_of("--max", name, LIMITS)
            if not value > 0:
                raise ValueError(f"--max-{name.replace('_', '-')}: {value:g} is not allowed; a number above 0")
        for name, value, least in (
            ("--seed", self.seed, 0),
            ("--seeds-per-candidate", self.seeds_per_candidate, 1),
            ("--population", self.population, 4),
        ):
            if value < least:
                raise ValueError(f"{name}: {value} is not allowed; {least} or more")
        if not 0 < self.accuracy_at_most <= 1:
            raise ValueError(f"--accuracy-at-most: {self.accuracy_at_most} is not allowed; above 0, at most 1")
        if self.warm_start is not None:
            _need_one_of("--warm-start", self.warm_start, PROXIES)
        if self.filter is not None:
            _need_one_of("--filter", self.filter, (*PROXIES, PREDICTOR))
        self._validate_pruner()
        self._refuse_idle()
        if self.sampler == "cmaes" and len(self.objectives) > 1:
            raise ValueError(
                "--sampler: 'cmaes' is not allowed with several objectives; tpe, gp, nsga2, nsga3, evolution or random"
            )
        if self.sampler == "cmaes" and self.measured:
            raise ValueError(
                "--sampler: 'cmaes' is not allowed with limits that are measured, which it does not use; tpe, gp or"
                " nsga2"
            )

    def _validate_pruner(self) -> None:
        if self.pruner == "none":
            return
        if len(self.objectives) > 1 and self.pruner != "asha":
            raise ValueError(f"--pruner: {self.pruner!r} is not allowed with several objectives; asha or none")
        if not self.is_trained:
            raise ValueError(f"--pruner: {self.pruner!r} has no effect where nothing is trained; none")
        if self.pruner == "wilcoxon" and self.seeds_per_candidate < 5:
            raise ValueError(
                f"--pruner: 'wilcoxon' cannot decide with {self.seeds_per_candidate} seeds per candidate; "
                "--seeds-per-candidate 5 or more"
            )
        if self.pruner != "wilcoxon" and self.design.recipe.epochs < 3:
            raise ValueError(
                f"--pruner: {self.pruner!r} has nothing to stop in trainings of {self.design.recipe.epochs} epochs; "
                "--epochs 3 or more, or none"
            )

    def _refuse_idle(self) -> None:
        """Refuse settings without effect."""
        if self.population != type(self).population and self.sampler not in POPULATED:
            raise ValueError(
                f"--population: {self.population} has no effect with --sampler {self.sampler}; leave it out, or use "
                f"{', '.join(POPULATED)}"
            )
        if self.sampler == PREDICTOR and not self.is_trained:
            raise ValueError("--sampler: 'predictor' has nothing to learn from where nothing is trained; tpe or nsga2")
        if self.seeds_per_candidate > 1 and self.pruner in RUNG_PRUNERS:
            raise ValueError(
                f"--seeds-per-candidate: {self.seeds_per_candidate} is not allowed with --pruner {self.pruner}, which"
                " continues one training; 1, or --pruner wilcoxon or none"
            )
        if self.accuracy_at_most < 1 and not (self.is_trained and len(self.objectives) > 1):
            raise ValueError(
                f"--accuracy-at-most: {self.accuracy_at_most} has no effect without val_accuracy and another objective;"
                " leave it out"
            )
        if self.is_trained:
            return
        if self.seeds_per_candidate > 1:
            raise ValueError(
                f"--seeds-per-candidate: {self.seeds_per_candidate} has no effect where nothing is trained; leave"
                " it out"
            )
        if self.filter is not None:
            raise ValueError(f"--filter: {self.filter!r} has no effect where nothing is trained; leave it out")

    @property
    def key(self) -> str:
        """The search's name in a store."""
        return key_of(self)

    @property
    def is_trained(self) -> bool:
        """Whether some objective needs training."""
        return "val_accuracy" in self.objectives

    @property
    def signs(self) -> tuple[float, ...]:
        """+1 for objectives to be minimised, −1 for those to be maximised."""
        return tuple(-1.0 if name in MAXIMISED else 1.0 for name in self.objectives)

    @property
    def measured(self) -> tuple[str, ...]:
        """Costs that must be measured on the device, alone."""
        wanted = {*self.objectives, *(name for name, _ in self.limits)}
        return tuple(name for name in MEASURED if name in wanted)


def parse_amount(text: str, option: str) -> float:
    """Return a number such as 20M, 1.5G, 300k or 1e6.

    Raises:
        ValueError: it is not a number above 0; the message names the option.
    """
    match = re.fullmatch(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([kKMGT]?)\s*", text)
    try:
        value = float(match[1]) * _PREFIXES[match[2]] if match else math.nan
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ValueError(f"{option}: {text!r} is not allowed; a number above 0 such as 500k, 20M or 1.5G")
    return value


def _need_one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{option}: {value!r} is not known; allowed: {', '.join(allowed)}")
