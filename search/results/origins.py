"""Where a search's candidates came from: how many were drawn at random after its sampler's start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.design.definition import POPULATED, Definition
from search.engine.ledger import Row

__all__ = ["Origins", "origins"]

_STARTS = 10  # of the samplers that learn from all results


@dataclass(frozen=True, kw_only=True)
class Origins:
    """Candidates after the sampler's start, and shares of them: drawn at random, and changed to the nearest network
    that is new and within the limits.
    """

    start: int
    number: int
    drawn: float
    changed: float

    @property
    def sentence(self) -> str:
        """The shares in words."""
        return (
            f"Of {self.number} candidates after the sampler's first {self.start}, {self.drawn:.0%} were drawn at"
            " random and"
            f" {self.changed:.0%} moved to the nearest network that is new and within the limits"
        )


def origins(rows: Sequence[Row], definition: Definition) -> Origins | None:
    """Return the origins of a search's candidates; None before its sampler has started, or where all are random."""
    if definition.sampler in ("random", "qmc"):
        return None
    start = definition.population if definition.sampler in POPULATED else _STARTS
    if definition.sampler == "local":
        start = max(2, definition.population // 4)
    counted = [row for row in rows if not row.is_turned_away][start:]
    if not counted:
        return None
    drawn = sum(row.origin == "drawn" or _lacks_generation(row, definition) for row in counted)
    changed = sum(row.changes > 0 for row in counted)
    return Origins(start=start, number=len(counted), drawn=drawn / len(counted), changed=changed / len(counted))


def _lacks_generation(row: Row, definition: Definition) -> bool:
    """Whether a candidate belongs to a genetic sampler's first, random generation."""
    if definition.sampler not in ("nsga2", "nsga3"):
        return False
    generation = next((v for name, v in row.trial_attributes.items() if name.endswith(":generation")), 0)
    return not generation
