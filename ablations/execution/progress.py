"""Progress of a run on standard error: a live display on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from ablations.costs.training_cost import duration
from ablations.execution.events import Epoch, Event, Finished, Notice, Started

__all__ = ["Label", "Log", "ProgressDisplay"]


@dataclass(frozen=True, kw_only=True)
class Label:
    """A trial's name in the display, and its share of the work in any unit."""

    variant: str
    seed: int
    num_epochs: int
    cost: float


class Log(Protocol):
    """Something that records the events of a run, as TensorBoard does."""

    def expect(self, labels: dict[str, Label]) -> None:
        """Add the names of trials that are about to run, by key."""

    def show(self, event: Event) -> None:
        """Keep one event."""


@dataclass
class _Running:
    label: Label
    num_done: int = 0
    val_accuracy: float | None = None


@dataclass
class ProgressDisplay:
    """Shows trials done, running and left, the time left, and the accuracy per variant; use it in a `with`.

    On a terminal it is redrawn in place; elsewhere each finished trial prints one line. A `log` gets every event.
    """

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    log: Log | None = None
    _labels: dict[str, Label] = field(default_factory=dict, init=False)
    _running: dict[str, _Running] = field(default_factory=dict, init=False)
    _finished: dict[str, list[float]] = field(default_factory=dict, init=False)
    _num_done: int = field(default=0, init=False)
    _num_lost: int = field(default=0, init=False)
    _cost_done: float = field(default=0.0, init=False)
    _began: float = field(default_factory=time.monotonic, init=False)
    _live: Live | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._console = Console(file=self.stream, highlight=False)
        if self._console.is_terminal:
            self._live = Live(console=self._console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, line: str) -> None:
        """Print one line above the display."""
        self._console.print(line, markup=False, soft_wrap=True)

    def expect(self, labels: dict[str, Label]) -> None:
        """Add trials that are about to run, by key."""
        if not self._labels:
            self._began = time.monotonic()
        self._labels |= labels
        if self.log:
            self.log.expect(labels)

    def know(self, results: Iterable[tuple[str, float]]) -> None:
        """Add test accuracies that are stored already, as (variant, accuracy)."""
        for variant, accuracy in results:
            self._finished.setdefault(variant, []).append(accuracy)

    def show(self, event: Event) -> None:
        """Take one event into the display, and hand it to the log."""
        if self.log:
            self.log.show(event)
        match event:
            case Started(key):
                self._running[key] = _Running(self._labels[key])
            case Epoch(key, row):
                if key in self._running:
                    self._running[key].num_done = row["epoch"]
                    self._running[key].val_accuracy = row["val_accuracy"]
            case Notice(key, line):
                label = self._labels[key]
                self.say(f"{label.variant}, seed {label.seed}: {line}")
            case Finished(record):
                self._finish(record.key, record.status, record.test_accuracy, record.reason)

    def _finish(self, key: str, status: str, accuracy: float | None, reason: str | None) -> None:
        label = self._labels[key]
        self._running.pop(key, None)
        self._num_done += 1
        self._num_lost += status != "complete"
        self._cost_done += label.cost
        if accuracy is not None:
            self._finished.setdefault(label.variant, []).append(accuracy)
        outcome = f"test accuracy {accuracy:.2%}" if accuracy is not None else f"{status}: {reason}"
        left = self._seconds_left()
        rest = f", about {duration(left)} left" if left else ""
        self.say(f"[{self._num_done}/{len(self._labels)}] {label.variant}, seed {label.seed}: {outcome}{rest}")

    def _seconds_left(self) -> float:
        elapsed = time.monotonic() - self._began
        total = sum(label.cost for label in self._labels.values())
        done = self._cost_done + sum(r.label.cost * r.num_done / r.label.num_epochs for r in self._running.values())
        return elapsed * (total - done) / done if done else 0.0

    def _render(self) -> RenderableType:
        bar = Progress(TextColumn("{task.description}"), BarColumn(bar_width=40), TextColumn("{task.fields[rest]}"))
        total = len(self._labels)
        left = self._seconds_left()
        waiting = total - self._num_done - len(self._running)
        lost = f", {self._num_lost} diverged or failed" if self._num_lost else ""
        rest = f"{self._num_done} done, {len(self._running)} running, {waiting} waiting{lost}"
        bar.add_task(
            "trials",
            total=total or 1,
            completed=self._num_done,
            rest=rest + (f", about {duration(left)} left" if left else ""),
        )
        table = Table(box=None, pad_edge=False)
        for heading in ("variant", "trials", "mean test accuracy", "now running"):
            table.add_column(heading, justify="right" if heading == "trials" else "left")
        names = dict.fromkeys([*self._finished, *(label.variant for label in self._labels.values())])
        best = max((sum(v) / len(v) for v in self._finished.values()), default=None)
        for name in list(names)[:12]:
            accuracies = self._finished.get(name, [])
            mean = sum(accuracies) / len(accuracies) if accuracies else None
            mark = " (best so far)" if mean is not None and mean == best and len(self._finished) > 1 else ""
            running = "; ".join(_now(r) for r in self._running.values() if r.label.variant == name)
            table.add_row(name, str(len(accuracies)), f"{mean:.2%}{mark}" if mean is not None else "", running)
        return Group(bar, table)


def _now(running: _Running) -> str:
    accuracy = f", val {running.val_accuracy:.1%}" if running.val_accuracy is not None else ""
    return f"seed {running.label.seed}: epoch {running.num_done}/{running.label.num_epochs}{accuracy}"
