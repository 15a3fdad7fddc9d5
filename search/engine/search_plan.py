"""From what was asked for to a search: its definition, space, data and design, before anything is trained."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ablations.design.options import Options
from ablations.design.study import Design, Study, Variant
from ablations.design.study_plan import StudyPlan, plan_study
from ablations.design.trial import Trial
from search.design.definition import COUNTED, Definition
from search.design.space import Space, Values
from search.engine.samplers import check_sampler
from search.spaces import get_space
from xception.data.source import Source
from xception.network.closed_form import complexity
from xception.network.config import XceptionConfig

__all__ = ["BASELINE", "SearchPlan", "base_network", "plan_base", "plan_search", "require_feasible", "warm_start"]

BASELINE = "baseline"
_TRIES = 1000
_POOL, _KEPT = 64, 8  # networks that a warm start scores, and those that it begins with


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """A search on its data; `base` is the plan of a study that has only the network to begin with."""

    definition: Definition
    space: Space
    base: StudyPlan

    @property
    def design(self) -> Design:
        """What every candidate is trained as, but for its network."""
        return self.definition.design

    @property
    def network(self) -> XceptionConfig:
        """The network that the search begins with."""
        return base_network(self.design)

    @property
    def source(self) -> Source:
        """The data set."""
        return self.base.source

    @property
    def out(self) -> Path:
        """The folder for results."""
        return self.base.options.out

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an input."""
        return (self.network.in_channels, self.design.dataset.image_size, self.design.dataset.image_size)

    def candidate(self, network: XceptionConfig, epochs: int | None = None) -> Design:
        """Return the design of a candidate, for fewer epochs where they are given."""
        design = self.design.replace(model=network)
        return design if epochs in (None, design.recipe.epochs) else design.replace_at("recipe.epochs", epochs)

    def trial(self, network: XceptionConfig, seed: int, epochs: int | None = None) -> Trial:
        """Return one training of a candidate; seeds are those of ablations, so that either finds the other's
        records.
        """
        return self.candidate(network, epochs).trial(seed)

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        """The least and the most of every limited cost."""
        counted = complexity(self.network, self.shape[1])
        own = {"macs": counted.macs, "params": counted.params}
        out = {name: (own[name] * low, own[name] * high) for name, (low, high) in self.space.limits.items()}
        for name, most in self.definition.limits:
            low, high = out.get(name, (0.0, most))
            out[name] = (low, min(high, most))
        return out

    def excess(self, costs: dict[str, float]) -> dict[str, float]:
        """Return by how much known costs exceed their limits, as a fraction; negative within them."""
        out: dict[str, float] = {}
        for name, (low, high) in self.limits.items():
            if name in costs:
                out[name] = costs[name] / high - 1
                if low > 0:
                    out[f"least {name}"] = 1 - costs[name] / low
        return out


def plan_base(name: str, question: str, options: Options) -> StudyPlan:
    """Plan a study of the network alone that a search begins with.

    Raises:
        ValueError: an option or the data does not fit; the message names it.
    """
    study = Study(
        name=name,
        question=question,
        variants=(Variant(name=BASELINE),),
        baseline=BASELINE,
        varies=("model",),
        reference="found by search",
    )
    return plan_study(study, options)


def base_network(design: Design) -> XceptionConfig:
    """Return the design's network, which must be one of ours.

    Raises:
        ValueError: it is torchvision's.
    """
    if not isinstance(design.model, XceptionConfig):
        raise ValueError(f"--preset: torchvision:{design.model.name} is not allowed; a search varies networks of ours")
    return design.model


def plan_search(definition: Definition, base: StudyPlan) -> SearchPlan:
    """Return the plan of a search.

    Raises:
        ValueError: the sampler cannot search the space, or no network of it keeps the limits.
    """
    space = get_space(definition.space)
    check_sampler(definition, space)
    plan = SearchPlan(definition=definition, space=space, base=base)
    low = {name: bounds for name, bounds in plan.limits.items() if bounds[0] > bounds[1]}
    for name, (least, most) in low.items():
        raise ValueError(f"--max-{name}: {most:g} is not allowed; the space {space.name} begins at {least:g}")
    return plan


def require_feasible(plan: SearchPlan) -> None:
    """Look for networks within the limits on what is counted, before anything is written.

    Raises:
        ValueError: there is none among many random ones.
    """
    limits = {name: bounds for name, bounds in plan.limits.items() if name in COUNTED}
    if not limits:
        return
    closest, reason = math.inf, ""
    for _, costs in itertools.islice(random_networks(plan), _TRIES):
        excess = plan.excess(costs)
        worst = max(excess, key=lambda name: excess[name])
        if excess[worst] <= 0:
            return
        if excess[worst] < closest:
            name = worst.removeprefix("least ")
            bounds = " to ".join(f"{bound:,.0f}" for bound in limits[name])
            closest, reason = excess[worst], f"the closest has {costs[name]:,.0f} {name}, allowed are {bounds}"
    options = ", ".join(f"--max-{name}" for name, _ in plan.definition.limits) or "--space"
    raise ValueError(f"{options}: none of {_TRIES:,} random networks of {plan.space.name} keeps the limits; {reason}")


def random_networks(plan: SearchPlan) -> Iterator[tuple[Values, dict[str, float]]]:
    """Yield random values and what is counted of their networks, without end; those that cannot take the images are
    passed over.
    """
    generator = random.Random(plan.definition.seed)
    while True:
        values = plan.space.draw(generator)
        try:
            counted = complexity(plan.space.config(plan.network, values), plan.shape[1])
        except ValueError:
            continue
        yield values, {"macs": float(counted.macs), "params": float(counted.params)}


def warm_start(plan: SearchPlan, score: Callable[[XceptionConfig], float]) -> list[Values]:
    """Return the values of the best networks of a random pool within the limits, by a score."""
    pool: dict[XceptionConfig, Values] = {}
    for values, costs in itertools.islice(random_networks(plan), _TRIES):
        if all(excess <= 0 for excess in plan.excess(costs).values()):
            pool.setdefault(plan.space.config(plan.network, values), values)
        if len(pool) == _POOL:
            break
    ranked = sorted(pool, key=lambda network: -score(network))
    return [pool[network] for network in ranked[:_KEPT]]
