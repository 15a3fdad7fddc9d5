"""Processes that each hold one training and train when it is their turn, so that loops are timed in interleaved rounds.

Between turns the process of a training sleeps. Every loop has a fresh process, so its threads, allocator and
environment affect no other.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import statistics
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection

from benchmarks.loops import Loop, settle, side_by_side, train

__all__ = ["Ratio", "in_rounds", "ratio_of"]

WARM_STEPS = 2


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Median, lowest and highest of the ratios of single rounds."""

    median: float
    low: float
    high: float
    n: int


def ratio_of(ours: list[float], theirs: list[float]) -> Ratio:
    """Return the ratios of one series over another, round by round."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Ratio(median=statistics.median(ratios), low=min(ratios), high=max(ratios), n=len(ratios))


def in_rounds(
    loops: Mapping[str, Loop], *, num_rounds: int, turn_seconds: float, seed: int = 0
) -> dict[str, list[float]]:
    """Return steps per second of each loop in each round, summed over its processes.

    A turn lasts about `turn_seconds`; each round has a new random order.

    Raises:
        RuntimeError: a loop failed; its traceback is on standard error.
    """
    order = random.Random(seed)
    rates: dict[str, list[float]] = {name: [] for name in loops}
    with contextlib.ExitStack() as stack:
        trainings = {name: stack.enter_context(_trainings(name, loop)) for name, loop in loops.items()}
        steps = {}
        for name, training in trainings.items():  # sequentially, so that each warms up alone
            training.take_turn(WARM_STEPS)
            steps[name] = max(2, round(turn_seconds * training.take_turn(1) / loops[name].processes))
        names = list(loops)
        for number in range(num_rounds):
            print(f"round {number + 1} of {num_rounds}", file=sys.stderr, flush=True)
            order.shuffle(names)
            for name in names:
                rates[name].append(trainings[name].take_turn(steps[name]))
    return rates


@dataclass
class _Trainings:
    """The processes of one loop."""

    name: str
    pipes: list[Connection]

    def take_turn(self, num_steps: int) -> float:
        """Take a number of steps in all processes at once; return the sum of their steps per second."""
        for pipe in self.pipes:
            pipe.send(num_steps)
        try:
            return sum(num_steps / float(pipe.recv()) for pipe in self.pipes)
        except EOFError:
            raise RuntimeError(f"{self.name}: its process ended") from None


@contextlib.contextmanager
def _trainings(name: str, loop: Loop) -> Iterator[_Trainings]:
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for single in side_by_side(loop):
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, single))  # not a daemon: loaders start workers
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    try:
        yield _Trainings(name, pipes)
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(timeout=60)
            if process.is_alive():
                process.kill()
                process.join()


def _serve(pipe: Connection, loop: Loop) -> None:
    """Take steps on request, until the pipe is closed."""
    settle(loop)
    from xception.train.loop import TrainingStopped  # imports torch, in all processes at once

    # A spawned process would spawn its children; loaders are to start their workers as in a script.
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
    gate = _Gate(pipe, loop.device)
    try:
        gate.wait()
        train(loop, gate.on_step)
    except (TrainingStopped, EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception:  # noqa: BLE001 - whatever ended the loop is shown, and the parent sees the pipe closed
        traceback.print_exc()


class _Gate:
    """Lets a loop take the number of steps of each request, and sends how long they took."""

    def __init__(self, pipe: Connection, device: str) -> None:
        self._pipe, self._device = pipe, device
        self._left = 0
        self._began = 0.0

    def wait(self) -> None:
        """Sleep until steps are requested."""
        self._left = self._pipe.recv()
        self._began = time.perf_counter()

    def on_step(self) -> None:
        """Count one step."""
        self._left -= 1
        if self._left:
            return
        if self._device != "cpu":
            import torch

            torch.cuda.synchronize()
        self._pipe.send(time.perf_counter() - self._began)
        self.wait()
