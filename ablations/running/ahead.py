"""What can be done before the last results are there: importing the libraries that write them, and counting networks.

It is done in a thread while the last trials train, and would otherwise keep the user waiting at the end.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ablations.costs.variant_costs import count
from ablations.design.study import Design
from ablations.execution.events import Event, Started
from ablations.execution.task import TRIAL_ERRORS
from xception.base.drawing import load_matplotlib

__all__ = ["Ahead"]

_LIBRARIES = (
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
    "matplotlib.backends.backend_svg",
    "seaborn",
    "scipy.stats",
    "ablations.reporting.results_folder",
    "xception.profile.latency",
)


class Ahead:
    """Watches the events of some tasks; once all of them have started, it imports and counts in a thread."""

    def __init__(self, load: Callable[[], None] | None = None) -> None:
        self._load = load or _load
        self._num_tasks, self._started = 0, set[str]()
        self._designs: Mapping[str, Design] = {}
        self._device = "cpu"
        self._counted: dict[str, dict[str, Any]] = {}
        self._is_counting, self._is_stopped = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def expect(self, num_tasks: int, designs: Mapping[str, Design], *, device: str = "cpu") -> None:
        """Begin once so many tasks have started; the networks of `designs`, by the keys of their counts, are counted
        for a device.
        """
        self._num_tasks, self._started = num_tasks, set()
        self._designs, self._device = designs, device

    def follow(self, event: Event) -> None:
        """Note an event, and begin once all tasks have started."""
        if isinstance(event, Started) and event.key not in self._started:
            self._started.add(event.key)
            if len(self._started) == self._num_tasks and (self._thread is None or not self._thread.is_alive()):
                designs = [design for key, design in self._designs.items() if key not in self._counted]
                self._thread = threading.Thread(target=self._work, args=(designs, self._device), daemon=True)
                self._thread.start()

    def counted(self) -> Mapping[str, dict[str, Any]]:
        """Wait until all is done, and return what was counted, by the keys of the measurements."""
        if self._thread is not None:
            self._thread.join()
        return self._counted

    def stop(self) -> None:
        """Count no more networks, and wait for the present one: this process must not end while torch computes in a
        thread of it.
        """
        self._is_stopped.set()
        with self._is_counting:
            pass

    def _work(self, designs: Sequence[Design], device: str) -> None:
        self._load()
        for design in designs:
            with self._is_counting:
                if self._is_stopped.is_set():
                    return
                try:
                    self._counted |= count(design, device)
                except TRIAL_ERRORS:
                    return  # the main thread counts it once more, and says what is wrong


def _load() -> None:
    load_matplotlib()
    for name in _LIBRARIES:
        importlib.import_module(name)
