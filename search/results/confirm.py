"""The winner's curse: the best of many is best partly by luck, so the winners are trained again with seeds that no
search has seen.

They stand beside the network that the search began with, in a study like any other: same pairs, statistics and
verdicts. Its table is the result of a search.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from ablations.design.study import Design, Study, Variant
from ablations.design.study_plan import StudyPlan
from ablations.statistics.pareto import front
from search.design.definition import Definition
from search.engine.ledger import Row
from search.engine.search_plan import BASELINE, SearchPlan
from xception.base.canonical import from_json
from xception.network.config import XceptionConfig

__all__ = ["CONFIRMATION_SEED", "FixedPlan", "confirmation_plan", "fixed_plan", "losses", "winners"]

# Ablations and searches use seeds from 0, recipe tuning from 10,000.
CONFIRMATION_SEED = 20_000


@dataclass(frozen=True, kw_only=True)
class FixedPlan(StudyPlan):
    """The plan of a study that is in no catalogue: with given seeds, and the command that asks for it again."""

    asked_by: str
    seed_range: range

    @property
    def is_sequential(self) -> bool:
        """Whether the number of seeds is decided as results come in: it is not."""
        return False

    @property
    def seeds(self) -> range:
        """The seeds of every variant."""
        return self.seed_range

    @property
    def command(self) -> str:
        """The command that asks for this run again."""
        return self.asked_by


def fixed_plan(base: StudyPlan, study: Study, designs: dict[str, Design], *, seeds: range, command: str) -> FixedPlan:
    """Return the plan of some designs on the data of another plan, with a folder of its own beside that plan's."""
    kept = {field.name: getattr(base, field.name) for field in dataclasses.fields(StudyPlan)}
    run = base.run.replace(base.study.name, study.name, 1)
    return FixedPlan(
        **{**kept, "study": study, "designs": designs, "asked_by": command, "seed_range": seeds, "run": run}
    )


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


def confirmation_plan(plan: SearchPlan, chosen: Sequence[Row], *, num_seeds: int, command: str) -> FixedPlan:
    """Return the study of the winners beside the network that the search began with."""
    variants = tuple(
        Variant(name=f"candidate {row.number}", changes={"model": from_json(XceptionConfig, row.model)})
        for row in chosen
    )
    asked = f"Are the best {len(chosen)} of the search" if len(chosen) > 1 else "Is the best of the search"
    study = Study(
        name=f"search_{plan.name}",
        question=f"{plan.space.question} {asked} better than the network that it began with?",
        variants=(Variant(name=BASELINE), *variants),
        baseline=BASELINE,
        varies=("model",),
        reference="",
    )
    designs = study.designs(plan.design)
    study.require_distinct(designs)
    seeds = range(CONFIRMATION_SEED, CONFIRMATION_SEED + num_seeds)
    return fixed_plan(plan.base, study, designs, seeds=seeds, command=command)
