"""Trackers write the parameters, curves and final metrics of trials for other programs to show.

A tracker is one small class; `Trackers` passes it the events of a run. One that fails is dropped with a message, and
the trials continue: no measurement depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from ablations.execution.events import Epoch, Event, Finished
from ablations.execution.progress import Label
from ablations.records.record import Record
from xception.base.canonical import Config, hints_of

__all__ = ["CURVES", "METRICS", "TrackedTrial", "Tracker", "Trackers", "parameters_of"]

CURVES = ("train_loss", "val_loss", "val_accuracy")
METRICS = (
    *("test_accuracy", "test_top5_accuracy", "test_loss", "val_accuracy", "params", "macs", "train_seconds"),
    "images_per_second",
)


@dataclass(frozen=True, kw_only=True)
class TrackedTrial:
    """A trial as a tracker shows it; `parameters` has every field by dotted path."""

    key: str
    study: str
    variant: str
    seed: int
    parameters: Mapping[str, Any]


class Tracker(Protocol):
    """Writes trials for another program. An exception that it raises ends the tracker, but no trial."""

    name: str

    def epoch(self, trial: TrackedTrial, row: Mapping[str, Any]) -> None:
        """Write one epoch: its number and those of `CURVES` that were measured."""

    def finish(self, trial: TrackedTrial, record: Record) -> None:
        """Write the final metrics of a trial that has ended."""

    def close(self) -> None:
        """Write the rest."""


class Trackers:
    """Hands the events of a study's trials to trackers; use it in a `with`. `say` gets a line for each that fails."""

    def __init__(self, trackers: Sequence[Tracker], study: str, say: Callable[[str], None]) -> None:
        self.study = study
        self._say = say
        self._trackers = list(trackers)
        self._trials: dict[str, TrackedTrial] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell(lambda tracker: tracker.close())

    def expect(self, labels: dict[str, Label]) -> None:
        """Add the names of trials that are about to run, by key."""
        for key, label in labels.items():
            self._trials[key] = TrackedTrial(
                key=key, study=self.study, variant=label.variant, seed=label.seed, parameters=label.parameters
            )

    def show(self, event: Event) -> None:
        """Write an event."""
        if isinstance(event, Epoch) and event.key in self._trials:
            trial, row = self._trials[event.key], event.row
            self._tell(lambda tracker: tracker.epoch(trial, row))
        elif isinstance(event, Finished) and event.record.key in self._trials and not event.elsewhere:
            trial, record = self._trials[event.record.key], event.record
            self._tell(lambda tracker: tracker.finish(trial, record))

    def _tell(self, write: Callable[[Tracker], None]) -> None:
        for tracker in list(self._trackers):
            try:
                write(tracker)
            except Exception as error:  # noqa: BLE001 (another program's code, whose failure must cost no trial)
                self._trackers.remove(tracker)
                reason = " ".join(str(error).split())[:200]
                self._say(f"{tracker.name} is dropped, the trials continue: {type(error).__name__}: {reason}")


def parameters_of(config: Config, prefix: str = "") -> dict[str, Any]:
    """Return every field of a trial by dotted path, defaults included, and the names of chosen configs."""
    out: dict[str, Any] = {}
    for name in hints_of(type(config)):
        value = getattr(config, name)
        if isinstance(value, Config):
            out |= {f"{prefix}{name}": type(value).tag, **parameters_of(value, f"{prefix}{name}.")}
        else:
            out[f"{prefix}{name}"] = value
    return out
