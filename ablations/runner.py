"""Run a study: plan, skip what is stored, execute the rest, keep every record as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ablations.cost import trial_macs
from ablations.execute import execute
from ablations.executors import Event, Executor, Finished
from ablations.frame import plan_frame
from ablations.plan import StudyPlan
from ablations.progress import Label
from ablations.record import Plan
from ablations.store import Store
from ablations.trial import Trial
from ablations.work import Task

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Display", "Outcome", "run_study"]


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
    trained_macs: float


def run_study(plan: StudyPlan, store: Store, executor: Executor, display: Display, *, device: str, threads: int) -> Outcome:
    """Train what the plan needs and the store does not have; each record is written as it comes.

    With `--seeds auto` the looks of the sequential design decide after each round which variants go on.
    """
    trained: set[str] = set()
    found: set[str] = set()
    macs = 0.0
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
        for key, work in _execute(plan, todo, store, executor, display, device=device, threads=threads).items():
            trained.add(key)
            macs += work
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
        trained_macs=macs,
    )


def _execute(
    plan: StudyPlan, todo: dict[tuple[str, int], Trial], store: Store, executor: Executor, display: Display, *, device: str, threads: int
) -> dict[str, float]:
    """Run trials, the costly ones first so that no long one is left alone at the end; return the MACs of each that was trained here."""
    costs = {trial.key: trial_macs(trial, plan.source.num_train) or 1.0 for trial in todo.values()}
    labels = {
        trial.key: Label(variant=variant, seed=seed, num_epochs=trial.recipe.epochs, cost=costs[trial.key])
        for (variant, seed), trial in todo.items()
    }
    display.expect(labels)
    ordered: Sequence[Trial] = sorted(todo.values(), key=lambda trial: -costs[trial.key])
    tasks = [Task(trial=trial, source=plan.source, device=device, threads=threads) for trial in ordered]
    done = {}
    for event in execute(tasks, store, executor, display.say):
        if isinstance(event, Finished) and not event.elsewhere:
            done[event.record.key] = costs[event.record.key]
        display.show(event)
    return done


def _first_seeds(plan: StudyPlan) -> dict[str, int] | None:
    if not plan.is_sequential:
        return None
    from ablations.racing import FIRST_SEEDS

    return dict.fromkeys(plan.designs, FIRST_SEEDS)


def _more_seeds(seeds: dict[str, int], frame: pd.DataFrame, display: Display) -> dict[str, int] | None:
    """Return the next look's seeds per variant, or None where every variant is settled."""
    from ablations.racing import next_step

    step = next_step(frame)
    for variant, reason in step.reasons.items():
        display.say(f"{variant} {reason}")
    if step.num_seeds == seeds:
        display.say(f"--seeds auto: {step.saving}")
        return None
    return step.num_seeds
