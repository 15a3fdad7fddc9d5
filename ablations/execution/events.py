"""The events that an executor yields while trials run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ablations.records.record import Record

__all__ = ["Epoch", "Event", "Finished", "Notice", "Started", "until_finished"]


@dataclass(frozen=True)
class Started:
    """A trial has begun."""

    key: str


@dataclass(frozen=True)
class Epoch:
    """A trial has finished an epoch; `row` has epoch, train_loss, val_loss and val_accuracy."""

    key: str
    row: dict[str, Any]


@dataclass(frozen=True)
class Finished:
    """A trial has ended with this record; `elsewhere` is true if another driver on the same store trained it."""

    record: Record
    elsewhere: bool = False


@dataclass(frozen=True)
class Notice:
    """A message about a trial for the user, on one line."""

    key: str
    line: str


Event = Started | Epoch | Finished | Notice


def until_finished(get: Callable[[], Any]) -> Iterator[Any]:
    """Yield the events that a training in another thread puts into a queue, up to its `Finished`.

    `get` waits for the next one; an exception among them is raised.
    """
    while True:
        event = get()
        if isinstance(event, BaseException):
            raise event
        yield event
        if isinstance(event, Finished):
            return
