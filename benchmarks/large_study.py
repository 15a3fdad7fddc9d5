"""What a study of a thousand variants takes in addition to training: planning, its table, figures and report.

    python -m benchmarks.large_study            # 1,000 variants, 3 seeds
    python -m benchmarks.large_study --short    # 100 variants

Every variant is the baseline at another learning rate. Records are synthetic, with the keys of the plan, so nothing is
trained; each part is timed once, imports included.
"""

from __future__ import annotations

import dataclasses
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ablations.design.options import Options
from ablations.design.plan_study import plan_study
from ablations.design.study import Study, Variant
from ablations.design.study_plan import StudyPlan
from ablations.records.record import Record
from ablations.records.store import Store
from benchmarks.store import made_up_records, peak_memory
from xception.base.command_line import parse

PROG = "python -m benchmarks.large_study"
FULL, SHORT, SEEDS = 1000, 100, 3
PARTS = {
    "plan": "planning, all designs and keys",
    "put_plan": "the plan into the store",
    "put_records": "records into the store",
    "table": "table, all comparisons",
    "results": "table, figures and report in files",
}

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the command."""

    variants: int | None = None
    """Variants of the study, instead of those of the full or the short run."""
    short: bool = False
    """Fewer variants."""
    json: bool = False
    """Print one JSON document."""


def large_study(num_variants: int) -> Study:
    """Return a study of the learning rate with a number of variants, the baseline among them."""
    rates = [0.2 * 1.001**i for i in range(num_variants)]
    variants = tuple(
        Variant(name=f"rate {i}", changes={"recipe.optimizer.learning_rate": rate}) for i, rate in enumerate(rates)
    )
    return Study(
        name="large",
        question="Which of many learning rates is best?",
        variants=variants,
        baseline=variants[0].name,
        varies=("recipe.optimizer.learning_rate",),
        reference="none",
    )


def records_of(plan: StudyPlan) -> list[Record]:
    """Return a synthetic record for each trial of a plan."""
    generator = random.Random(0)
    (template,) = made_up_records(1)
    out = []
    for trial in plan.trials().values():
        accuracy = generator.gauss(0.6, 0.02)
        own: dict[str, Any] = {
            "key": trial.key,
            "trial": trial.to_json(),
            "val_accuracy": accuracy,
            "test_accuracy": accuracy,
        }
        out.append(dataclasses.replace(template, **own))
    return out


def measure(num_variants: int, folder: Path) -> dict[str, Any]:
    """Return the seconds of each part for a study with a number of variants."""
    from ablations.analysis.comparison import compare
    from ablations.analysis.frame import plan_frame
    from ablations.reporting.results_folder import write_results

    study = large_study(num_variants)
    options = Options(scale="quick", dataset="synthetic", seeds=SEEDS, out=folder)
    plan_study(large_study(2), options)  # reads the data for the first time
    seconds: dict[str, float] = {}

    def timed(name: str, action: Callable[[], T]) -> T:
        began = time.perf_counter()
        out = action()
        seconds[name] = time.perf_counter() - began
        return out

    plan = plan_study(study, options)
    stored = timed("plan", lambda: plan_study(study, options).stored_plan())
    records = records_of(plan)
    with closing(Store(options.store_url)) as store:
        timed("put_plan", lambda: store.put_plan(stored))
        timed("put_records", lambda: store.put_all(records))
        timed("table", lambda: compare(plan_frame(store, stored)))
        timed("results", lambda: write_results(store, stored, folder))
    return {"variants": num_variants, "trials": len(records), "seconds": seconds, "peak_memory_bytes": peak_memory()}


def main(args: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit status."""
    asked = parse(Arguments, args, prog=PROG, description="What many variants cost in addition to training.")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(asked.variants or (SHORT if asked.short else FULL), Path(folder))
    from xception.profile.environment import read_environment

    found["environment"] = dataclasses.asdict(read_environment("cpu"))
    if asked.json:
        print(json.dumps(found, indent=2))
        return 0
    print(f"a study of {found['variants']:,} variants and {found['trials']:,} trials")
    for name, what in PARTS.items():
        print(f"  {what:40}{found['seconds'][name]:8.2f} s")
    print(f"most memory of the process: {found['peak_memory_bytes'] / 1e6:,.0f} MB")
    print("environment: " + ", ".join(f"{k} {v}" for k, v in found["environment"].items() if v is not None))
    return 0


if __name__ == "__main__":
    sys.exit(main())
