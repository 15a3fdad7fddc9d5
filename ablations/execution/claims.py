"""Claims of keys, so that several drivers on one store never train the same trial twice.

A claim is a lease in the database. Its owner renews it while it runs; the claim expires if the owner's machine is lost.
On the same machine a dead owner is detected at once.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from ablations.execution.kept_weights import lacks_weights, weights_claim
from ablations.execution.task import Task
from ablations.records.store import Store, StoreError

__all__ = ["Claims", "is_alive", "is_dead", "machine_name", "start_time"]

LEASE_SECONDS = 60.0
_LOOK_SECONDS = 0.5


class Claims:
    """The claims of this driver on a store; used in a `with`, which releases all of them at its end."""

    def __init__(self, store: Store, lease_seconds: float = LEASE_SECONDS) -> None:
        self.owner = f"{machine_name()}:{os.getpid()}:{start_time(os.getpid())}:{uuid.uuid4().hex[:8]}"
        self._store = store
        self._lease_seconds = lease_seconds
        self._held: set[str] = set()
        self._lost: set[str] = set()
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="claims", daemon=True)

    def __enter__(self) -> Self:
        self._renewing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._renewing.join()
        self._store.release_claims(self.owner)

    def claimed(self, tasks: Iterable[Task]) -> Iterator[Task]:
        """Yield the tasks that no other driver has claimed; each is claimed when it is requested."""
        self._bury_the_dead()
        for task in tasks:
            if self._claim(task.key) or self._claim_weights(task):
                yield task

    def hold(self, name: str, waiting: Callable[[], None] = lambda: None) -> None:
        """Claim a name for the lifetime of this object; if another driver has it, call `waiting` once and wait."""
        self._bury_the_dead()
        if self._claim(name):
            return
        waiting()
        while not self._claim(name):
            self.wait(_LOOK_SECONDS)
            self._bury_the_dead()

    def release(self, key: str) -> None:
        """Give up one claim, once the record is written."""
        for name in (key, weights_claim(key)):
            if name in self._held:
                self._held.discard(name)
                self._store.release_claims(self.owner, name)

    @property
    def has_lost_some(self) -> bool:
        """Whether another driver took a claim of ours that expired while this process was stopped."""
        return bool(self._lost)

    def forget_lost(self) -> None:
        """Give up the lost claims; any driver may claim those keys again."""
        self._held -= self._lost
        self._lost = set()

    def _claim(self, name: str) -> bool:
        """Claim a name, unless its owner is a live process of this machine, even a stopped one."""
        owner = self._store.claim_owners(expired=True).get(name)
        if owner is not None and is_alive(owner) and int(owner.rsplit(":", 3)[1]) != os.getpid():
            return False
        if not self._store.claim(name, self.owner, self._lease_seconds):
            return False
        self._held.add(name)
        return True

    def _claim_weights(self, task: Task) -> bool:
        """Claim a network whose record is stored but whose file is missing."""
        if not lacks_weights(task, self._store) or not self._claim(weights_claim(task.key)):
            return False
        if lacks_weights(task, self._store):
            return True
        self.release(task.key)  # the driver that had the claim before has just written the file
        return False

    def wait(self, seconds: float) -> None:
        """Wait while other drivers work."""
        self._ended.wait(seconds)

    def _bury_the_dead(self) -> None:
        for owner in set(self._store.claim_owners().values()):
            if is_dead(owner):
                self._store.release_claims(owner)

    def _renew(self) -> None:
        while not self._ended.wait(self._lease_seconds / 4):
            try:
                self._store.renew_claims(self.owner, self._lease_seconds)
                self._look_for_lost()
            except StoreError:  # the next record fails with the same error; a lost claim only costs time
                continue

    def _look_for_lost(self) -> None:
        """Find the claims that other drivers have now; a process that was stopped for long has lost its own."""
        held = set(self._held)
        owners = self._store.claim_owners(expired=True)
        self._lost = {name for name in held & set(self._held) if owners.get(name) != self.owner}


def is_alive(owner: str) -> bool:
    """Whether an owner is a process of this machine that has not ended; False if unknown."""
    place, pid, started, _ = owner.rsplit(":", 3)
    return place == machine_name() and start_time(int(pid)) == started


def is_dead(owner: str) -> bool:
    """Whether an owner was a process of this machine that has ended; False if unknown."""
    place, pid, started, _ = owner.rsplit(":", 3)
    return place == machine_name() and start_time(int(pid)) != started


def machine_name() -> str:
    """Name this machine, boot and process namespace: where process numbers mean the same."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8", errors="replace").strip()
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        boot, namespace = "", 0
    return f"{socket.gethostname()}:{boot}:{namespace}"


def start_time(pid: int) -> str:
    """When a process started, in clock ticks since boot where /proc has it; empty if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return "" if Path("/proc/self/stat").exists() else _is_there(pid)
    except ProcessLookupError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]


def _is_there(pid: int) -> str:
    """For systems without /proc: `alive` or nothing."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"
