"""What some studies have besides their table: effects and interactions of a factorial, the paper's cells, and the
measurements that these need.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ablations.reporting.effects import has_effects, write_effects
from ablations.reporting.markup import DisplayTable
from ablations.reporting.paper import PAPER_STUDIES, measure_steps, paper_cells, stored_steps, write_paper

if TYPE_CHECKING:
    import pandas as pd

    from ablations.design.study_plan import StudyPlan
    from ablations.records.record import StoredPlan
    from ablations.records.store import Store

__all__ = ["measure_extras", "write_extras"]


def write_extras(
    store: Store, plan: StoredPlan, frame: pd.DataFrame, comparison: pd.DataFrame, folder: Path
) -> DisplayTable | None:
    """Write into a study's folder `effects.*` where its variants are a full factorial, and `paper.*` for the paper's
    own tables; return the effects for display.
    """
    effects = write_effects(frame, folder, study=plan.study) if has_effects(frame) else None
    if plan.study in PAPER_STUDIES:
        write_paper(paper_cells(plan.study, comparison, frame, stored_steps(store)), folder, study=plan.study)
    return effects


def measure_extras(plan: StudyPlan, store: Store, *, device: str) -> None:
    """Measure once what the extras of a study need beyond its trials; run it while nothing trains.

    At `smoke` nothing is measured: two networks of full size would take longer than everything else.
    """
    if plan.study.name == "paper_table3" and plan.scale.name != "smoke":
        measure_steps(store, device=device)
