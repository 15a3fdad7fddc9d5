"""What a study takes in addition to training: the time to the first step, evaluation, and everything outside `fit`.

    python -m benchmarks.study            # the README's first study, a quarter of an hour on two cores
    python -m benchmarks.study --short    # fewer images and seeds: fixed costs weigh more

`start`: from the command to the first result of a study whose trials have one step each, over a process that imports
torch alone, in interleaved rounds; a plain loop's optimiser imports torch._dynamo too, so a process that imports both
is timed as well. `fit`: the shares of one training that go to its steps, to validation after each epoch and to the test
set. `study`: from the command to the last figure. The trainings' part of it is the training seconds in the records,
times the ratio of `fit` to its steps. While the last worker trains alone, the others wait, and that wait is listed
separately.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from xception.base.command_line import parse, refuse

PROG = "python -m benchmarks.study"
ROOT = Path(__file__).parent.parent
GOALS = {"first_seconds_over_torch": 2.0, "validation": 0.05, "beyond_fit": 0.02}
_IMPORTS = {"torch": "import torch", "torch and torch._dynamo": "import torch, torch._dynamo"}


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the command."""

    dataset: str = "synthetic"
    """Data set of the study: synthetic, or cifar10 if it is found."""
    workers: int = 2
    """Trials trained at a time, with one thread each."""
    short: bool = False
    """Fewer images, seeds and rounds."""
    json: bool = False
    """Print one JSON document."""


def start(rounds: int) -> dict[str, dict[str, float]]:
    """Return the seconds of fresh processes: that import torch, and from a command to the first result of a one-step
    trial.
    """
    seconds: dict[str, list[float]] = {name: [] for name in (*_IMPORTS, "command")}
    for _ in range(rounds):
        for name, code in _IMPORTS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            seconds[name].append(time.perf_counter() - began)
        with tempfile.TemporaryDirectory() as folder:
            words = (
                "--scale",
                "smoke",
                "--dataset",
                "synthetic",
                "--train-size",
                "128",
                "--epochs",
                "1",
                "--seeds",
                "1",
                "--workers",
                "1",
            )
            seconds["command"].append(run_command(*words, "--out", folder).results[0])
    seconds["over torch"] = [a - b for a, b in zip(seconds["command"], seconds["torch"], strict=True)]
    seconds["over both"] = [a - b for a, b in zip(seconds["command"], seconds["torch and torch._dynamo"], strict=True)]
    return {
        name: {"median": statistics.median(s), "low": min(s), "high": max(s), "n": rounds}
        for name, s in seconds.items()
    }


def shares_of_fit(dataset_name: str, train_size: int | None) -> dict[str, float]:
    """Return seconds of a training of scale quick on one thread, and the shares of its steps, validations and test."""
    from ablations.design.scales import get_scale
    from xception.data import load
    from xception.data.names import find
    from xception.network import presets
    from xception.train.loop import fit
    from xception.train.process import prepare_process
    from xception.train.trainer import Trainer

    prepare_process(1)
    scale = get_scale("quick")
    dataset = load(find(dataset_name, None), 32)
    size, val_size, test_size = scale.sizes(dataset.source, train_size)
    data = dataset.source.config(image_size=32, train_size=size, val_size=val_size, test_size=test_size)
    model = presets.get(scale.preset).for_data(num_classes=dataset.source.num_classes, in_channels=3, input_size=32)
    evaluating = {"validation": 0.0, "test": 0.0}
    plain = Trainer.evaluate

    def timed(trainer: Trainer, *parts: Any) -> Any:
        began = time.perf_counter()
        try:
            return plain(trainer, *parts)
        finally:
            evaluating["test" if parts[0] is trainer.own_test else "validation"] += time.perf_counter() - began

    with mock.patch.object(Trainer, "evaluate", timed):
        began = time.perf_counter()
        result = fit(model=model, recipe=scale.recipe_for(None, None, size), dataset=dataset, data=data, seed=0)
        seconds = time.perf_counter() - began
    shares = {name: spent / seconds for name, spent in evaluating.items()}
    return {"seconds": seconds, "images": float(size), "steps": result.train_seconds / seconds, **shares}


