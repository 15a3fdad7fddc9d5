"""A worker process: takes tasks from a pipe, carries them out and sends events, until it receives a stop message."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import signal
import sys
import time
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

from ablations.execution.events import Epoch, Finished, Notice
from ablations.execution.seed_batches import carry_out_together
from ablations.execution.task import TRIAL_ERRORS, Task, carry_out, reason

__all__ = ["PULSE_SECONDS", "Alive", "Parted", "work"]

PULSE_SECONDS = 1.0


@dataclass(frozen=True)
class Alive:
    """A worker's heartbeat: its trial has started, or has made a step."""

    is_training: bool


@dataclass(frozen=True)
class Parted:
    """A worker could not train several tasks as one."""

    reason: str


class _Pulse:
    """Sends heartbeats from a worker to its parent, and ends the training when the process is asked to stop."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._sent_at = -math.inf
        self._is_training = False
        self.is_asked_to_stop = False

    def rest(self) -> None:
        self._sent_at, self._is_training = -math.inf, False

    def on_step(self) -> None:
        self._is_training = True
        if self.is_asked_to_stop:
            from xception.train.checkpoint import TrainingStopped

            raise TrainingStopped
        now = time.monotonic()
        if now - self._sent_at >= PULSE_SECONDS:
            self._sent_at = now
            self._pipe.send(Alive(is_training=True))

    def on_terminate(self, number: int, frame: FrameType | None) -> None:
        self.is_asked_to_stop = True
        if not self._is_training:
            os._exit(128 + number)


def work(pipe: Connection, parent: int) -> None:
    """Take tasks from the pipe, carry them out and send events, until the parent sends a stop message."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with(parent)
    pulse = _Pulse(pipe)
    signal.signal(signal.SIGTERM, pulse.on_terminate)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent has ended
        _work_until_stopped(pipe, pulse)


def _work_until_stopped(pipe: Connection, pulse: _Pulse) -> None:
    from xception.train.checkpoint import TrainingStopped
    from xception.train.process import prepare_process

    is_prepared = False
    while not pulse.is_asked_to_stop:
        tasks: tuple[Task, ...] | None = pipe.recv()
        if tasks is None:
            return
        if not is_prepared:
            prepare_process(tasks[0].threads)
            is_prepared = True
        try:
            _carry_out_all(tasks, pipe, pulse)
        except TrainingStopped:
            os._exit(128 + signal.SIGTERM)  # everything is on disk; a slower exit gains nothing
        pulse.rest()


def _carry_out_all(tasks: tuple[Task, ...], pipe: Connection, pulse: _Pulse) -> None:
    def on_epoch(key: str, row: dict[str, Any]) -> None:
        pipe.send(Epoch(key, row))

    def say(key: str, line: str) -> None:
        pipe.send(Notice(key, line))

    def on_start() -> None:
        pipe.send(Alive(is_training=False))

    if len(tasks) == 1:
        key = tasks[0].key
        record = carry_out(
            tasks[0], partial(on_epoch, key), on_step=pulse.on_step, say=partial(say, key), on_start=on_start
        )
        pipe.send(Finished(record))
        return
    try:
        carry_out_together(
            tasks,
            on_epoch,
            lambda record: pipe.send(Finished(record)),
            on_step=pulse.on_step,
            say=say,
            on_start=on_start,
        )
    except TRIAL_ERRORS as error:
        pipe.send(Parted(reason(error)))


def _die_with(parent: int) -> None:
    """Make Linux end this process when its parent ends, for whatever reason."""
    if sys.platform.startswith("linux"):
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the request
            os._exit(1)
