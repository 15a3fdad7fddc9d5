"""From what was asked for to a search: its definition, space, data and design, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ablations.plan import Options, StudyPlan, plan_study
from ablations.study import Design, Study, Variant
from ablations.trial import Trial
from search.definition import Definition
from search.samplers import check_sampler
from search.space import Space
from search.spaces import get_space
from xception.closed_form import complexity
from xception.config import XceptionConfig
from xception.data.source import Source

__all__ = ["BASELINE", "SearchPlan", "base_network", "plan_base", "plan_search"]

BASELINE = "baseline"


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
        """Return one training of a candidate; seeds are those of ablations, so that either finds the other's records."""
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
        source="found by search",
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