@dataclass(frozen=True)
class Run:
    seconds: float
    results: list[float]  # when each trial's line was printed, in seconds from the command


def run_command(*words: str) -> Run:
    """Run a study as a user would; time its lines.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, str(ROOT / "run_ablation.py"), "--study", "residuals", *words]
    began = time.perf_counter()
    results, said = [], []
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace"
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if line.startswith("["):
                results.append(time.perf_counter() - began)
    if process.returncode or not results:
        raise RuntimeError(f"{' '.join(command[1:])} ended with {process.returncode}: {''.join(said[-3:])}")
    return Run(time.perf_counter() - began, results)


def study(arguments: Arguments, fit: dict[str, float], words: Sequence[str]) -> dict[str, float]:
    """Run a whole study; return its seconds, and the share that is neither `fit` nor waiting for the last trial."""
    import pandas as pd

    with tempfile.TemporaryDirectory() as folder:
        out = ("--dataset", arguments.dataset, "--workers", str(arguments.workers), "--out", folder)
        run = run_command("--scale", "quick", *words, *out)
        trained = float(pd.read_csv(Path(folder, "residuals", "runs.csv"))["train_seconds"].sum())
    last = run.results[-arguments.workers :]
    idle = sum(last[-1] - ended for ended in last) / arguments.workers
    in_fit = trained / fit["steps"] / arguments.workers
    return {
        "seconds": run.seconds,
        "trials": len(run.results),
        "in_fit": in_fit,
        "waiting_for_the_last": idle,
        "to_first_trials": run.results[0],
        "after_last_trial": run.seconds - run.results[-1],
        "beyond_fit": (run.seconds - in_fit - idle) / run.seconds,
    }


def main(args: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit status."""
    asked = parse(Arguments, args, prog=PROG, description="What a study takes in addition to training.")
    from xception.data import DataError
    from xception.profile.environment import read_environment

    environment = asdict(read_environment("cpu"))
    size = ("--train-size", "2500", "--seeds", "2") if asked.short else ()
    try:
        began = start(3 if asked.short else 5)
        fit = shares_of_fit(asked.dataset, 2500 if asked.short else None)
        whole = study(asked, fit, size)
    except DataError as error:
        refuse(PROG, error)
    if asked.json:
        print(
            json.dumps(
                {"start": began, "fit": fit, "study": whole, "goals": GOALS, "environment": environment}, indent=2
            )
        )
        return 0
    for name, s in began.items():
        what = {
            "command": "command to first result",
            "over torch": "  over importing torch",
            "over both": "  over importing both",
        }
        print(
            f"{what.get(name, f'import {name}'):32}{s['median']:8.2f} s ({s['low']:.2f} to {s['high']:.2f}, {s['n']}"
            " rounds)"
        )
    print(f"goal over importing torch: {GOALS['first_seconds_over_torch']:g} s to the first step")
    rest = 1 - fit["steps"] - fit["validation"] - fit["test"]
    print(
        f"a training of scale quick on {fit['images']:,.0f} images, {fit['seconds']:.0f} s: steps {fit['steps']:.1%},"
        f" validation {fit['validation']:.1%} (goal below {GOALS['validation']:.0%}), test {fit['test']:.1%}, the rest"
        f" {rest:.1%}"
    )
    print(
        f"study of {whole['trials']} trials on {asked.dataset}, {asked.workers} at a time: {whole['seconds']:.0f} s; "
        f"in fit {whole['in_fit']:.0f} s, waiting for the last trial {whole['waiting_for_the_last']:.0f} s, "
        f"after it {whole['after_last_trial']:.1f} s"
    )
    print(f"beyond fit: {whole['beyond_fit']:.1%} of the study (goal {GOALS['beyond_fit']:.0%})")
    print("environment: " + ", ".join(f"{k} {v}" for k, v in environment.items() if v is not None))
    return 0


if __name__ == "__main__":
    sys.exit(main())
