"""How a training step on one thread of a CPU spends its time, and whether other kernels would be faster.

    python -m benchmarks.operators            # a minute and a half for each precision
    python -m benchmarks.operators --short    # a third of that

The network is `cifar_small`, the batch 128, the step is the trainer's with SGD, in a process with the settings of a
study's workers. First come the operators' shares of a step, in float32 and, if the CPU has units for it, in bfloat16.
Then whole steps in float32 with candidate kernels (`benchmarks.candidate_kernels`) in place of PyTorch's, in rounds in
which each has a turn, in random order. Times are CPU times of the process: what others run on the core is not counted,
but their effect on its caches is. Candidates that need numba are not measured without it.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ablations.running.machine_notices import has_bfloat16_units
from benchmarks.rounds import ratio_of
from xception.base.command_line import parse
from xception.profile.environment import cpu_capability
from xception.profile.operator_shares import operator_shares, shares_table
from xception.profile.subjects import read_subjects
from xception.profile.training_step import Precision, training_step
from xception.train.process import prepare_process

PROG = "python -m benchmarks.operators"
PRESET, BATCH_SIZE = "cifar_small", 128
NEEDED = 1.15  # least speed-up of a whole step for a kernel to become an option of runs
CANDIDATES = {
    "norm and ReLU in one": (True, False),
    "depthwise by the flipped kernel": (False, True),
    "both": (True, True),
}


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the command."""

    short: bool = False
    """Fewer steps."""
    json: bool = False
    """Print one JSON document."""


def steps_in_turn(
    steps: Mapping[str, Callable[[], object]], *, num_rounds: int, seed: int = 0
) -> dict[str, list[float]]:
    """Return the CPU seconds of each step in each round, after two steps of each as a warm-up."""
    order, names = random.Random(seed), list(steps)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for name in names * 2:
        steps[name]()
    for _ in range(num_rounds):
        order.shuffle(names)
        for name in names:
            began = time.process_time()
            steps[name]()
            seconds[name].append(time.process_time() - began)
    return seconds


def main(args: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit status."""
    asked = parse(Arguments, args, prog=PROG, description="Shares of a training step by operator; candidate kernels.")
    prepare_process(1)
    from benchmarks.candidate_kernels import use_candidates
    from xception.profile.environment import read_environment

    environment, load = read_environment("cpu"), os.getloadavg()
    (subject,) = read_subjects(PRESET, None, None)
    precisions: tuple[Precision, ...] = ("float32", "bfloat16") if has_bfloat16_units() else ("float32",)
    shares = {
        precision: operator_shares(training_step(subject, BATCH_SIZE, precision), num_steps=3 if asked.short else 10)
        for precision in precisions
    }
    steps = {"torch": training_step(subject, BATCH_SIZE, "float32")}
    for name, (norm, depthwise) in CANDIDATES.items():
        if norm and importlib.util.find_spec("numba") is None:
            continue
        steps[name] = training_step(
            subject,
            BATCH_SIZE,
            "float32",
            change=functools.partial(use_candidates, norm=norm, depthwise=depthwise),
        )
    seconds = steps_in_turn(steps, num_rounds=10 if asked.short else 40)
    ratios = {name: dataclasses.asdict(ratio_of(seconds["torch"], found)) for name, found in seconds.items()}
    if asked.json:
        document = {
            "shares": {name: [dataclasses.asdict(row) for row in rows] for name, rows in shares.items()},
            "step_ms": {name: 1e3 * statistics.median(found) for name, found in seconds.items()},
            "ratios": ratios,
            "goal": NEEDED,
            "cpu_capability": cpu_capability(),
            "load": load,
            "environment": dataclasses.asdict(environment),
        }
        print(json.dumps(document, indent=2))
        return 0
    print(f"{PRESET}, batch {BATCH_SIZE}, one thread, CPU capability {cpu_capability()}")
    for precision, rows in shares.items():
        print(f"\n{precision}\n{shares_table(rows, least=0.01)}")
    print(f"\nwhole steps in float32 (medians, with the lowest and highest of the rounds), needed {NEEDED:g}×")
    for name in ("torch", *CANDIDATES):
        if name not in seconds:
            print(f"  {name:34}not measured: numba is not installed")
            continue
        ratio, step_ms = ratios[name], 1e3 * statistics.median(seconds[name])
        print(
            f"  {name:34}{step_ms:6.0f} ms   {ratio['median']:.2f}× ({ratio['low']:.2f} to"
            f" {ratio['high']:.2f}, {ratio['n']} rounds)"
        )
    print("load of the last 1, 5 and 15 minutes: " + ", ".join(f"{value:.1f}" for value in load))
    print("environment: " + ", ".join(f"{k} {v}" for k, v in dataclasses.asdict(environment).items() if v is not None))
    return 0


if __name__ == "__main__":
    sys.exit(main())
