"""The winner's curse: the best of many is best partly by luck, so the winners are trained again with seeds that no search has seen.

They stand beside the network that the search began with, in a study like any other: same pairs, statistics and verdicts. Its table is the
result of a search.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from ablations.plan import StudyPlan
from ablations.study import Study, Variant
from search.definition import Definition
from search.front import front
from search.ledger import Row
from search.plan import BASELINE, SearchPlan
from xception.canonical import from_json
from xception.config import XceptionConfig

__all__ = ["CONFIRMATION_SEED", "ConfirmationPlan", "confirmation_plan", "losses", "winners"]

# Ablations and searches use seeds from 0, recipe tuning from 10,000.
CONFIRMATION_SEED = 20_000


@dataclass(frozen=True, kw_only=True)
class ConfirmationPlan(StudyPlan):
    """A study of fixed variants whose seeds begin at 20,000."""

    asked_by: str
    num_seeds: int

    @property
    def seeds(self) -> range:
        """The fresh seeds."""
        return range(CONFIRMATION_SEED, CONFIRMATION_SEED + self.num_seeds)

    @property
    def command(self) -> str:
        """The command that asks for the search again."""
        return self.asked_by


def losses(row: Row, definition: Definition) -> tuple[float, ...]:
    """Return the objectives of a complete candidate, all to be made small."""
    return tuple(sign * value for sign, value in zip(definition.signs, row.values, strict=True) if value is not None)


def winners(rows: Sequence[Row], definition: Definition, number: int, baseline: str) -> list[Row]:
    """Return the best candidates: of the front, then of what is the front without it, each by the first objective.

    `baseline` is the canonical JSON of the network that they are compared with, which is none of them.
    """
    left = [row for row in rows if row.state == "complete" and row.model != baseline]
    out: list[Row] = []
    while left and len(out) < number:
        best = [left[i] for i in front([losses(row, definition) for row in left])]
        out += sorted(best, key=lambda row: (losses(row, definition), row.number))
        left = [row for row in left if row not in best]
    return out[:number]


def confirmation_plan(plan: SearchPlan, chosen: Sequence[Row], *, num_seeds: int, command: str) -> ConfirmationPlan:
    """Return the study of the winners beside the network that the search began with."""
    variants = tuple(
        Variant(name=f"candidate {row.number}", changes={"model": from_json(XceptionConfig, row.model)}) for row in chosen
    )
    study = Study(
        name=f"search_{plan.space.name}",
        question=f"Are the best {len(chosen)} of the search for {_lowered(plan.space.question)} better than the network it began with?",
        variants=(Variant(name=BASELINE), *variants),
        baseline=BASELINE,
        varies=("model",),
        source=f"found by search ({plan.definition.sampler})",
    )
    designs = study.designs(plan.design)
    study.require_distinct(designs)
    base = {f.name: getattr(plan.base, f.name) for f in dataclasses.fields(plan.base)}
    return ConfirmationPlan(**base | {"study": study, "designs": designs, "asked_by": command, "num_seeds": num_seeds})


def _lowered(question: str) -> str:
    return f'"{question}"'
