"""One driver at a time where a search measures latency or memory: nothing may train meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ablations.execution.claims import Claims
from ablations.records.store import Store
from xception.base.canonical import key_of

__all__ = ["only_driver"]


@contextmanager
def only_driver(store: Store, search: str) -> Iterator[Claims]:
    """Lock a search for one driver, by its key; wait for an active driver, then continue where it ended.

    If another driver took over while this process was stopped, the given claims have lost some.
    """

    def waiting() -> None:
        print("Another run on this store drives this search; waiting for it", file=sys.stderr)

    with Claims(store) as claims:
        claims.hold(key_of(["search", search]), waiting)
        yield claims
