"""How much of what a sampler suggests under a limit is drawn at random: searches of the whole family, with trainings
replaced by a formula.

A search whose suggestions are mostly random draws is random search, whatever its sampler is called.
"""

from __future__ import annotations

from dataclasses import dataclass

from ablations.design.trial import Trial
from search.benchmark.simulation import plan_without_data, search_in_memory
from search.design.definition import POPULATED, SEMANTICS, Definition
from search.engine.search_plan import BASELINE, base_network, plan_search
from search.engine.solving import counted
from search.results.origins import origins
from xception.network.config import XceptionConfig

__all__ = ["LIMITS", "SAMPLERS", "RandomShare", "random_share"]

SAMPLERS = ("tpe", "gp", "nsga2", "nsga3", "evolution", "local", "predictor")
# Spaces with the costs that are limited to the first network's; `family_at_…` keeps within 5 % of it, from below too.
LIMITS = (
    ("family", ("macs",)),
    ("family", ("params",)),
    ("family", ("macs", "params")),
    ("family_at_macs", ()),
    ("family_at_params", ()),
)


@dataclass(frozen=True, kw_only=True)
class RandomShare:
    """Of `number` candidates after the sampler's start, the share that was drawn at random and the share that was
    moved to the nearest network that is new and within the limits; `beyond` counts candidates that exceed a limit.
    """

    space: str
    limits: tuple[str, ...]
    sampler: str
    number: int
    drawn: float
    changed: float
    beyond: int


def random_share(space: str, limits: tuple[str, ...], sampler: str, *, candidates: int, seed: int) -> RandomShare:
    """Return the share of random draws of one search with a number of candidates."""
    base = plan_without_data()
    design = base.designs[BASELINE]
    own = counted(base_network(design), design.dataset.image_size)
    definition = Definition(
        space=space,
        design=design,
        sampler=sampler,
        limits=tuple((name, own[name]) for name in limits),
        seed=seed,
        population=10 if sampler in POPULATED else Definition.population,
        semantics=SEMANTICS,
    )
    plan = plan_search(definition, base)
    rows = search_in_memory(plan, _formula, num_trials=candidates)
    found = origins(rows, definition)
    if found is None:
        raise ValueError(f"candidates: {candidates} is not allowed; more than the sampler {sampler} starts with")
    return RandomShare(
        space=space,
        limits=limits,
        sampler=sampler,
        number=found.number,
        drawn=found.drawn,
        changed=found.changed,
        beyond=sum(any(excess > 0 for excess in plan.excess(row.costs).values()) for row in rows if row.is_counted),
    )


def _formula(trial: Trial) -> tuple[float, float]:
    """A synthetic validation accuracy: it rises with size, falls with depth, and has noise for each network."""
    model = trial.model
    assert isinstance(model, XceptionConfig)
    size = counted(model, trial.dataset.image_size)["params"]
    luck = (int(trial.key[:8], 16) % 1000) / 20_000
    return 0.9 - 1e4 / (1e5 + size) - 0.01 * model.middle.modules + luck, 1.0
