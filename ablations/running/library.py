"""A study from Python, as in a script or a notebook: the same run as the command line's, and its results as frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ablations.design.study import Match, Study

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Results", "run"]


@dataclass(frozen=True, kw_only=True)
class Results:
    """What a run left: its folder, the frame of its records, and the comparison with costs, one row per variant."""

    folder: Path
    frame: pd.DataFrame
    comparison: pd.DataFrame


def run(
    study: str | Study,
    *,
    scale: str | None = None,
    dataset: str | None = None,
    seeds: int | Literal["auto"] | None = None,
    preset: str | None = None,
    epochs: int | None = None,
    train_size: int | None = None,
    classes: str | None = None,
    match: Match = "none",
    weights: str | Path | None = None,
    data_dir: str | Path | None = None,
    out: str | Path = "results/local",
    store: str | None = None,
    device: str = "auto",
    workers: int = 1,
    threads: int = 1,
) -> Results:
    """Run a study, given itself or by name or file, and return its results; the options are those of the command line.

    One worker is this process. More are processes of their own, which need the usual `if __name__ == "__main__":` in a
    script.

    Raises:
        ValueError: an option, the data or a variant does not fit.
        RuntimeError: a trial failed; the others are stored, and running again tries only the failed ones.
    """
    from ablations.analysis.frame import plan_frame
    from ablations.costs.variant_costs import latency_budget, measure_costs
    from ablations.design.scales import default_scale
    from ablations.design.study_plan import Options, plan_study
    from ablations.execution.backend import Machines, check_machines, default_device
    from ablations.execution.executors import LocalExecutor, SerialExecutor
    from ablations.execution.progress import ProgressDisplay
    from ablations.records.store import Store
    from ablations.reporting.extras import measure_extras
    from ablations.reporting.results_folder import comparison_with_costs, write_results
    from ablations.running.run import first_line, require_writable
    from ablations.running.run_study import run_study
    from ablations.studies import get_study

    check_machines(Machines(device=device, workers=workers, threads=threads))
    options = Options(
        scale=scale or default_scale(),
        dataset=dataset,
        seeds=seeds,
        preset=preset,
        epochs=epochs,
        train_size=train_size,
        classes=classes,
        match=match,
        weights=None if weights is None else Path(weights),
        data_dir=None if data_dir is None else Path(data_dir),
        out=Path(out),
        store=store,
    )
    require_writable(options.out)
    plan = plan_study(get_study(study) if isinstance(study, str) else study, options)
    executor = SerialExecutor() if workers == 1 else LocalExecutor(num_workers=workers)
    where = default_device(device)
    opened = Store(options.store_url)
    try:
        with ProgressDisplay() as display:
            for line in (first_line(plan), *plan.remarks):
                display.say(line)
            outcome = run_study(plan, opened, executor, display, device=where, threads=threads)
        frame = plan_frame(opened, outcome.plan)
        budget = latency_budget(float(frame["train_seconds"].sum()) / workers)
        measure_costs(plan.designs, opened, device=where, time_budget_s=budget)
        measure_extras(plan, opened, device=where)
        folder = write_results(opened, outcome.plan, options.out)
        comparison = comparison_with_costs(opened, outcome.plan, frame)
    finally:
        opened.close()
    if outcome.num_failed:
        reason = frame.loc[frame["status"] == "failed", "reason"].iloc[0]
        raise RuntimeError(f"{outcome.num_failed} trials failed, the first with: {reason}; the others are in {folder}")
    return Results(folder=folder, frame=frame, comparison=comparison)
