"""The plan of a study outside the catalogue: of a search, or of a trial that is continued."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ablations.design.study import Design, Study
from ablations.design.study_plan import StudyPlan

__all__ = ["FixedPlan", "fixed_plan"]


@dataclass(frozen=True, kw_only=True)
class FixedPlan(StudyPlan):
    """The plan of a study outside the catalogue, with given seeds and the command that repeats it."""

    asked_by: str
    seed_range: range

    @property
    def is_sequential(self) -> bool:
        """Whether the number of seeds depends on results: always false."""
        return False

    @property
    def seeds(self) -> range:
        """The seeds of every variant."""
        return self.seed_range

    @property
    def command(self) -> str:
        """The command that repeats this run."""
        return self.asked_by


def fixed_plan(base: StudyPlan, study: Study, designs: dict[str, Design], *, seeds: range, command: str) -> FixedPlan:
    """Return the plan of some designs on the data of another plan, with its own folder next to that plan's."""
    kept = {field.name: getattr(base, field.name) for field in dataclasses.fields(StudyPlan)}
    run = base.run.replace(base.study.name, study.name, 1)
    return FixedPlan(
        **{**kept, "study": study, "designs": designs, "asked_by": command, "seed_range": seeds, "run": run}
    )
