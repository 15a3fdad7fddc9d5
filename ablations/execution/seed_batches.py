"""Several trials that differ only in their seed, trained as one; each gets the same record as on its own."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from ablations.execution.task import Task, record_of
from ablations.records.record import Record
from ablations.records.trial_folder import TrialFolder
from xception.network.config import XceptionConfig

__all__ = ["carry_out_together", "is_joinable"]


def is_joinable(task: Task, other: Task) -> bool:
    """Whether two tasks can be trained as one: they differ only in seed and stream, and the members are independent."""
    trial, like = task.trial, other.trial.replace(seed=task.trial.seed, stream=task.trial.stream)
    if not isinstance(trial.model, XceptionConfig) or task.execution.compile:
        return False
    if trial.recipe.precision == "float16" or trial.recipe.batch_norm_shares > 1:
        return False
    if task.keep_state_at is not None or trial.recipe.continues is not None:
        return False  # a state for continuation is that of one training
    return trial == like and dataclasses.replace(other, trial=trial) == task


def carry_out_together(
    tasks: Sequence[Task],
    on_epoch: Callable[[str, dict[str, Any]], None],
    on_record: Callable[[Record], None],
    *,
    on_step: Callable[[], None] = lambda: None,
    on_start: Callable[[], None] = lambda: None,
    say: Callable[[str, str], None] = lambda key, line: None,
) -> None:
    """Train joinable tasks together and report the record of each; a finished trial is not trained again.

    The other arguments are those of `ablations.execution.task.carry_out`; `on_epoch` and `say` get the trial's key
    first. Errors are raised; any of the trials may have caused them.

    Raises:
        TrainingStopped: `on_step` raised it.
    """
    from xception.data import DataError, load
    from xception.train.checkpoint import CheckpointFolder
    from xception.train.process import return_freed_memory
    from xception.train.seed_batch import Member, fit_members

    with contextlib.ExitStack() as held:
        held.callback(return_freed_memory)
        folders: dict[str, TrialFolder] = {}
        for task in sorted(
            tasks, key=lambda task: task.key
        ):  # the same order in all processes, so that there is no deadlock
            if task.trials is not None:
                folders[task.key] = TrialFolder(task.trials, task.key)
                held.enter_context(folders[task.key].hold())
        on_start()
        todo: list[Task] = []
        for task in tasks:
            record = folders[task.key].read_record() if task.key in folders else None
            is_kept = (
                record is None
                or task.weights_path is None
                or task.weights_path.is_file()
                or record.status != "complete"
            )
            if record is not None and is_kept:
                on_record(record)
            else:
                todo.append(task)
        if not todo:
            return
        checkpoints = {
            task.key: CheckpointFolder(
                path=folders[task.key].path,
                semantics=task.trial.semantics,
                say=lambda line, key=task.key: say(key, line),  # type: ignore[misc]
            )
            for task in todo
            if task.key in folders
        }
        first = todo[0]
        dataset = load(first.source.seen_by(first.trial.dataset), first.trial.dataset.image_size)
        results = fit_members(
            model=first.trial.model,
            recipe=first.trial.recipe,
            dataset=dataset,
            data=first.trial.dataset,
            members=[
                Member(
                    seed=task.trial.seed,
                    stream=task.trial.stream,
                    weights=task.weights,
                    checkpoints=checkpoints.get(task.key),
                )
                for task in todo
            ],
            device=first.device,
            on_epoch=lambda number, row: on_epoch(todo[number].key, row),
            on_step=on_step,
            execution=first.execution,
        )
        for task, result in zip(todo, results, strict=True):
            record = record_of(task, result, dataset)
            if task.key in folders:
                try:
                    folders[task.key].write_record(record)
                except DataError as error:
                    say(task.key, f"the record is kept in the store alone: {error}")
                else:
                    checkpoints[task.key].clear()
            on_record(record)
