"""`--report`: tables, figures and report again from the store; nothing is trained or measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ablations.analysis.frame import named_runs
from ablations.design.study_plan import TUNED
from ablations.records.databases import file_of
from ablations.records.store import Store
from ablations.reporting.own_files import require_own_page
from ablations.reporting.presentation import AS_USUAL, Presentation
from ablations.reporting.results_folder import OVERVIEW, write_overview, write_study
from ablations.reporting.settings_results import settings_groups, write_settings
from ablations.running.context import require_writable

if TYPE_CHECKING:
    import pandas as pd

    from ablations.records.record import StoredPlan

__all__ = ["report"]


def report(*, study: str | None, out: Path, store: str | None, presentation: Presentation = AS_USUAL) -> int:
    """Write the results of one run, of all runs of a study, or of every run in the store; return the exit status."""
    url = store or f"sqlite:///{out / 'records.db'}"
    database = file_of(url)
    if database is not None and not database.is_file():
        raise ValueError(f"--store: {database} does not exist; run a study first, or name a store with --store")
    require_writable(out)
    if study is None:
        require_own_page(out / OVERVIEW)
    opened = Store(url)
    try:
        try:
            plans = named_runs(opened, study)
        except ValueError as error:
            raise ValueError(f"--{error}") from None
        if not plans:
            raise ValueError(f"--store: {opened.name} holds no study yet; run one first")
        known = {plan.run: plan for plan in named_runs(opened)}
        plans = [plan for plan in plans if plan.run.removesuffix(TUNED) not in known or not plan.run.endswith(TUNED)]
        contexts = []
        for plan in plans:
            tuned = _tuned(known.get(f"{plan.run}{TUNED}"), out / plan.run)
            contexts.append(write_study(opened, plan, out, tuned=tuned, presentation=presentation))
            print(f"Results: {out / plan.run}", file=sys.stderr)
        for group in settings_groups(plans):
            print(f"Settings: {write_settings(opened, group, out, presentation=presentation).folder}", file=sys.stderr)
        if study is None:
            print(f"All studies: {write_overview(contexts, out)}", file=sys.stderr)
    finally:
        opened.close()
    return 0


def _tuned(plan: StoredPlan | None, folder: Path) -> tuple[StoredPlan, pd.DataFrame] | None:
    """The same study at tuned recipes, with the tuning trials that the existing folder lists."""
    trials = folder / "tuned" / "tuning.csv"
    if plan is None or not trials.is_file():
        return None
    import pandas as pd

    return plan, pd.read_csv(trials)
