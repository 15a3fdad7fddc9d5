"""Trials that take a fraction of a second, for tests of executors and stores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from ablations.design.trial import SEMANTICS, Trial
from ablations.execution.events import Event, Finished
from ablations.execution.progress import Label
from ablations.execution.task import Task
from ablations.records.record import Record
from xception.data.names import find
from xception.data.source import Source
from xception.network import presets
from xception.train.recipe import Recipe

# What may differ between two runs of a trial: times.
_CLOCKS = {"train_seconds", "images_per_second", "created_at"}


def small_trial(seed: int, *, epochs: int = 2, batch_size: int = 32, source: Source | None = None) -> Trial:
    """Return a trial of 64 images of 8 × 8 pixels."""
    source = source or find("synthetic", None)
    model = presets.get("cifar_tiny").for_data(
        num_classes=source.num_classes, in_channels=source.in_channels, input_size=8
    )
    data = source.config(image_size=8, train_size=64, val_size=32, test_size=64)
    return Trial(
        model=model, recipe=Recipe(epochs=epochs, batch_size=batch_size), dataset=data, seed=seed, semantics=SEMANTICS
    )


def small_task(
    seed: int, *, epochs: int = 2, batch_size: int = 32, threads: int = 1, source: Source | None = None
) -> Task:
    """Return a task for the CPU; a batch of more than 64 images makes it fail."""
    source = source or find("synthetic", None)
    return Task(
        trial=small_trial(seed, epochs=epochs, batch_size=batch_size, source=source),
        source=source,
        device="cpu",
        threads=threads,
    )


def bits(record: Record) -> dict[str, Any]:
    """Return a record without its times."""
    return {name: value for name, value in record.values().items() if name not in _CLOCKS}


def finished(events: Iterable[Event]) -> dict[str, Record]:
    """Return the records of events by key; a key that ends twice fails the test."""
    records = [event.record for event in events if isinstance(event, Finished)]
    assert len({record.key for record in records}) == len(records)
    return {record.key: record for record in records}


class RecordingDisplay:
    """A display that stores its calls, and checks that they come in the promised order."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.labels: dict[str, Label] = {}
        self.known: list[tuple[str, float]] = []
        self.events: list[Event] = []
        self.foreseen: tuple[int, bool] | None = None
        self.is_shown = False

    def __enter__(self) -> Self:
        assert not self.is_shown, "it is shown twice"
        self.is_shown = True
        return self

    def __exit__(self, *_: object) -> None:
        assert self.is_shown, "it was not shown"
        self.is_shown = False

    def know(self, results: Iterable[tuple[str, float]]) -> None:
        """Add accuracies that are stored already; they are fractions."""
        self.known += results
        assert all(0 <= accuracy <= 1 for _, accuracy in self.known), self.known

    def say(self, line: str) -> None:
        """Add a line, which is one line and not empty."""
        assert line.strip(), "an empty line"
        assert "\n" not in line, line
        self.lines.append(line)

    def foresee(self, num_trials: int, *, at_most: bool) -> None:
        """Keep the number of trials of the run."""
        assert num_trials >= 0, num_trials
        self.foreseen = (num_trials, at_most)

    def expect(self, labels: dict[str, Label]) -> None:
        """Add trials that are about to run; each is work."""
        assert all(label.cost > 0 for label in labels.values()), labels
        self.labels |= labels

    def show(self, event: Event) -> None:
        """Add an event of a trial that was announced."""
        key = event.record.key if isinstance(event, Finished) else event.key
        assert key in self.labels, f"an event of a trial that was not announced: {event}"
        self.events.append(event)

    def finished(self) -> list[str]:
        """The keys that ended, in their order."""
        return [event.record.key for event in self.events if isinstance(event, Finished)]
