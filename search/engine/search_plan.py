"""From options to a search: its definition, space, data and design, before anything is trained."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ablations.design.options import Options
from ablations.design.plan_study import plan_study
from ablations.design.study import Design, Study, Variant
from ablations.design.study_plan import StudyPlan
from ablations.design.trial import Trial
from search.design.definition import COUNTED, RUNG_PRUNERS, Definition
from search.design.restriction import fixed, with_priors
from search.design.space import Space, Values
from search.engine.rungs import with_stable_rate
from search.engine.samplers import check_sampler
from search.engine.solving import counted, solved
from search.spaces import get_space
from xception.base.formatting import count
from xception.data.source import Source
from xception.network.config import XceptionConfig

__all__ = ["BASELINE", "SearchPlan", "base_network", "plan_base", "plan_search", "require_feasible", "warm_start"]

BASELINE = "baseline"
_TRIES = 200
_POOL, _KEPT = 64, 8  # networks that a warm start scores, and those that it starts with


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """A search on its data; `base` is the plan of a study of the initial network alone."""

    definition: Definition
    space: Space
    base: StudyPlan

    @property
    def design(self) -> Design:
        """The design of every candidate, except for its network."""
        return self.definition.design

    @property
    def name(self) -> str:
        """The name of the folder: the space and all options that differ from the defaults."""
        asked, usual = self.definition, {f.name: f.default for f in dataclasses.fields(Definition)}
        parts = [asked.space]
        parts += [f"{name}-{value}" for name, value in asked.fixed]
        parts += [getattr(asked, name) for name in ("sampler", "pruner") if getattr(asked, name) != usual[name]]
        parts += [name for name in asked.objectives if asked.objectives != usual["objectives"]]
        parts += [f"max_{name}-{count(value).replace(' ', '')}" for name, value in asked.limits]
        for name in ("seed", "seeds_per_candidate", "population", "accuracy_at_most", "warm_start", "filter"):
            if getattr(asked, name) != usual[name]:
                parts.append(f"{name}-{getattr(asked, name)}")
        return re.sub(r"[^A-Za-z0-9_.=+-]+", "_", "-".join(parts))[:100]

    @property
    def network(self) -> XceptionConfig:
        """The initial network of the search."""
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
        return self.design.input_shape

    def trial(self, network: XceptionConfig, seed: int) -> Trial:
        """Return one training of a candidate; seeds are those of ablations, so that records are shared."""
        return self.design.replace(model=network).trial(seed)

    @functools.cached_property
    def limits(self) -> dict[str, tuple[float, float]]:
        """The lower and upper bound of every limited cost."""
        own = counted(self.network, self.shape[1])
        out = {name: (own[name] * low, own[name] * high) for name, (low, high) in self.space.limits.items()}
        for name, most in self.definition.limits:
            low, high = out.get(name, (0.0, most))
            out[name] = (low, min(high, most))
        return out

    def network_at(self, values: Values) -> tuple[XceptionConfig, dict[str, float]]:
        """Return the network at some values, at a width within the limits if there is one, and its counted costs.

        Raises:
            ValueError: the images are too small for it.
        """
        network = solved(self.space.config(self.network, values), self.limits, self.shape[1])
        return network, counted(network, self.shape[1])

    def excess(self, costs: dict[str, float]) -> dict[str, float]:
        """Return the excess of known costs over their limits, as a fraction; negative within them."""
        out: dict[str, float] = {}
        for name, (low, high) in self.limits.items():
            if name in costs:
                out[name] = costs[name] / high - 1
                if low > 0:
                    out[f"least {name}"] = 1 - costs[name] / low
        return out


def plan_base(name: str, question: str, options: Options) -> StudyPlan:
    """Plan a study of a search's initial network alone.

    Raises:
        ValueError: an option or the data does not fit; the message names it.
    """
    study = Study(
        name=name,
        question=question,
        variants=(Variant(name=BASELINE),),
        baseline=BASELINE,
        varies=("model",),
        reference="",
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


def plan_search(definition: Definition, base: StudyPlan, space: Space | None = None) -> SearchPlan:
    """Return the plan of a search; `space` is given if it is not found by its name.

    Raises:
        ValueError: the sampler cannot search the space, or no network of it is within the limits.
    """
    if definition.pruner in RUNG_PRUNERS:
        definition = definition.replace(design=with_stable_rate(definition.design))
    space = space or get_space(definition.space)
    space = fixed(with_priors(space, definition.priors), definition.fixed, base_network(definition.design))
    if not space.dimensions:
        raise ValueError(f"--fix: nothing of {definition.space} is left to search; fix fewer dimensions")
    check_sampler(definition, space)
    plan = SearchPlan(definition=definition, space=space, base=base)
    low = {name: bounds for name, bounds in plan.limits.items() if bounds[0] > bounds[1]}
    for name, (least, most) in low.items():
        raise ValueError(f"--max-{name}: {most:g} is not allowed; the space {space.name} begins at {least:g}")
    return plan


def require_feasible(plan: SearchPlan) -> None:
    """Check that there are networks within the counted limits, before anything is written.

    Raises:
        ValueError: there is none among many random ones.
    """
    limits = {name: bounds for name, bounds in plan.limits.items() if name in COUNTED}
    if not limits:
        return
    closest, reason = math.inf, ""
    for _, _, costs in itertools.islice(random_networks(plan), _TRIES):
        excess = plan.excess(costs)
        worst = max(excess, key=lambda name: excess[name])
        if excess[worst] <= 0:
            return
        if excess[worst] < closest:
            name = worst.removeprefix("least ")
            bounds = " to ".join(f"{bound:,.0f}" for bound in limits[name])
            closest, reason = excess[worst], f"the closest has {costs[name]:,.0f} {name}, allowed are {bounds}"
    options = ", ".join(f"--max-{name}" for name, _ in plan.definition.limits) or "--space"
    raise ValueError(
        f"{options}: none of {_TRIES:,} random networks of {plan.space.name} is within the limits; {reason}"
    )


def random_networks(plan: SearchPlan) -> Iterator[tuple[Values, XceptionConfig, dict[str, float]]]:
    """Yield random values, their networks and counted costs, without end; networks for which the images are too small
    are skipped.
    """
    generator = random.Random(plan.definition.seed)
    while True:
        values = plan.space.draw(generator)
        try:
            network, costs = plan.network_at(values)
        except ValueError:
            continue
        yield values, network, costs


def warm_start(plan: SearchPlan, score: Callable[[XceptionConfig], float]) -> list[Values]:
    """Return the values of the best networks of a random pool within the limits, by a score."""
    pool: dict[XceptionConfig, Values] = {}
    for values, network, costs in itertools.islice(random_networks(plan), _TRIES):
        if all(excess <= 0 for excess in plan.excess(costs).values()):
            pool.setdefault(network, values)
        if len(pool) == _POOL:
            break
    ranked = sorted(pool, key=lambda network: -score(network))
    return [pool[network] for network in ranked[:_KEPT]]
