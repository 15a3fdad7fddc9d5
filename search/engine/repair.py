"""From a sampler's suggestion to a network that is new and within the counted limits.

Samplers repeat themselves, and some networks are beyond a limit at any width. Such a suggestion is replaced by the
nearest valid one: with one dimension changed if that is enough, else with more. The sampler's state for its suggestion
(generation, parents) is kept, so that selection continues; a network is drawn at random only if no near one is left.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from search.design.space import Space, Value, Values
from search.engine.evolution import mutated
from search.engine.search_plan import SearchPlan
from xception.base.canonical import canonical_json
from xception.network.config import XceptionConfig

__all__ = ["Candidate", "Repair"]

_LISTED = 1000  # a space of at most this many networks is listed
_MOST_CHANGES, _TRIES_EACH = 6, 24  # largest number of changed dimensions, and tries with each number
_DRAWS = 500

Place = frozenset[tuple[str, Value]]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Values and their network. `changes` counts the dimensions in which they differ from the sampler's suggestion;
    `is_drawn` means that they were drawn at random instead.
    """

    values: Values
    network: XceptionConfig
    model: str
    costs: dict[str, float]
    changes: int = 0
    is_drawn: bool = False


class Repair:
    """Finds new networks within the limits of a search."""

    def __init__(self, plan: SearchPlan) -> None:
        self._plan = plan
        self._known: dict[Place, Candidate | None] = {}
        self._grid = _listed(plan.space)

    def __call__(self, values: Values, is_known: Callable[[str], bool], seed: int) -> Candidate | None:
        """Return the suggestion itself if it is new and within the limits, else the nearest that is; None if there is
        none.

        `is_known` returns whether the network with a canonical JSON was suggested before.
        """
        for near, is_drawn in itertools.chain([(values, False)], self._others(values, random.Random(seed))):
            candidate = self.candidate(near)
            if candidate is not None and not is_known(candidate.model):
                return Candidate(
                    **vars(candidate) | {"changes": _distance(values, near), "is_drawn": is_drawn, "values": dict(near)}
                )
        return None

    def candidate(self, values: Values) -> Candidate | None:
        """Return the network at some values, None if the images are too small for it or it is beyond the limits at any
        width.
        """
        place = frozenset(values.items())
        if place not in self._known:
            self._known[place] = self._made(values)
        return self._known[place]

    def _made(self, values: Values) -> Candidate | None:
        try:
            network, costs = self._plan.network_at(values)
        except ValueError:
            return None
        if any(excess > 0 for excess in self._plan.excess(costs).values()):
            return None
        return Candidate(values=values, network=network, model=canonical_json(network), costs=costs)

    def _others(self, values: Values, generator: random.Random) -> Iterator[tuple[Values, bool]]:
        """Other values of the space, the nearest first, and whether they are unrelated to these."""
        if self._grid is not None:
            order = generator.sample(self._grid, len(self._grid))
            yield from ((near, False) for near in sorted(order, key=lambda other: _distance(values, other)))
            return
        for changes in range(1, _MOST_CHANGES + 1):
            for _ in range(_TRIES_EACH):
                near = values
                for _ in range(changes):
                    near = mutated(self._plan.space, near, generator)
                yield near, False
        for _ in range(_DRAWS):
            yield self._plan.space.draw(generator), True


def _listed(space: Space) -> list[Values] | None:
    """All values of a small finite space."""
    if any(dimension.values is None for dimension in space.dimensions):
        return None
    first = list(itertools.islice(space.grid(), _LISTED + 1))
    return first if len(first) <= _LISTED else None


def _distance(one: Values, other: Values) -> int:
    """The number of dimensions in which two suggestions differ, including those active in only one of them."""
    return sum(one.get(name) != other.get(name) for name in {*one, *other})
