"""The time of a training against the number of images, the network's width and the number of parallel trainings, and
where it is linear.

    python -m benchmarks.scaling --out results/benchmarks      # writes scaling.csv and scaling.png, about five minutes
    python -m benchmarks.scaling --short                       # fewer rounds

Images: one epoch of `cifar_tiny` by `fit` on one thread, evaluation of 1,000 validation images and 1,000 test images
included. Width: `cifar_small` with all widths multiplied, against its multiply-accumulates. Trainings: processes of one
thread each of `cifar_tiny`. Each is the median of interleaved rounds, with the lowest and highest.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.loops import AUGMENT, BATCH_SIZE, PRESET, Loop, model_config
from benchmarks.rounds import in_rounds
from xception.base.command_line import parse

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PROG = "python -m benchmarks.scaling"
TRAIN_SIZES = (1024, 2048, 4096, 8192)
EVALUATED = 1000
WIDTHS = (0.5, 1.0, 2.0, 3.0)
SMALL = "cifar_tiny"
IMAGES, MACS, TRAININGS = "images", "multiply-accumulates", "trainings side by side"
_COLOUR = "#0072b2"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the command."""

    out: Path | None = None
    """Folder for scaling.csv and scaling.png; without it the results are only printed."""
    short: bool = False
    """Fewer rounds."""
    json: bool = False
    """Print one JSON document."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One measurement: seconds for `x`, with the lowest and highest round, and the seconds in proportion to the
    smallest x.
    """

    against: str
    x: float
    seconds: float
    low: float
    high: float
    linear: float
    note: str = ""


def data_sizes(rounds: int) -> list[Point]:
    """Time `fit` for one epoch of growing numbers of images, in this process."""
    from xception.data import load
    from xception.data.names import find
    from xception.train.loop import fit
    from xception.train.process import prepare_process
    from xception.train.recipe import Recipe

    prepare_process(1)
    dataset = load(find("synthetic", None), 32)
    model = model_config(SMALL)
    recipe = Recipe(epochs=1, batch_size=BATCH_SIZE, augment=AUGMENT)
    taken: dict[int, list[float]] = {size: [] for size in TRAIN_SIZES}
    beside: dict[int, list[float]] = {size: [] for size in TRAIN_SIZES}
    for _ in range(rounds):
        for size in TRAIN_SIZES:
            data = dataset.source.config(image_size=32, train_size=size, val_size=EVALUATED, test_size=EVALUATED)
            began = time.perf_counter()
            result = fit(model=model, recipe=recipe, dataset=dataset, data=data, seed=0)
            taken[size].append(time.perf_counter() - began)
            beside[size].append(1 - result.train_seconds / taken[size][-1])
    notes = {size: f"{statistics.median(share):.1%} beside the steps" for size, share in beside.items()}
    return points_of(IMAGES, taken, notes)


def widths(rounds: int, turn_seconds: float) -> list[Point]:
    """Time steps of networks of growing width; x is multiply-accumulates of one image."""
    from xception.network.closed_form import complexity

    loops = {f"{width:g}": Loop(kind="ours", threads=1, width=width) for width in WIDTHS}
    rates = in_rounds(loops, num_rounds=rounds, turn_seconds=turn_seconds)
    macs = {
        name: complexity(model_config(PRESET).replace(width_multiplier=loop.width), 32).macs
        for name, loop in loops.items()
    }
    seconds = {macs[name]: [1 / rate for rate in found] for name, found in rates.items()}
    return points_of(MACS, seconds, {macs[name]: f"width × {name}" for name in loops})


