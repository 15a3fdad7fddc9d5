"""Tasks into records: claim, run, write; whoever else works on the same store trains what we do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ablations.execution.claims import Claims
from ablations.execution.executors import Event, Executor, Finished
from ablations.execution.task import Task
from ablations.records.store import Store

__all__ = ["execute"]

_LOOK_SECONDS = 1.0


def execute(
    tasks: Sequence[Task], store: Store, executor: Executor, say: Callable[[str], None] = lambda line: None
) -> Iterator[Event]:
    """Yield what happens until every task has been tried once by us or is final in the store; each record is written
    before it is yielded.

    What another driver on the store is training is waited for and yielded as `Finished(elsewhere=True)`;
    it falls to us where that driver is lost or failed at it.
    """
    if not tasks:
        return
    pending = {task.key: task for task in tasks}
    has_told = False
    with Claims(store) as claims:
        while pending:
            for event in executor.run(claims.claimed(list(pending.values()))):
                if isinstance(event, Finished):
                    store.put(event.record)
                    claims.release(event.record.key)
                    del pending[event.record.key]
                yield event
            for key, status in store.statuses(pending).items():
                if status != "failed":
                    yield Finished(store.get([key])[key], elsewhere=True)
                    del pending[key]
            if pending and not has_told:
                say(f"{len(pending)} trials are being trained by another run on this store; waiting for them")
                has_told = True
            if pending:
                claims.wait(_LOOK_SECONDS)
