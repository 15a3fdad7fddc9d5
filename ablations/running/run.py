"""`--study`: run a study from plan to results, or show what a run would do."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ablations.analysis.frame import plan_frame
from ablations.costs.training_cost import duration, estimate_seconds, read_speed, write_speed
from ablations.costs.variant_costs import latency_budget, measure_costs
from ablations.design.study_plan import Options, StudyPlan, plan_study
from ablations.execution.backend import Machines, Place, check_machines, open_place
from ablations.execution.executors import Executor
from ablations.execution.progress import ProgressDisplay
from ablations.execution.tensorboard import CurveLog
from ablations.records.store import Store
from ablations.running.preparation import Preparation
from ablations.running.run_study import run_study
from ablations.studies import get_study

if TYPE_CHECKING:
    import pandas as pd

    from ablations.records.record import Plan

__all__ = ["TunedStudy", "Tuner", "run"]

DONE, SOME_FAILED = 0, 1


class TunedStudy(Protocol):
    """What a tuner gives back: the study at each variant's own best recipe, and the trials that were spent on it."""

    @property
    def trials(self) -> pd.DataFrame:
        """One row per tuning trial."""

    def plan(self, plan: StudyPlan) -> StudyPlan:
        """Return the study's plan with every variant at its best recipe."""


# Called after the comparison at the fixed recipe; tuning lives above this package, so it is handed in.
Tuner = Callable[[StudyPlan, Store, Executor, ProgressDisplay, str, int], TunedStudy]


def run(
    *,
    study: str,
    options: Options,
    machines: Machines,
    dry_run: bool,
    tuner: Tuner | None = None,
    tensorboard: bool = False,
) -> int:
    """Run a study and write its results; return the exit status. With a tuner the study is run at tuned recipes as
    well.
    """
    chosen = get_study(study)
    check_machines(machines)
    require_writable(options.out)
    plan = plan_study(chosen, options)
    if dry_run:
        return _show(plan)
    log = CurveLog(options.out / "tensorboard" / plan.study.name) if tensorboard else None
    store = Store(options.store_url)
    try:
        store.check_pages()
        place = open_place(machines)
        with log or nullcontext():
            status = _run(plan, store, place, ProgressDisplay(log=log), threads=machines.threads, tuner=tuner)
        place.close()
        return status
    finally:
        store.close()


def _run(
    plan: StudyPlan, store: Store, place: Place, display: ProgressDisplay, *, threads: int, tuner: Tuner | None
) -> int:
    options, executor, device = plan.options, place.executor, place.device
    print(first_line(plan), file=sys.stderr)
    began = time.monotonic()
    with display, Preparation(plan.designs, store, device=place.own_device) as ahead:
        for line in plan.remarks:
            display.say(line)
        display.know(_known(plan, store))
        outcome = run_study(plan, store, executor, display, device=device, threads=threads, ahead=ahead)
        tuned = _run_tuned(plan, store, executor, display, device, threads, tuner) if tuner else None
    training_seconds = time.monotonic() - began
    # Only now: pandas, scipy and matplotlib would keep the first trial waiting.
    from ablations.reporting.extras import measure_extras
    from ablations.reporting.results_folder import broken_images, write_results

    frame = plan_frame(store, outcome.plan)
    at_a_time = max(1.0, outcome.train_seconds / training_seconds)
    budget = latency_budget(float(frame["train_seconds"].sum()) / at_a_time)
    measure_costs(plan.designs, store, device=place.own_device, time_budget_s=budget)
    measure_extras(plan, store, device=place.own_device)
    folder = write_results(store, outcome.plan, options.out, tuned=tuned)
    if outcome.train_seconds > 0:
        write_speed(
            options.out,
            work=outcome.training_work,
            work_per_second=at_a_time * outcome.training_work / outcome.train_seconds,
        )
    for line in broken_images(frame):
        print(line, file=sys.stderr)
    trained = (
        f"{outcome.num_trained} trials trained in {duration(training_seconds)}"
        if outcome.num_trained
        else "nothing was trained"
    )
    print(f"{trained}, {outcome.num_stored} were stored already", file=sys.stderr)
    print((folder / "table.md").read_text())
    if tuned is not None:
        print((folder / "side_by_side.md").read_text())
    print(f"Results: {folder}", file=sys.stderr)
    if outcome.num_failed:
        print(f"{outcome.num_failed} trials failed; try them again with: {plan.command}", file=sys.stderr)
        return SOME_FAILED
    return DONE


def _known(plan: StudyPlan, store: Store) -> list[tuple[str, float]]:
    """The variant and test accuracy of every trial that is stored already."""
    variants = {trial.key: variant for (variant, _), trial in plan.trials().items()}
    records = store.get(variants).values()
    return [(variants[r.key], r.test_accuracy) for r in records if r.test_accuracy is not None]


def _run_tuned(
    plan: StudyPlan, store: Store, executor: Executor, display: ProgressDisplay, device: str, threads: int, tuner: Tuner
) -> tuple[Plan, pd.DataFrame]:
    display.say(
        f"Tuning learning rate and weight decay: {plan.options.tune} trials for each of {len(plan.designs)} variants"
    )
    found = tuner(plan, store, executor, display, device, threads)
    return run_study(found.plan(plan), store, executor, display, device=device, threads=threads).plan, found.trials


def first_line(plan: StudyPlan) -> str:
    """Return the sentence that says what is run on which data."""
    text = f"Study {plan.study.name} on {plan.source.title} at scale {plan.scale.name}: {plan.study.question}"
    return f"{plan.notice}\n{text}" if plan.notice else text


def _show(plan: StudyPlan) -> int:
    """Print the trials of a plan, which of them are stored, and the cost of the rest."""
    url = plan.options.store_url
    trials = plan.trials()
    statuses: dict[str, str] = {}
    database = url.removeprefix("sqlite:///")
    if database == url or Path(database).is_file():
        store = Store(url)
        statuses = store.statuses(t.key for t in trials.values())
        store.close()
    print(first_line(plan), file=sys.stderr)
    for (variant, seed), trial in trials.items():
        print(f"{trial.key[:12]}  {statuses.get(trial.key, 'to train'):<9}  seed {seed}  {variant}")
    for line in plan.remarks:
        print(line, file=sys.stderr)
    rest = [t for t in trials.values() if statuses.get(t.key) not in ("complete", "diverged")]
    sizes = ((trial, plan.source_of(trial)) for trial in rest)
    seconds = estimate_seconds(sizes, read_speed(plan.options.out))
    most = " at most" if plan.is_sequential else ""
    cost = f"about {duration(seconds)}" if seconds is not None else "this machine's speed is measured in the first run"
    print(
        f"{len(trials)} trials{most}, {len(trials) - len(rest)} stored, {len(rest)} to train: {cost}", file=sys.stderr
    )
    return DONE


def require_writable(folder: Path) -> None:
    """Make the output folder where it is missing.

    Raises:
        ValueError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "permission denied")
    except OSError as error:
        raise ValueError(f"--out: {folder} cannot be written ({error.strerror}); allowed: a folder that can") from None
