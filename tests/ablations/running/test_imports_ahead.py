"""Imports ahead of time: begun once, when the last trial starts."""

from __future__ import annotations

from ablations.execution.events import Event, Finished, Started
from ablations.records.record import Record
from ablations.running.imports_ahead import ImportsAhead


def test_they_begin_once_when_the_last_trial_starts() -> None:
    begun: list[int] = []
    ahead = ImportsAhead(2, lambda: begun.append(1))
    a, b = (Record(key=name, trial="{}", status="complete") for name in "ab")
    # The first is started twice, as if its worker had died.
    events: list[Event] = [Started("a"), Started("a"), Finished(a), Started("b"), Started("b"), Finished(b)]
    found = []
    for event in events:
        ahead.follow(event)
        if ahead.thread is not None:
            ahead.thread.join()
        found.append(len(begun))
    assert found == [0, 0, 0, 1, 1, 1]
