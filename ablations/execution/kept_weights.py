"""Locates the files of trained networks that other trials start from, including those that another driver wrote."""

from __future__ import annotations

from pathlib import Path

from ablations.execution.task import Task
from ablations.records.store import Store
from xception.base.canonical import key_of

__all__ = ["find_weights", "keep_place", "lacks_weights", "weights_claim"]


def find_weights(key: str, folder: Path, store: Store) -> Path | None:
    """Return the file of a trial's network: the one in the folder, else the one that a driver on the store wrote."""
    own = folder / f"{key}.safetensors"
    if own.is_file():
        return own
    known = store.measurement(weights_claim(key))
    other = None if known is None else Path(known["path"])
    return other if other is not None and other.name == own.name and other.is_file() else None


def keep_place(task: Task, store: Store) -> None:
    """Record the path of a task's network in the store, so that drivers with another output folder find it."""
    path = task.weights_path
    if path is not None and path.is_file():
        store.put_measurement(weights_claim(task.key), "weights", {"path": str(path.resolve())})


def lacks_weights(task: Task, store: Store) -> bool:
    """Whether a task runs only for its network: its record is stored, but the file is missing."""
    if task.keep_weights is None or store.statuses([task.key]).get(task.key) != "complete":
        return False
    return find_weights(task.key, task.keep_weights, store) is None


def weights_claim(key: str) -> str:
    """Return the name under which a trial's network is claimed and kept, apart from its record."""
    return key_of(["weights", key])
