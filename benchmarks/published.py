"""The published results made again from the published records: tables, figures, and all verdicts of a page together.

    python -m benchmarks.published

The folders below `results/` that hold a study keep the plan they were made from in `provenance.json`; each is written
again from `results/records_cpu.jsonl`, with nothing trained. Latencies stay those of the folder, which were measured
together. `results/together.md` and `.csv` hold the studies that share a baseline, read together.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd

from ablations.analysis.families import page_comparisons
from ablations.analysis.frame import plan_frame
from ablations.records.record import StoredPlan
from ablations.records.store import Store
from ablations.records.transfer_records import import_file
from ablations.reporting.extras import write_extras
from ablations.reporting.figures import save_figures, study_figures
from ablations.reporting.markup import to_markdown
from ablations.reporting.report_tables import page_table
from ablations.reporting.results_folder import comparison_with_costs
from ablations.reporting.tables import csv_text, write_runs, write_tables
from xception.base.command_line import parse
from xception.base.files import write_atomically

RECORDS = "records_cpu.jsonl"
KEPT = ("table.csv", "table.md", "table.tex")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write the published tables and figures again from their records."""

    results: Annotated[Path, "folder of published results"] = Path("results")


def publish(results: Path) -> list[str]:
    """Write every study's folder below `results` again, and what they come to together; return the folders' names."""
    folders = {
        json.loads(p.read_text(encoding="utf-8"))["plan"]: p.parent for p in sorted(results.glob("*/provenance.json"))
    }
    with tempfile.TemporaryDirectory() as scratch, closing(Store(f"sqlite:///{scratch}/records.db")) as store:
        import_file(results / RECORDS, store)
        plans = [plan for plan in store.plans() if plan.plan in folders]
        for plan in plans:
            _write(store, plan, folders[plan.plan], Path(scratch))
        together = page_comparisons([plan_frame(store, plan) for plan in plans])
        write_atomically(results / "together.csv", csv_text(together))
        write_atomically(results / "together.md", to_markdown(page_table(together)))
    return sorted(folder.name for folder in folders.values())


def _write(store: Store, plan: StoredPlan, folder: Path, scratch: Path) -> None:
    frame = plan_frame(store, plan)
    comparison = comparison_with_costs(store, plan, frame)
    before = pd.read_csv(folder / "table.csv").set_index("variant")
    for name in ("latency_ms", "latency_device"):
        comparison[name] = comparison["variant"].map(before[name])
    write_tables(comparison, scratch, title=plan.description.question, label=f"tab:{plan.study}")
    for name in KEPT:
        shutil.copyfile(scratch / name, folder / name)
    write_runs(frame, folder)
    write_extras(store, plan, frame, comparison, folder)
    save_figures(study_figures(frame, comparison), folder / "figures")


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parse(Options, args, prog="python -m benchmarks.published", description=Options.__doc__ or "")
    for name in publish(options.results):
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
