"""Run a study: plan, skip what is stored, execute the rest, keep every record as it comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ablations.analysis.frame import plan_frame
from ablations.costs.training_cost import training_work, trial_work
from ablations.design.study_plan import StudyPlan
from ablations.design.trial import Trial, read_trial
from ablations.execution.execute import execute
from ablations.execution.executors import Event, Executor, Finished, Started
from ablations.execution.kept_weights import find_weights
from ablations.execution.progress import Label
from ablations.execution.task import Task
from ablations.records.record import Plan, Record
from ablations.records.store import Store

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Ahead", "Display", "Outcome", "run_study"]


class Ahead(Protocol):
    """What is made ready for the results while the last trials train."""

    def begin(self) -> None:
        """Start, unless it has started before: a trial has ended, none waits, and some still train."""

    def finish(self) -> None:
        """Wait for what was started."""


class Display(Protocol):
    """What a run needs of a display."""

    def say(self, line: str) -> None:
        """Print one line."""

    def expect(self, labels: dict[str, Label]) -> None:
        """Add trials that are about to run, by key."""

    def show(self, event: Event) -> None:
        """Take one event into the display."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run did: the plan as it stands in the store, and how much was trained."""

    plan: Plan
    num_trained: int
    num_stored: int
    num_failed: int
    training_work: float
    train_seconds: float


def run_study(
    plan: StudyPlan,
    store: Store,
    executor: Executor,
    display: Display,
    *,
    device: str,
    threads: int,
    ahead: Ahead | None = None,
) -> Outcome:
    """Train what the plan needs and the store does not have; each record is written as it comes.

    With `--seeds auto` the looks of the sequential design decide after each round which variants go on. `ahead` begins
    once a worker has nothing left to do.
    """
    trained: set[str] = set()
    found: set[str] = set()
    work = seconds = 0.0
    seeds = _first_seeds(plan)
    while True:
        stored_plan = plan.stored_plan(seeds)
        store.put_plan(stored_plan)
        trials = plan.trials(seeds)
        statuses = store.statuses(trial.key for trial in trials.values())
        final = {key for key, status in statuses.items() if status != "failed"}
        found |= final - trained
        todo = {place: trial for place, trial in trials.items() if trial.key not in final and trial.key not in trained}
        if final - trained:
            display.say(f"{len(final - trained)} of {len(trials)} trials are stored already and are not trained again")
        for record in _execute(plan, todo, store, executor, display, device=device, threads=threads, ahead=ahead):
            trained.add(record.key)
            if record.train_seconds is not None and record.status == "complete":
                trial = read_trial(record.trial)
                work += training_work(trial, plan.source_of(trial))
                seconds += record.train_seconds
        more = None if seeds is None else _more_seeds(seeds, plan_frame(store, stored_plan), display)
        if more is None:
            break
        seeds = more
    after = store.statuses(member.key for member in stored_plan.members)
    return Outcome(
        plan=stored_plan,
        num_trained=len(trained),
        num_stored=len(found),
        num_failed=sum(after.get(member.key, "failed") == "failed" for member in stored_plan.members),
        training_work=work,
        train_seconds=seconds,
    )


def _execute(
    plan: StudyPlan,
    todo: dict[tuple[str, int], Trial],
    store: Store,
    executor: Executor,
    display: Display,
    *,
    device: str,
    threads: int,
    ahead: Ahead | None,
) -> list[Record]:
    """Run trials, the costly ones first so that no long one is left alone at the end; return the records of those
    trained here.
    """
    costs = {trial.key: trial_work(trial, plan.source_of(trial)) for trial in todo.values()}
    weights = _source_networks(plan, list(todo), store, executor, display, device=device, threads=threads)
    labels = {
        trial.key: Label(variant=variant, seed=seed, num_epochs=trial.recipe.epochs, cost=costs[trial.key])
        for (variant, seed), trial in todo.items()
    }
    display.expect(labels)
    ordered: Sequence[Trial] = sorted(todo.values(), key=lambda trial: -costs[trial.key])
    tasks = [_task(plan, trial, weights, device=device, threads=threads) for trial in ordered]
    done = []
    waiting, unfinished = set(labels), set(labels)
    for event in execute(tasks, store, executor, display.say):
        if isinstance(event, Finished) and not event.elsewhere:
            done.append(event.record)
        display.show(event)
        if isinstance(event, Started):
            waiting.discard(event.key)
        elif isinstance(event, Finished):
            waiting.discard(event.record.key)
            unfinished.discard(event.record.key)
            if ahead and unfinished and not waiting:
                ahead.begin()
    if ahead:
        ahead.finish()
    return done


def _source_networks(
    plan: StudyPlan,
    places: Sequence[tuple[str, int]],
    store: Store,
    executor: Executor,
    display: Display,
    *,
    device: str,
    threads: int,
) -> dict[str, Path]:
    """Train the networks that transfers begin with and that are not on disk; return the files of all, by what recipes
    call them.

    Their records are kept as any other's, so a network whose weights were lost is trained again and its record stays.
    """
    pretraining = plan.pretraining(places)
    folder = plan.options.out / "weights"
    todo = {t.key: t for t in pretraining.values() if find_weights(t.key, folder, store) is None}
    if todo:
        display.say(
            f"{len(todo)} source networks are trained first, on {plan.source_of(next(iter(todo.values()))).title}"
        )
        display.expect(
            {
                key: Label(
                    variant="source network",
                    seed=trial.seed,
                    num_epochs=trial.recipe.epochs,
                    cost=trial_work(trial, plan.source_of(trial)),
                )
                for key, trial in todo.items()
            }
        )
        tasks = [
            replace(_task(plan, trial, {}, device=device, threads=threads), keep_weights=folder)
            for trial in todo.values()
        ]
        for event in execute(tasks, store, executor, display.say):
            display.show(event)
    found = {name: find_weights(trial.key, folder, store) for name, trial in pretraining.items()}
    paths = {name: path or folder / f"{pretraining[name].key}.safetensors" for name, path in found.items()}
    return {**plan.weights, **paths}


def _task(plan: StudyPlan, trial: Trial, weights: Mapping[str, Path], *, device: str, threads: int) -> Task:
    transfer = trial.recipe.transfer
    begin = None if transfer is None or transfer.source is None else weights[transfer.source]
    return Task(
        trial=trial,
        source=plan.source_of(trial),
        device=device,
        threads=threads,
        weights=begin,
        trials=plan.options.out / "trials",
    )


def _first_seeds(plan: StudyPlan) -> dict[str, int] | None:
    if not plan.is_sequential:
        return None
    from ablations.analysis.racing import FIRST_SEEDS

    return dict.fromkeys(plan.designs, FIRST_SEEDS)


def _more_seeds(seeds: dict[str, int], frame: pd.DataFrame, display: Display) -> dict[str, int] | None:
    """Return the next look's seeds per variant, or None where every variant is settled."""
    from ablations.analysis.racing import next_step

    step = next_step(frame)
    for variant, reason in step.reasons.items():
        display.say(f"{variant} {reason}")
    if step.num_seeds == seeds:
        display.say(f"--seeds auto: {step.saving}")
        return None
    return step.num_seeds
