"""The test bench of every fault: tiny trials, their undisturbed results, and a folder."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from ablations.execution.task import Task
from ablations.records.record import Record
from tests.trials import bits, finished, small_task

ROOT = Path(__file__).parent.parent.parent
NUM_TRIALS = 3
NUM_EPOCHS = 8


class UnexpectedError(Exception):
    """A fault had a consequence that the promise does not allow."""


class LeftOutError(Exception):
    """A fault that cannot be injected on this machine, and why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of a fault: finished trials lost, trials trained twice, and how many ended with the same bits (None:
    nothing to compare).
    """

    injected: int = 1
    lost: int = 0
    duplicated: int = 0
    bit_equal: int | None = None
    message: str = ""


@dataclasses.dataclass(frozen=True)
class Fault:
    """A kind of fault; `is_short` if it is part of the short form."""

    name: str
    inject: Callable[[Bench], Outcome]
    is_short: bool = True


class Bench:
    """Folders, tasks and the undisturbed results that disturbed ones are compared with."""

    def __init__(self, folder: Path, *, short: bool, seed: int) -> None:
        self.folder = folder
        self.short = short
        self.random = random.Random(seed)
        self._num_folders = 0

    def new_folder(self) -> Path:
        self._num_folders += 1
        path = self.folder / f"{self._num_folders:03d}"
        path.mkdir()
        return path

    def tasks(self, folder: Path, num: int = NUM_TRIALS, epochs: int = NUM_EPOCHS) -> list[Task]:
        """Tasks whose folders and weights are below a folder."""
        return [
            dataclasses.replace(
                small_task(seed, epochs=epochs), trials=folder / "trials", keep_weights=folder / "weights"
            )
            for seed in range(num)
        ]

    @cached_property
    def reference(self) -> dict[str, tuple[dict[str, Any], Any]]:
        """Records without times, and weights, of all trials without any fault."""
        from ablations.execution.executor import SerialExecutor

        folder = self.new_folder()
        records = finished(SerialExecutor().run(self.tasks(folder)))
        require(all(record.status == "complete" for record in records.values()), "an undisturbed trial is not complete")
        return {
            key: (bits(record), weights_in(folder / "weights" / f"{key}.safetensors"))
            for key, record in records.items()
        }

    def num_equal(self, folder: Path, records: dict[str, Record]) -> int:
        """How many of the trials have the record and the weights of the undisturbed ones, bit for bit."""
        weights = {key: folder / "weights" / f"{key}.safetensors" for key in records}
        return sum((bits(record), weights_in(weights[key])) == self.reference[key] for key, record in records.items())


def weights_in(path: Path) -> tuple[Any, bytes] | None:
    """The content of a weight file, regardless of the order of its header's entries; None if there is none."""
    if not path.is_file():
        return None
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def require(condition: bool, text: str) -> None:
    """Raise UnexpectedError with the text if the condition does not hold."""
    if not condition:
        raise UnexpectedError(text)


def spawn(*words: str, **options: Any) -> subprocess.Popen[str]:
    """Start a Python process of the project in a new process group."""
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def last_line(text: str) -> str:
    """The last line that is not empty."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


@contextmanager
def small_disk(path: Path, size: str, *, read_only: bool = False) -> Iterator[Path]:
    """A file system of a given size in memory, mounted at a new folder; LeftOutError if mounting is not permitted."""
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LeftOutError(f"mounting is not permitted here: {done.stderr.strip()}")
    try:
        if read_only:
            subprocess.run(["mount", "-o", "remount,ro", str(path)], check=True, capture_output=True)
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True, capture_output=True)


def forked(work: Callable[[], None]) -> int:
    """Run a function in a copy of this process; return the number of the process, to be waited for."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)
