"""How fast batches are loaded: ours from memory, ours streamed from the cache's files, and a DataLoader's of the same
images.

    python -m benchmarks.data            # 7 rounds
    python -m benchmarks.data --short    # 3 rounds, about a minute on two cores

Every loader yields batches of 128 float32 images of 32 × 32 pixels from the embedded synthetic set, flipped, cropped
from 4 pixels of padding and normalised. Each runs in a separate process and has one turn per round, in random order.
Our loaders use one thread; the DataLoader uses torchvision's transforms and 0 or 2 workers. Training steps of
`cifar_small` on one thread have turns in the same rounds: a loader's share of a step is the time of its batch over the
time of a step.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.loops import BATCH_SIZE, Loop
from benchmarks.rounds import in_rounds, ratio_of
from xception.base.command_line import parse

PROG = "python -m benchmarks.data"
LARGEST_SHARE = 0.02
STEP = "training step, 1 thread"
RESIDENT = "ours, resident"
WAYS = {
    RESIDENT: Loop(kind="batches", threads=1),
    "ours, streamed from mapped files": Loop(kind="batches", threads=1, streamed=True),
    "DataLoader, 0 workers": Loop(kind="loading"),
    "DataLoader, 2 workers": Loop(kind="loading", loader_workers=2),
}


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the command."""

    short: bool = False
    """Fewer and shorter rounds."""
    json: bool = False
    """Print one JSON document."""


def main(args: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit status."""
    asked = parse(Arguments, args, prog=PROG, description="How fast batches are loaded and augmented.")
    from xception.profile.environment import read_environment

    environment = dataclasses.asdict(read_environment("cpu"))
    rounds, seconds = (3, 1.0) if asked.short else (7, 2.0)
    rates = in_rounds({**WAYS, STEP: Loop(kind="ours", threads=1)}, num_rounds=rounds, turn_seconds=seconds)
    ratios = {name: dataclasses.asdict(ratio_of(rates[RESIDENT], rates[name])) for name in WAYS if name != RESIDENT}
    shares = {name: dataclasses.asdict(ratio_of(rates[STEP], rates[name])) for name in WAYS}
    images = {name: BATCH_SIZE * statistics.median(found) for name, found in rates.items()}
    if asked.json:
        document = {
            "ratios": ratios,
            "shares": shares,
            "images_per_second": images,
            "goal": LARGEST_SHARE,
            "environment": environment,
        }
        print(json.dumps(document, indent=2))
        return 0
    print(f"{'':36}{'images/s':>10}{'resident over it':>28}{'of a training step':>30}")
    for name in WAYS:
        ratio, share = ratios.get(name), shares[name]
        over = "" if ratio is None else f"{ratio['median']:.1f}× ({ratio['low']:.1f} to {ratio['high']:.1f})"
        print(
            f"{name:36}{images[name]:>10,.0f}{over:>28}{share['median']:>14.2%} ({share['low']:.2%} to"
            f" {share['high']:.2%})"
        )
    print(f"{STEP:36}{images[STEP]:>10,.0f}")
    print(
        f"{rounds} rounds, medians with the lowest and highest round; goal of ours: at most {LARGEST_SHARE:.0%} of a"
        " step"
    )
    print("environment: " + ", ".join(f"{k} {v}" for k, v in environment.items() if v is not None))
    return 0


if __name__ == "__main__":
    sys.exit(main())
