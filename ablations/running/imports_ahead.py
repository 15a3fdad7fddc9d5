"""Imports the libraries for results while the last trials train; which would otherwise keep the user waiting at the
end.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable

from ablations.execution.events import Event, Started
from xception.base.drawing import load_matplotlib

__all__ = ["ImportsAhead"]


class ImportsAhead:
    """Watches the events of some tasks, and imports in a separate thread once all of them have started."""

    def __init__(self, num_tasks: int, load: Callable[[], None] | None = None) -> None:
        self._num_tasks, self._started = num_tasks, set[str]()
        self._load = load or _load
        self.thread: threading.Thread | None = None

    def follow(self, event: Event) -> None:
        """Note an event, and begin once all tasks have started."""
        if isinstance(event, Started):
            self._started.add(event.key)
            if self.thread is None and len(self._started) == self._num_tasks:
                self.thread = threading.Thread(target=self._load, daemon=True)
                self.thread.start()


def _load() -> None:
    load_matplotlib()
    for name in ("matplotlib.figure", "pandas", "scipy.stats", "torch", "ablations.reporting.results_folder"):
        importlib.import_module(name)
