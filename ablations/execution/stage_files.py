"""Files for machines that do not share the driver's storage: decoded data once per machine, checkpoints in both
directions.

Machines that share the storage get nothing: they find a marker file of the driver in its folder.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.execution.task import Task
from xception.base.errors import DataError
from xception.base.files import write_atomic
from xception.data.source import Source

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "Files",
    "Mark",
    "Missing",
    "Outbox",
    "absolute",
    "data_files",
    "file_names",
    "find_data",
    "keep",
    "read_files",
    "unpacked",
]

_CHECKPOINTS = "step-*.safetensors"
_NUM_KEPT = 2
_LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class Missing:
    """A machine lacks `data` or `files` that a trial needs."""

    key: str
    what: str
    reason: str


@dataclass(frozen=True)
class Files:
    """Files that a trial wrote on a machine without access to the driver's, by path below the driver's folder of trials
    or weights.
    """

    key: str
    contents: Mapping[str, bytes]


# Data


def find_data(source: Source, image_size: int, sent: Callable[[], dict[str, Any]] | None) -> str | None:
    """Put a data set into this machine's cache, from its files or from those that are sent; return the reason if
    neither works.

    `sent` fetches the result of `data_files`, if the driver has sent it.

    Raises:
        DataError: the cache cannot be written.
    """
    from xception.data.decoded import decoded, install

    try:
        decoded(source, image_size)
    except (DataError, OSError) as error:
        if sent is None:
            return " ".join(str(error).split())
        install(source, image_size, sent())
    return None


def data_files(source: Source, image_size: int) -> dict[str, npt.NDArray[np.uint8]]:
    """Return the files of a decoded data set by name, mapped from this machine's cache.

    Raises:
        DataError: the data set cannot be decoded here either.
    """
    import numpy as np

    from xception.data.decoded import decoded

    folder, _ = decoded(source, image_size)
    return {
        path.name: np.asarray(np.memmap(path, mode="r", dtype=np.uint8))
        for path in sorted(folder.iterdir())
        if path.is_file()
    }


# The folder of a trial, on the driver's side


class Mark:
    """A file that shows whether a machine shares the driver's folders; use it in a `with`."""

    def __init__(self) -> None:
        self.name = f".mark-{uuid.uuid4().hex}"
        self._paths: set[Path] = set()

    def __enter__(self) -> Mark:
        return self

    def __exit__(self, *_: object) -> None:
        for path in self._paths:
            path.unlink(missing_ok=True)

    def leave(self, task: Task) -> None:
        """Leave the mark in a task's folder of trials."""
        if task.trials is not None and (path := task.trials / self.name) not in self._paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            self._paths.add(path)


def absolute(task: Task) -> Task:
    """Return the task with absolute paths, which mean the same in a process that runs elsewhere."""
    paths = {name: getattr(task, name) for name in ("weights", "keep_weights", "trials")}
    return replace(task, **{name: path.resolve() for name, path in paths.items() if path is not None})


def file_names(task: Task) -> dict[str, Path]:
    """Return the driver's files for a task by the names under which they are sent: newest checkpoint, record, weights
    to start from.
    """
    out: dict[str, Path] = {}
    if task.trials is not None:
        folder = task.trials / task.key
        found = [*sorted(folder.glob(_CHECKPOINTS))[-1:], folder / "record.json"]
        out = {f"trials/{task.key}/{path.name}": path for path in found if path.is_file()}
    if task.weights is not None:
        out["begin"] = task.weights
    return out


def read_files(task: Task) -> dict[str, bytes]:
    """Return the contents of the files that a task needs elsewhere."""
    return {name: path.read_bytes() for name, path in file_names(task).items()}


def keep(task: Task, files: Files) -> None:
    """Write files from a machine into the driver's folders; the last two checkpoints are kept.

    Raises:
        DataError: a folder cannot be written.
    """
    roots = {"trials": task.trials, "weights": task.keep_weights}
    for name, content in files.contents.items():
        root = roots[name.partition("/")[0]]
        if root is not None:
            path = root / name.partition("/")[2]
            path.parent.mkdir(parents=True, exist_ok=True)
            with write_atomic(path) as file:
                file.write(content)
    if task.trials is not None:
        for old in sorted((task.trials / task.key).glob(_CHECKPOINTS))[:-_NUM_KEPT]:
            old.unlink(missing_ok=True)


# The folder of a trial, on another machine


@contextmanager
def unpacked(
    task: Task, mark: str | None, sent: Callable[[], Mapping[str, bytes]] | None
) -> Iterator[tuple[Task, bool]]:
    """Yield the task with folders that exist here: the driver's own if they are shared, else new ones with the files
    that were sent.

    The second value is whether files have to be sent back.
    """
    if task.trials is None or mark is None or (task.trials / mark).exists():
        yield task, False
        return
    folder = Path(tempfile.mkdtemp(prefix="xception-trial-"))
    try:
        for name, content in ({} if sent is None else sent()).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield (
            replace(
                task,
                trials=folder / "trials",
                weights=None if task.weights is None else folder / "begin",
                keep_weights=None if task.keep_weights is None else folder / "weights",
            ),
            True,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Outbox:
    """The files that a task has written and not yet sent."""

    task: Task
    _sent: set[Path] = field(default_factory=set)
    _looked_at: float = field(default_factory=time.monotonic)

    def is_due(self) -> bool:
        """Whether it is time to check for files again, in the middle of an epoch."""
        return time.monotonic() - self._looked_at > _LOOK_SECONDS

    def collect(self, *, at_end: bool = False) -> Files | None:
        """Return a new checkpoint, and at the end the record and the weights; None if there is nothing."""
        assert self.task.trials is not None
        self._looked_at = time.monotonic()
        folder = self.task.trials / self.task.key
        if at_end:
            paths = {f"trials/{self.task.key}/record.json": folder / "record.json"}
            if self.task.weights_path is not None:
                paths[f"weights/{self.task.weights_path.name}"] = self.task.weights_path
        else:
            paths = {f"trials/{self.task.key}/{path.name}": path for path in sorted(folder.glob(_CHECKPOINTS))[-1:]}
        new = {name: path for name, path in paths.items() if path.is_file() and path not in self._sent}
        self._sent |= set(new.values())
        return Files(self.task.key, {name: path.read_bytes() for name, path in new.items()}) if new else None
