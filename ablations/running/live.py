"""The report of a study that trains: rewritten after each trial, and served on this machine alone.

The page is `<out>/<run>.live.html`. A run that is stopped leaves it, marked as provisional; one that ends has
`report.html` in its place.
"""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from ablations.analysis.frame import named_runs
from ablations.execution.events import Event, Finished
from ablations.execution.progress import Label, Status
from ablations.records.store import Store
from ablations.reporting.own_files import require_own_page
from ablations.reporting.report import LiveStatus
from ablations.reporting.results_folder import provisional_page
from ablations.running.page_server import PageServer
from xception.base.files import write_atomically

__all__ = ["LiveReport"]

SHARE = 0.1  # of the time at most is spent on rewriting the page


class Progress(Protocol):
    """What a live report needs of a display."""

    def say(self, line: str) -> None:
        """Print one line."""

    def status(self) -> Status:
        """Return how far the run is."""


class LiveReport:
    """A log of a run's events that keeps its page; use it in a `with`.

    Where a page takes longer than a tenth of the time between trials, some trials share a rewriting.
    """

    def __init__(self, store: Store, run: str, out: Path, display: Progress) -> None:
        """Look whether the page can be written.

        Raises:
            ValueError: a file of somebody else's has its place.
        """
        self._store, self._run, self._display = store, run, display
        self._final = out / run / "report.html"
        self.path = out / f"{run}.live.html"
        require_own_page(self.path)
        self._version = 0
        self._is_due = False
        self._rest_until = 0.0
        self._began = time.time()

    def __enter__(self) -> Self:
        self.server = PageServer(self._display.status)
        self._display.say(f"Live report: {self.server.url}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._final.is_file() and self._final.stat().st_mtime >= self._began - 1:
                self.server.publish(self._version + 1, self._final.read_bytes())
                self.server.wait_for_readers()
                self.path.unlink(missing_ok=True)
            elif self._is_due:
                self._write()
        finally:
            self.server.close()

    def expect(self, labels: dict[str, Label]) -> None:
        """Show the trials that are about to run."""
        self._write()

    def show(self, event: Event) -> None:
        """Rewrite the page after a trial."""
        self._is_due |= isinstance(event, Finished)
        if self._is_due and time.monotonic() >= self._rest_until:
            self._write()

    def _write(self) -> None:
        began = time.monotonic()
        (plan,) = named_runs(self._store, self._run)[:1]
        status = self._display.status()
        self._version += 1
        live = LiveStatus(version=self._version, text=status.text, running=status.running)
        page = provisional_page(self._store, plan, live)
        write_atomically(self.path, page)
        self.server.publish(self._version, page.encode())
        self._is_due = False
        ended = time.monotonic()
        self._rest_until = ended + (ended - began) * (1 / SHARE - 1)
