"""Training on one CUDA device: our trainer against timm's loop, and the speed-up from each of our optimisations.

    python -m benchmarks.gpu            # about fifteen minutes
    python -m benchmarks.gpu --short    # about five

In bfloat16, on `cifar_small`, batch 128: one trial against timm's loader and loop (16 workers, automatic mixed
precision, channels-last), 1 to 16 seeds trained together, one trial without the CUDA graph, and one with PyTorch's
choice of depthwise convolutions. Each is a fresh process in each round, in random order; ratios are taken within a
round. Then every backend on every depthwise shape of the network, the share of the bandwidth bound, and the share of
set-up in a trial of 30 epochs of CIFAR-10. The bound is three times the forward traffic of the unfused network over the
measured rate of a large copy: a backward pass reads and writes about twice what the forward one does.

Without a CUDA device it prints that, and measures nothing.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import random
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.loops import BATCH_SIZE, PRESET, Loop, model_config, recipe, train
from benchmarks.rounds import ratio_of
from xception.base.command_line import parse
from xception.train.execution import QUICK, Execution

PROG = "python -m benchmarks.gpu"
NOT_MEASURED = "no CUDA device: not measured"
GOALS = {"timm": 5.0, "timm_seeds": 10.0, "bandwidth_share": 0.4, "set_up_share": 0.1}
WARM_STEPS = 20  # in which algorithms are chosen and the graph is recorded
TRIAL_IMAGES = 30 * 45_000
DEVICE = "cuda:0"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the command."""

    short: bool = False
    """Fewer and shorter rounds, and fewer numbers of seeds."""
    json: bool = False
    """Print one JSON document."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One way to train: ours with a number of seeds trained together, or a peer's loop."""

    num_seeds: int = 1
    execution: Execution = QUICK
    peer: Loop | None = None


@dataclass(frozen=True, kw_only=True)
class Turn:
    """The measurements of one process: images per second over all seeds, and seconds from its start to its first timed
    step.
    """

    images_per_second: float
    set_up_seconds: float


def entries(*, short: bool) -> dict[str, Entry]:
    """Return what is timed, by name."""
    timm = Loop(kind="timm", loader_workers=16, tuned=True, device=DEVICE, precision="bfloat16")
    found = {
        f"{k} seeds as one" if k > 1 else "one trial": Entry(num_seeds=k)
        for k in ((1, 4, 16) if short else (1, 2, 4, 8, 16))
    }
    return found | {
        "one trial, no CUDA graph": Entry(execution=QUICK.replace(cuda_graph=False)),
        "one trial, PyTorch's depthwise": Entry(execution=QUICK.replace(depthwise="torch")),
        "timm": Entry(peer=timm),
    }


def take_turn(entry: Entry, seconds: float) -> Turn:
    """Train in a fresh process for about `seconds`.

    Raises:
        RuntimeError: the process failed; its traceback is on standard error.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_serve, args=(theirs, entry, seconds, time.time())
    )  # not a daemon: loaders start workers of their own
    process.start()
    theirs.close()
    try:
        turn: Turn = ours.recv()
    except EOFError:
        raise RuntimeError(f"{entry}: its process ended") from None
    finally:
        process.join()
        ours.close()
    return turn


def ratios(turns: Mapping[str, Sequence[Turn]]) -> dict[str, dict[str, float]]:
    """Return ours over timm's loop, for one trial and for the best number of seeds, and the speed-up of each
    optimisation on one trial.
    """
    rates = {name: [turn.images_per_second for turn in found] for name, found in turns.items()}
    best = max((name for name in rates if "seeds" in name), key=lambda name: statistics.median(rates[name]))
    pairs = {"timm": ("one trial", "timm"), "timm_seeds": (best, "timm")}
    pairs |= {name: ("one trial", name) for name in rates if name.startswith("one trial,")}
    pairs |= {name: (name, "one trial") for name in rates if "seeds" in name}
    return {key: dataclasses.asdict(ratio_of(rates[ours], rates[theirs])) for key, (ours, theirs) in pairs.items()}


def main(args: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit status."""
    asked = parse(Arguments, args, prog=PROG, description="Training on one CUDA device.")
    import torch

    if not torch.cuda.is_available():
        print(json.dumps({"ratios": {}, "goals": GOALS, "note": NOT_MEASURED}) if asked.json else NOT_MEASURED)
        return 0
    from xception.profile.environment import read_environment

    environment = read_environment(DEVICE)
    contest = entries(short=asked.short)
    turns: dict[str, list[Turn]] = {name: [] for name in contest}
    order, names = random.Random(0), list(contest)
    for number in range(3 if asked.short else 5):
        print(f"round {number + 1}", file=sys.stderr, flush=True)
        order.shuffle(names)
        for name in names:
            turns[name].append(take_turn(contest[name], 2.0 if asked.short else 5.0))
    alone = turns["one trial"]
    document: dict[str, Any] = {
        "ratios": ratios(turns),
        "images_per_second": {
            name: statistics.median(turn.images_per_second for turn in found) for name, found in turns.items()
        },
        "set_up_seconds": statistics.median(turn.set_up_seconds for turn in alone),
        "set_up_share": statistics.median(
            turn.set_up_seconds / (turn.set_up_seconds + TRIAL_IMAGES / turn.images_per_second) for turn in alone
        ),
        **_bandwidth(statistics.median(turn.images_per_second for turn in alone)),
        "depthwise_ms": _depthwise(),
        "goals": GOALS,
        "environment": dataclasses.asdict(environment),
    }
    if asked.json:
        print(json.dumps(document, indent=2))
    else:
        _show(document)
    return 0


