"""The winner's curse: the best of many is best partly by luck, so the winners are trained again with seeds that no
search has seen.

They stand with the initial network of the search as the baseline, in a study like any other: same pairs, statistics and
verdicts. Its table is the result of a search.
"""

from __future__ import annotations

from collections.abc import Sequence

from ablations.design.fixed_plan import FixedPlan, fixed_plan
from ablations.design.study import Study, Variant
from ablations.statistics.pareto import front
from search.design.definition import Definition
from search.engine.ledger import Row
from search.engine.search_plan import BASELINE, SearchPlan
from xception.base.canonical import from_json
from xception.network.config import XceptionConfig

__all__ = ["CONFIRMATION_SEED", "confirmation_plan", "losses", "winners"]

# Ablations and searches use seeds from 0, recipe tuning from 10,000.
CONFIRMATION_SEED = 20_000


def losses(row: Row, definition: Definition) -> tuple[float, ...]:
    """Return the objectives of a complete candidate, all to be minimised."""
    return tuple(sign * value for sign, value in zip(definition.signs, row.values, strict=True) if value is not None)


def winners(rows: Sequence[Row], definition: Definition, number: int, baseline: str) -> list[Row]:
    """Return the best candidates: of the front, then of the front of the rest, each by the first objective.

    `baseline` is the canonical JSON of the network that they are compared with, which is not one of them.
    """
    left = [row for row in rows if row.state == "complete" and row.model != baseline]
    out: list[Row] = []
    while left and len(out) < number:
        best = [left[i] for i in front([losses(row, definition) for row in left])]
        out += sorted(best, key=lambda row: (losses(row, definition), row.number))
        left = [row for row in left if row not in best]
    return out[:number]


def confirmation_plan(plan: SearchPlan, chosen: Sequence[Row], *, num_seeds: int, command: str) -> FixedPlan:
    """Return the study of the winners, at the classes and channels of the plan's data, with the initial network of the
    search as the baseline.
    """
    data = {"num_classes": plan.network.num_classes, "in_channels": plan.network.in_channels}
    variants = tuple(
        Variant(name=f"candidate {row.number}", changes={"model": from_json(XceptionConfig, row.model).replace(**data)})
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
