"""Train the trials of a plan that the store lacks; every record is written as soon as it exists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ablations.analysis.frame import plan_frame
from ablations.costs.training_cost import training_work, trial_work
from ablations.costs.variant_costs import uncounted
from ablations.design.options import Options
from ablations.design.study_plan import StudyPlan
from ablations.design.trial import Trial, read_trial
from ablations.execution.events import Event, Finished
from ablations.execution.execute import execute
from ablations.execution.kept_weights import find_weights
from ablations.execution.local_executor import LocalExecutor
from ablations.execution.progress import Label
from ablations.execution.task import Task
from ablations.execution.trackers import parameters_of
from ablations.records.record import Record, StoredPlan
from ablations.records.store import Store
from ablations.running.context import Context, Display
from xception.base.files import write_atomic

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Training", "keys_without_network", "run_all", "run_tasks", "train"]


@dataclass(frozen=True, kw_only=True)
class Training:
    """The training of a run: the plan as stored, and the work it took; with `--tune` the tuning trials,
    of which there are `num_tuning`, and those at the tuned recipes are counted too.
    """

    plan: StoredPlan
    num_trained: int
    num_stored: int
    num_failed: int
    work: float
    seconds: float
    num_tuning: int = 0


def train(context: Context, *, after_look: Callable[[StoredPlan], None] = lambda _: None) -> Training:
    """Train the trials of a plan that the store lacks.

    With seeds as needed the looks of the sequential design decide after each round which variants continue;
    `after_look` gets the plan of every look but the last.
    """
    with context.backend.keeping_workers():  # from look to look
        return _train_all(context, after_look)


def _train_all(context: Context, after_look: Callable[[StoredPlan], None]) -> Training:
    plan, store, display = context.plan, context.store, context.display
    trained: set[str] = set()
    found: set[str] = set()
    work = seconds = 0.0
    counts = _first_seeds(plan)
    while True:
        stored_plan = plan.stored_plan(counts)
        store.put_plan(stored_plan)
        trials = plan.trials(counts)
        statuses = store.statuses(trial.key for trial in trials.values())
        final = {key for key, status in statuses.items() if status != "failed"}
        again = keys_without_network(plan.options, store, statuses)
        if again - trained:
            display.say(f"{len(again - trained)} stored trials are trained once more, for their networks")
        final -= again
        found |= final - trained
        todo = {at: trial for at, trial in trials.items() if trial.key not in final and trial.key not in trained}
        if final - trained:
            display.say(f"{len(final - trained)} of {len(trials)} trials are stored already and are not trained again")
        for record in _train(context, todo):
            trained.add(record.key)
            if record.train_seconds is not None and record.status == "complete":
                trial = read_trial(record.trial)
                work += training_work(trial, plan.source_of(trial))
                seconds += record.train_seconds
        more = None if counts is None else _more_seeds(counts, plan_frame(store, stored_plan), display)
        if more is None:
            break
        after_look(stored_plan)
        counts = more
    after = store.statuses(member.key for member in stored_plan.members)
    return Training(
        plan=stored_plan,
        num_trained=sum(after.get(key, "failed") != "failed" for key in trained),
        num_stored=len(found),
        num_failed=sum(after.get(member.key, "failed") == "failed" for member in stored_plan.members),
        work=work,
        seconds=seconds,
    )


def keys_without_network(options: Options, store: Store, statuses: Mapping[str, str]) -> set[str]:
    """Return the keys of complete trials whose network `--keep-weights` needs and no run has saved.

    A network that another run on the store saved elsewhere is copied to this run's folder.
    """
    if not options.keep_weights:
        return set()
    missing = set()
    for key in (key for key, status in statuses.items() if status == "complete"):
        found = find_weights(key, options.networks, store)
        if found is None:
            missing.add(key)
        elif found.parent != options.networks:
            options.networks.mkdir(parents=True, exist_ok=True)
            with write_atomic(options.networks / found.name) as file:
                file.write(found.read_bytes())
    return missing


def run_tasks(context: Context, tasks: Sequence[Task], labels: dict[str, Label]) -> Iterator[Event]:
    """Run tasks, keep their records, show what happens, and yield it; `labels` are the tasks' names by key."""
    parameters = {task.key: parameters_of(task.trial) for task in tasks}
    labels = {key: replace(label, parameters=parameters.get(key, {})) for key, label in labels.items()}
    context.display.expect(labels)
    for event in execute(tasks, context.store, context.backend.executor, context.display.say):
        context.display.show(event)
        yield event


def run_all(context: Context, tasks: Sequence[Task], labels: dict[str, Label]) -> None:
    """Run tasks and keep their records."""
    for _ in run_tasks(context, tasks, labels):
        pass


def _train(context: Context, todo: dict[tuple[str, int], Trial]) -> Iterator[Record]:
    """Train trials, the most expensive first so that no long one runs alone at the end; yield their records."""
    plan = context.plan
    costs = {trial.key: trial_work(trial, plan.source_of(trial)) for trial in todo.values()}
    weights = _source_networks(context, list(todo))
    labels = {
        trial.key: Label(variant=variant, seed=seed, num_epochs=trial.recipe.epochs, cost=costs[trial.key])
        for (variant, seed), trial in todo.items()
    }
    keep = plan.options.networks if plan.options.keep_weights else None
    tasks = []
    for trial in sorted(todo.values(), key=lambda trial: -costs[trial.key]):
        transfer = trial.recipe.transfer
        start = None if transfer is None or transfer.source is None else weights[transfer.source]
        tasks.append(context.task(trial, weights=start, keep_weights=keep))
    if isinstance(context.backend.executor, LocalExecutor):
        networks = uncounted(plan.designs.values(), context.store)
        context.ahead.expect(len(tasks), networks, device=context.backend.own_device)
    for event in run_tasks(context, tasks, labels):
        context.ahead.follow(event)
        if isinstance(event, Finished) and not event.elsewhere:
            yield event.record


def _source_networks(context: Context, places: Sequence[tuple[str, int]]) -> dict[str, Path]:
    """Train the networks that transfers start from and that are not on disk; return the files of all, by their names in
    recipes.

    Their records are stored like any other, so a network whose weights were lost is trained again and its record stays.
    """
    plan, store, display = context.plan, context.store, context.display
    pretraining = plan.pretraining(places)
    folder = context.options.out / "weights"
    todo = {t.key: t for t in pretraining.values() if find_weights(t.key, folder, store) is None}
    if todo:
        title = plan.source_of(next(iter(todo.values()))).title
        display.say(f"{len(todo)} source networks are trained first, on {title}")
        labels = {
            key: Label(
                variant="source network",
                seed=trial.seed,
                num_epochs=trial.recipe.epochs,
                cost=trial_work(trial, plan.source_of(trial)),
            )
            for key, trial in todo.items()
        }
        run_all(context, [context.task(trial, keep_weights=folder) for trial in todo.values()], labels)
    found = {name: find_weights(trial.key, folder, store) for name, trial in pretraining.items()}
    paths = {name: path or folder / f"{pretraining[name].key}.safetensors" for name, path in found.items()}
    return {**plan.weights, **paths}


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
