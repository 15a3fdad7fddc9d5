"""`--study`: run a study and print its table, or preview a run."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from ablations.costs.training_cost import duration, estimate_seconds, read_speed
from ablations.design.across import expand
from ablations.design.options import Options
from ablations.design.plan_study import plan_study
from ablations.design.study_plan import StudyPlan
from ablations.execution.backend import Backend, is_distributed, open_backend
from ablations.records.databases import file_of
from ablations.records.store import Store
from ablations.running.across import AcrossPlan, plan_across, run_across, show_across
from ablations.running.context import check_options, open_context
from ablations.running.machine_notices import machine_notices
from ablations.running.run_study import Outcome, first_line, run_study
from ablations.running.training import keys_without_network
from ablations.studies import get_study

__all__ = ["run", "run_plan"]

DONE, SOME_FAILED = 0, 1


def run(study: str, options: Options, *, dry_run: bool = False, again: str = "") -> int:
    """Run a study and print its table; return the exit status. `again` is the command as it was typed."""
    chosen = get_study(study)
    check_options(options)
    settings = expand(chosen, options)
    if len(settings) > 1:
        return _run_across(plan_across(chosen, options, unasked=dry_run), dry_run=dry_run, again=again)
    options = settings[0].options if settings else options
    if dry_run or options.executor != "local" or is_distributed():
        return run_plan(plan_study(chosen, options), dry_run=dry_run, again=again)
    backend = open_backend(options)
    with backend.keeping_workers(len(chosen.variants)):  # which import torch while the study is planned
        return run_plan(plan_study(chosen, options), dry_run=dry_run, again=again, backend=backend)


def run_plan(plan: StudyPlan, *, dry_run: bool, again: str, backend: Backend | None = None) -> int:
    """Run a plan and print its table, or preview it; return the exit status."""
    if dry_run:
        return _show(plan)
    with open_context(plan, backend=backend) as context:
        print(first_line(plan), file=sys.stderr)
        outcome = run_study(context)
    return _conclude(plan, outcome, again or plan.command)


def _run_across(across: AcrossPlan, *, dry_run: bool, again: str) -> int:
    if dry_run:
        show_across(across)
        return DONE
    outcome = run_across(across)
    print(f"{across.study.question} In {len(across.settings)} settings:")
    for line in outcome.sentences:
        print(f"- {line}")
    failed = sum(one.training.num_failed for one in outcome.outcomes)
    trained = sum(one.training.num_trained for one in outcome.outcomes)
    print(f"{trained} trials trained in {duration(sum(one.seconds for one in outcome.outcomes))}", file=sys.stderr)
    print(f"Results: {outcome.folder}", file=sys.stderr)
    if failed:
        print(f"{failed} trials failed; try them again with: {again or across.command}", file=sys.stderr)
        return SOME_FAILED
    return DONE


def _conclude(plan: StudyPlan, outcome: Outcome, again: str) -> int:
    training = outcome.training
    trained = f"{training.num_trained} trials trained in {duration(outcome.seconds)}"
    tuning = f"; {training.num_tuning} of them are tuning trials" if training.num_tuning else ""
    print(
        f"{trained if training.num_trained else 'nothing was trained'}, {training.num_stored} were stored already"
        f"{tuning}",
        file=sys.stderr,
    )
    print(_for_terminal(outcome.results.folder / "table.md"))
    if (outcome.results.folder / "effects.md").is_file():
        print(_for_terminal(outcome.results.folder / "effects.md"))
    if plan.options.tune:
        print(_for_terminal(outcome.results.folder / "side_by_side.md"))
    print(f"Results: {outcome.results.folder}", file=sys.stderr)
    if training.num_failed:
        print(f"{training.num_failed} trials failed; try them again with: {again}", file=sys.stderr)
        return SOME_FAILED
    return DONE


def _for_terminal(path: Path) -> str:
    """A table in Markdown; in a terminal, as wide as the terminal."""
    text = path.read_text(encoding="utf-8")
    if not sys.stdout.isatty():
        return text
    from ablations.reporting.terminal import fitted

    return fitted(text, shutil.get_terminal_size().columns)


def _show(plan: StudyPlan) -> int:
    """Print the trials of a plan, which of them are stored, and the cost of the rest."""
    url = plan.options.store_url
    trials = plan.trials()
    statuses: dict[str, str] = {}
    again: set[str] = set()
    database = file_of(url)
    if database is None or database.is_file():
        store = Store(url)
        statuses = store.statuses(t.key for t in trials.values())
        again = keys_without_network(plan.options, store, statuses)
        store.close()
    print(first_line(plan), file=sys.stderr)
    for (variant, seed), trial in trials.items():
        status = "no network" if trial.key in again else statuses.get(trial.key, "to train")
        print(f"{trial.key[:12]}  {status:<10}  seed {seed}  {variant}")
    for line in (*plan.remarks, *machine_notices(plan)):
        print(line, file=sys.stderr)
    rest = [t for t in trials.values() if t.key in again or statuses.get(t.key) not in ("complete", "diverged")]
    seconds = estimate_seconds(((trial, plan.source_of(trial)) for trial in rest), read_speed(plan.options.out))
    most = " at most" if plan.is_sequential else ""
    cost = f"about {duration(seconds)}" if seconds is not None else "this machine's speed is measured in the first run"
    print(
        f"{len(trials)} trials{most}, {len(trials) - len(rest)} stored, {len(rest)} to train: {cost}", file=sys.stderr
    )
    if plan.options.tune:
        tuning = plan.options.tune * len(plan.designs) * len(plan.seeds)
        print(
            f"and for tuning {tuning} trials ({plan.options.tune} for each of {len(plan.designs)} variants and"
            f" {len(plan.seeds)} replicates) and {len(trials)} at the tuned recipes: {tuning + 2 * len(trials)} in all",
            file=sys.stderr,
        )
    return DONE