def workers(rounds: int, turn_seconds: float, num_cores: int) -> list[Point]:
    """Time a step of a number of parallel trainings; it stays constant up to the number of cores if they do not slow
    each other down.
    """
    loops = {
        count: Loop(kind="ours", threads=1, preset=SMALL, processes=count) for count in range(1, 2 * num_cores + 1)
    }
    rates = in_rounds({str(count): loop for count, loop in loops.items()}, num_rounds=rounds, turn_seconds=turn_seconds)
    seconds = {count: [count / rate for rate in rates[str(count)]] for count in loops}
    alone = statistics.median(seconds[1])
    return [
        Point(
            against=TRAININGS,
            x=count,
            seconds=statistics.median(s),
            low=min(s),
            high=max(s),
            linear=alone * max(1.0, count / num_cores),
        )
        for count, s in seconds.items()
    ]


def plot(points: Sequence[Point], note: str) -> Figure:
    """Draw a panel for each x: medians with their range, and the line in proportion to the smallest x."""
    from ablations.reporting.style import context, finish, new_figure

    kinds = list(dict.fromkeys(point.against for point in points))
    titles = {IMAGES: "s, one epoch by fit", MACS: "s a step of 128 images", TRAININGS: "s a step of each"}
    with context():
        figure = new_figure(2.2, width=6.75)
        axes: Sequence[Axes] = figure.subplots(1, len(kinds), squeeze=False)[0]
        for panel, kind in zip(axes, kinds, strict=True):
            chosen = [point for point in points if point.against == kind]
            x = [point.x / 1e6 if kind == MACS else point.x for point in chosen]
            panel.plot(x, [point.linear for point in chosen], color="#777777", linestyle=":", label="in proportion")
            spread = [[p.seconds - p.low for p in chosen], [p.high - p.seconds for p in chosen]]
            panel.errorbar(x, [point.seconds for point in chosen], yerr=spread, color=_COLOUR, marker="o", capsize=2)
            panel.set_xlabel({MACS: f"million {MACS} an image"}.get(kind, kind))
            panel.set_title(titles[kind], loc="left")
            panel.set_xlim(left=0)
            panel.set_ylim(bottom=0)
        axes[0].legend(loc="upper left")
        return finish(figure, title="What a training costs on a CPU", note=note)


def main(args: Sequence[str] | None = None) -> int:
    """Measure, write, print, and return the exit status."""
    asked = parse(Arguments, args, prog=PROG, description="What a training costs against data, width and workers.")
    from xception.profile.environment import read_environment

    rounds, seconds = (2, 1.0) if asked.short else (3, 2.0)
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    environment = asdict(read_environment("cpu"))
    points = [*data_sizes(rounds), *widths(rounds, seconds), *workers(rounds, seconds, num_cores)]
    if asked.out is not None:
        import pandas as pd

        from ablations.reporting.style import context

        asked.out.mkdir(parents=True, exist_ok=True)
        pd.DataFrame([asdict(point) for point in points]).to_csv(asked.out / "scaling.csv", index=False)
        note = (
            f"Medians of {rounds} interleaved rounds with their range, {environment['cpu']}, {num_cores} cores, PyTorch"
            f" {environment['torch']}. Images: cifar_tiny. Width: {PRESET}, one thread. Trainings: cifar_tiny, one"
            " thread each."
        )
        figure = plot(points, note)
        with context():
            figure.savefig(asked.out / "scaling.png", dpi=200)
    if asked.json:
        print(json.dumps({"points": [asdict(point) for point in points], "environment": environment}, indent=2))
        return 0
    for point in points:
        print(
            f"{point.x:>14,.0f} {point.against:24}{point.seconds:8.3f} s ({point.low:.3f} to {point.high:.3f}), "
            f"{point.seconds / point.linear:.2f} of proportion{', ' + point.note if point.note else ''}"
        )
    print("environment: " + ", ".join(f"{k} {v}" for k, v in environment.items() if v is not None))
    return 0


def points_of(against: str, seconds: Mapping[int, Sequence[float]], notes: Mapping[int, str]) -> list[Point]:
    first = min(seconds)
    slope = statistics.median(seconds[first]) / first
    return [
        Point(
            against=against, x=x, seconds=statistics.median(s), low=min(s), high=max(s), linear=slope * x, note=notes[x]
        )
        for x, s in seconds.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