def _serve(pipe: Connection, entry: Entry, seconds: float, started: float) -> None:
    """Train, and return the rate after a warm-up."""
    import torch

    from xception.train.checkpoint import TrainingStopped
    from xception.train.process import prepare_process

    multiprocessing.set_start_method(
        multiprocessing.get_all_start_methods()[0], force=True
    )  # loaders start workers as in a script
    num_steps, began, set_up = 0, 0.0, 0.0

    def on_step() -> None:
        nonlocal num_steps, began, set_up
        num_steps += 1
        if num_steps == WARM_STEPS:
            torch.cuda.synchronize()
            began, set_up = time.perf_counter(), time.time() - started
        elif num_steps > WARM_STEPS and num_steps % 10 == 0:
            torch.cuda.synchronize()
            elapsed = time.perf_counter() - began
            if elapsed >= seconds:
                rate = (num_steps - WARM_STEPS) * BATCH_SIZE * entry.num_seeds / elapsed
                pipe.send(Turn(images_per_second=rate, set_up_seconds=set_up))
                raise TrainingStopped

    try:
        if entry.peer is not None:
            train(entry.peer, on_step)
        else:
            prepare_process(1)
            _train(entry, on_step)
    except TrainingStopped:
        return


def _train(entry: Entry, on_step: Any) -> None:
    from xception.data import load
    from xception.data.names import find
    from xception.train.loop import fit
    from xception.train.seed_batch import Member, fit_members

    dataset = load(find("synthetic", None), 32)
    given: dict[str, Any] = {
        "model": model_config(PRESET),
        "recipe": recipe("bfloat16"),
        "dataset": dataset,
        "device": DEVICE,
        "on_step": on_step,
        "data": dataset.source.config(image_size=32, val_size=BATCH_SIZE, test_size=BATCH_SIZE),
        "execution": entry.execution,
    }
    if entry.num_seeds == 1:
        fit(**given, seed=0)
    else:
        fit_members(**given, members=[Member(seed=seed) for seed in range(entry.num_seeds)])


def _bandwidth(images_per_second: float) -> dict[str, float]:
    """The memory traffic of the unfused network, as a share of the rate of a large copy."""
    from xception.network.model import build
    from xception.profile.complexity import complexity
    from xception.profile.protocol import LatencyProtocol
    from xception.profile.roofline import measure_ceilings

    ceilings = measure_ceilings(LatencyProtocol(precision="bfloat16"), device=DEVICE)
    counted = complexity(build(model_config(PRESET)), (3, 32, 32), fvcore=False)
    moved = 3 * counted.bytes_moved / 2  # counted in float32, moved in bfloat16
    return {
        "copied_bytes_per_second": ceilings.bytes_per_second,
        "bandwidth_share": images_per_second * moved / ceilings.bytes_per_second,
    }


def _depthwise() -> dict[str, dict[str, float]]:
    """Milliseconds of forward and backward on every depthwise shape of the network, by backend."""
    import torch

    from xception.cuda.depthwise import available
    from xception.network.model import build
    from xception.train.depthwise_choice import measure, shapes_of

    images = torch.zeros((BATCH_SIZE, 3, 32, 32), device=DEVICE)
    network = build(model_config(PRESET)).to(DEVICE)
    shapes = dict.fromkeys(shapes_of(network, images, torch.bfloat16).values())
    return {
        str(shape): {backend: 1e3 * measure(shape, backend, images.device) for backend in available()}
        for shape in shapes
    }


def _show(document: Mapping[str, Any]) -> None:
    for name, rate in document["images_per_second"].items():
        print(f"{name:32}{rate:>12,.0f} images/s")
    for name, ratio in document["ratios"].items():
        goal = f", goal {GOALS[name]:g}×" if name in GOALS else ""
        print(
            f"ratio {name:32}{ratio['median']:6.2f}× ({ratio['low']:.2f} to {ratio['high']:.2f}, {ratio['n']}"
            f" rounds){goal}"
        )
    print(
        f"set-up {document['set_up_seconds']:.1f} s, {document['set_up_share']:.1%} of a trial, goal at most"
        f" {GOALS['set_up_share']:.0%}"
    )
    print(
        f"{document['bandwidth_share']:.1%} of the unfused network's bandwidth bound, goal at least"
        f" {GOALS['bandwidth_share']:.0%}"
    )
    for shape, times in document["depthwise_ms"].items():
        print(f"  {shape}: " + ", ".join(f"{backend} {ms:.3f} ms" for backend, ms in times.items()))
    print("environment: " + ", ".join(f"{k} {v}" for k, v in document["environment"].items() if v is not None))


if __name__ == "__main__":
    sys.exit(main())
