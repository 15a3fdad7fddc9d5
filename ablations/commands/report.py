"""`--report`: tables, figures and report again from the store; nothing is trained or measured."""

from __future__ import annotations

import sys
from pathlib import Path

from ablations.records.databases import file_of
from ablations.records.record import Plan
from ablations.records.store import Store
from ablations.reporting.results_folder import write_overview, write_results
from ablations.running.context import require_writable

__all__ = ["report"]


def report(*, study: str | None, out: Path, store: str | None) -> int:
    """Write the results of one study, or of every study in the store; return the exit status."""
    url = store or f"sqlite:///{out / 'records.db'}"
    database = file_of(url)
    if database is not None and not database.is_file():
        raise ValueError(f"--store: {database} does not exist; run a study first, or name a store with --store")
    require_writable(out)
    opened = Store(url)
    try:
        latest: dict[str, Plan] = {}
        for plan in opened.plans(study):
            latest.setdefault(plan.study, plan)
        if not latest:
            known = ", ".join(sorted({plan.study for plan in opened.plans()})) or "none"
            if study is None:
                raise ValueError(f"--store: {opened.name} holds no study yet; run one first")
            raise ValueError(f"--study: {study!r} is not in {opened.name}; studies there: {known}")
        for plan in latest.values():
            print(f"Results: {write_results(opened, plan, out)}", file=sys.stderr)
        if study is None:
            print(f"All studies: {write_overview(opened, list(latest.values()), out)}", file=sys.stderr)
    finally:
        opened.close()
    return 0
