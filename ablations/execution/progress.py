"""Progress of a run on standard error: a live display on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.control import Control
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from ablations.costs.training_cost import duration
from ablations.execution.events import Epoch, Event, Finished, Notice, Started
from ablations.records.record import Record

__all__ = ["Label", "Log", "ProgressDisplay", "Status"]

_NAMED = 12  # variants in the live display
_DRAWN_LINES = _NAMED + 3  # lines of the live display at most
_KEPT_LINES = 200  # printed again after a resize of the terminal


@dataclass(frozen=True, kw_only=True)
class Label:
    """A trial's name in the display, its share of the work in any unit, and its parameters for trackers.

    For a tuning trial the validation accuracy is shown, since selection uses it and the test set is for the comparison.
    """

    variant: str
    seed: int
    num_epochs: int
    cost: float
    is_tuning: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)


class Log(Protocol):
    """A log of the events of a run, such as a tracker."""

    def expect(self, labels: dict[str, Label]) -> None:
        """Add the names of trials that are about to run, by key."""

    def show(self, event: Event) -> None:
        """Keep one event."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """How far a run is, in words, and a line for each trial that runs."""

    text: str
    running: tuple[str, ...]


class _Redrawn(Live):
    """A live display with a hook before each drawing."""

    before_refresh: Callable[[], None] = staticmethod(lambda: None)

    def refresh(self) -> None:
        """Draw."""
        self.before_refresh()
        super().refresh()


@dataclass
class _Running:
    label: Label
    num_done: int = 0
    val_accuracy: float | None = None


@dataclass
class ProgressDisplay:
    """Shows finished, running and remaining trials, the time left, and the accuracy per variant; use it in a `with`.

    On a terminal it is redrawn in place; elsewhere each finished trial prints one line. All `logs` get every event.
    """

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    logs: list[Log] = field(default_factory=list)
    _labels: dict[str, Label] = field(default_factory=dict, init=False)
    _running: dict[str, _Running] = field(default_factory=dict, init=False)
    _finished: dict[str, list[float]] = field(default_factory=dict, init=False)
    _num_foreseen: int = field(default=0, init=False)
    _is_at_most: bool = field(default=False, init=False)
    _num_done: int = field(default=0, init=False)
    _num_lost: int = field(default=0, init=False)
    _cost_done: float = field(default=0.0, init=False)
    _began: float = field(default_factory=time.monotonic, init=False)
    _live: Live | None = field(default=None, init=False)
    _said: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES), init=False)
    _size: ConsoleDimensions | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._console = Console(file=self.stream, highlight=False)
        if self._console.is_terminal:
            self._live = _Redrawn(
                console=self._console, get_renderable=self._render, refresh_per_second=4, transient=True
            )
            self._live.before_refresh = self._clear_if_resized

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
        if self._live:
            self._clear_if_resized()
        self._said.append(line)
        self._console.print(line, markup=False, soft_wrap=True)

    def foresee(self, num_trials: int, *, at_most: bool) -> None:
        """Set the number of trials that the whole run trains, or trains at most."""
        self._num_foreseen, self._is_at_most = num_trials, at_most

    def expect(self, labels: dict[str, Label]) -> None:
        """Add trials that are about to run, by key."""
        if not self._labels:
            self._began = time.monotonic()
        self._labels |= labels
        for log in self.logs:
            log.expect(labels)

    def know(self, results: Iterable[tuple[str, float]]) -> None:
        """Add test accuracies that are stored already, as (variant, accuracy)."""
        for variant, accuracy in results:
            self._finished.setdefault(variant, []).append(accuracy)

    def show(self, event: Event) -> None:
        """Take one event into the display, and hand it to the logs."""
        self._take(event)
        for log in self.logs:
            log.show(event)

    def status(self) -> Status:
        """Return how far the run is."""
        running = (f"{one.label.variant}, {_now(one)}" for one in self._running.values())
        return Status(text=f"{self._progress()}.", running=tuple(running))

    def _take(self, event: Event) -> None:
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
                self._finish(record)

    def _finish(self, record: Record) -> None:
        key, status = record.key, record.status
        label = self._labels[key]
        accuracy = record.val_accuracy if label.is_tuning else record.test_accuracy
        self._running.pop(key, None)
        self._num_done += 1
        self._num_lost += status != "complete"
        self._cost_done += label.cost
        if accuracy is not None and not label.is_tuning:
            self._finished.setdefault(label.variant, []).append(accuracy)
        which = "validation" if label.is_tuning else "test"
        outcome = f"{which} accuracy {accuracy:.2%}" if accuracy is not None else f"{status}: {record.reason}"
        left = self._seconds_left()
        rest = f", about {duration(left)} left" if left else ""
        self.say(f"[{self._num_done}{self._of}] {label.variant}, seed {label.seed}: {outcome}{rest}")

    @property
    def _total(self) -> int:
        return max(self._num_foreseen, len(self._labels))

    @property
    def _of(self) -> str:
        return f" of at most {self._total}" if self._is_at_most else f"/{self._total}"

    def _clear_if_resized(self) -> None:
        """After a resize of the terminal, clear it and print the last lines again: the terminal may have wrapped the
        drawing to an unknown number of lines.
        """
        size = self._console.size
        if self._size is not None and size != self._size:
            self._size = size
            last = list(self._said)[-max(size.height - _DRAWN_LINES, 0) :] if size.height > _DRAWN_LINES else []
            text = [Text(line) for line in last]
            self._console.print(Control.clear(), Control.home(), *text, sep="\n", soft_wrap=True, end="")
        self._size = size

    def _seconds_left(self) -> float:
        elapsed = time.monotonic() - self._began
        total = sum(label.cost for label in self._labels.values())
        done = self._cost_done + sum(r.label.cost * r.num_done / r.label.num_epochs for r in self._running.values())
        return elapsed * (total - done) / done if done else 0.0

    def _progress(self) -> str:
        left = self._seconds_left()
        waiting = self._total - self._num_done - len(self._running)
        lost = f", {self._num_lost} diverged or failed" if self._num_lost else ""
        most = " at most" if self._is_at_most else ""
        rest = f", about {duration(left)} left" if left else ""
        return f"{self._num_done} done, {len(self._running)} running, {waiting} waiting{most}{lost}{rest}"

    def _render(self) -> RenderableType:
        bar = Progress(TextColumn("{task.description}"), BarColumn(bar_width=40), TextColumn("{task.fields[rest]}"))
        total = self._total
        bar.add_task(
            "trials",
            total=total or 1,
            completed=self._num_done,
            rest=self._progress(),
        )
        table = Table(box=None, pad_edge=False)
        for heading in ("variant", "trials", "mean test accuracy", "now running"):
            table.add_column(heading, justify="right" if heading == "trials" else "left")
        tuning = [one.label.variant for one in self._running.values() if one.label.is_tuning]
        compared = [label.variant for label in self._labels.values() if not label.is_tuning]
        names = dict.fromkeys([*tuning, *self._finished, *compared])
        best = max((sum(v) / len(v) for v in self._finished.values()), default=None)
        for name in list(names)[:_NAMED]:
            accuracies = self._finished.get(name, [])
            mean = sum(accuracies) / len(accuracies) if accuracies else None
            mark = " (best so far)" if mean is not None and mean == best and len(self._finished) > 1 else ""
            running = "; ".join(_now(r) for r in self._running.values() if r.label.variant == name)
            table.add_row(name, str(len(accuracies)), f"{mean:.2%}{mark}" if mean is not None else "", running)
        return Group(bar, table)


def _now(running: _Running) -> str:
    accuracy = f", val {running.val_accuracy:.1%}" if running.val_accuracy is not None else ""
    return f"seed {running.label.seed}: epoch {running.num_done}/{running.label.num_epochs}{accuracy}"
