"""What an executor yields while trials run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ablations.records.record import Record

__all__ = ["Epoch", "Event", "Finished", "Notice", "Started"]


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
    """A trial has ended, as its record says; `elsewhere` is true if another driver on the same store trained it."""

    record: Record
    elsewhere: bool = False


@dataclass(frozen=True)
class Notice:
    """Something about a trial that people should know, in a line."""

    key: str
    line: str


Event = Started | Epoch | Finished | Notice
