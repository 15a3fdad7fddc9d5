"""What results need besides records, made ready while the last trials still train: modules imported, networks
counted.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from ablations.costs.variant_costs import Counting, countings, keep
from ablations.design.study import Design
from ablations.records.store import Store

__all__ = ["Preparation"]

_MODULES = (
    "torch",
    "ablations.reporting.extras",
    "ablations.reporting.results_folder",
    "seaborn",
    "xception.profile.latency",
    "xception.profile.complexity",
)


class Preparation:
    """Does beforehand, in a thread, what would otherwise begin after the last trial; use it in a `with`, at whose end
    the thread has ended.

    Begun once a core is free, it costs no trial anything. What fails here is met again where it is needed, and told
    there. While it runs, the main thread must import nothing that it imports: hence `finish`. The store is used by the
    main thread alone.
    """

    def __init__(self, designs: Mapping[str, Design], store: Store, *, device: str) -> None:
        self._designs, self._store, self._device = designs, store, device
        self._is_cancelled = threading.Event()
        self._done: dict[str, tuple[Counting, dict[str, Any]]] = {}
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="preparation")
        self._future: Future[None] | None = None

    def begin(self) -> None:
        """Start, unless it has started before."""
        if self._future is None:
            # A GPU is not free where a core is: memory that is measured there waits.
            missing = [
                c
                for c in countings(self._designs, self._store, device=self._device)
                if self._device == "cpu" or not c.needs_device
            ]
            self._future = self._pool.submit(self._work, missing)

    def finish(self) -> None:
        """Wait until what was started is done, and keep it; do nothing where nothing was."""
        if self._future is not None:
            wait([self._future])
            for counting, counted in self._done.values():
                keep(counting, counted, self._store)
            self._done.clear()

    def _work(self, missing: list[Counting]) -> None:
        for name in _MODULES:
            if self._is_cancelled.is_set():
                return
            import_module(name)
        for counting in missing:
            if self._is_cancelled.is_set():
                return
            self._done[counting.key] = counting, counting.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_cancelled.set()
        self._pool.shutdown()
