"""Claim tasks, run them and write their records; other drivers on the same store train the rest."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing

from ablations.execution.claims import Claims
from ablations.execution.events import Event, Finished
from ablations.execution.executor import Executor
from ablations.execution.kept_weights import keep_place, lacks_weights
from ablations.execution.task import Task
from ablations.records.store import Store
from ablations.records.trial_folder import TrialFolder

__all__ = ["STOOD_STILL", "events_of", "execute"]

STOOD_STILL = "this process stood still for so long that another run took over some of its trials"
_LOOK_SECONDS = 1.0


def execute(
    tasks: Sequence[Task], store: Store, executor: Executor, say: Callable[[str], None] = lambda line: None
) -> Iterator[Event]:
    """Yield events until every task has been tried or is already final in the store; each record is written before it
    is yielded.

    Trials that another driver on the store is training are waited for and yielded as `Finished(elsewhere=True)`. If
    that driver dies or fails, they are trained here.
    """
    if not tasks:
        return
    pending = {task.key: task for task in tasks}
    for task in tasks:
        if task.trials is not None:  # a record that cannot be read stops the run before anything is trained
            TrialFolder(task.trials, task.key).read_record()
    has_said = False
    with Claims(store) as claims:
        while pending:
            with closing(events_of(executor, claims.claimed(list(pending.values())))) as events:
                for event in events:
                    if isinstance(event, Finished):
                        task = pending.pop(event.record.key)
                        keep_place(task, store)  # before the record, since others look for the network once it is there
                        store.put(event.record)
                        claims.release(event.record.key)
                    yield event
                    if claims.has_lost_some:  # closing the events stops running trials, which resume later
                        break
            if claims.has_lost_some:
                say(STOOD_STILL)
                claims.forget_lost()
            for key, status in store.statuses(pending).items():
                if status != "failed" and not lacks_weights(pending[key], store):
                    yield Finished(store.get([key])[key], elsewhere=True)
                    del pending[key]
            if pending and not has_said:
                say(f"{len(pending)} trials are being trained by another run on this store; waiting for them")
                has_said = True
            if pending:
                claims.wait(_LOOK_SECONDS)


def events_of(executor: Executor, tasks: Iterator[Task]) -> Generator[Event]:
    """Yield the executor's events from a generator; closing it stops what still runs."""
    yield from executor.run(tasks)
