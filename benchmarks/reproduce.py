"""Repeat a published run at small scale: do its verdicts agree with the published intervals?

    python -m benchmarks.reproduce residuals_6_epochs_cpu
    python -m benchmarks.reproduce residuals_6_epochs_cpu --share 1 --seeds 5      # as large as it was

The command of the folder's `provenance.json` is run again with a share of its training images, and fewer seeds. A
verdict is compatible with a published 95 % interval unless it contradicts it: *helps* if the interval is below zero,
*hurts* if it is above, *no meaningful effect* if it is beyond the margin δ. *Inconclusive* contradicts nothing and is
counted separately. The exit status is 1 if a verdict is not compatible.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd

import run_ablation
from benchmarks.published_index import PublishedRun, published_runs
from xception.base import formatting as f
from xception.base.command_line import POSITIONAL, parse, refuse
from xception.base.suggestions import did_you_mean

__all__ = ["Outcome", "compare_verdicts", "compatibility", "small_command"]

PROG = "python -m benchmarks.reproduce"
_REPLACED = ("--train-size", "--seeds", "--out", "--store", "--name")
Compatibility = Literal["compatible", "undecided", "not compatible"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run a published study again at small scale and compare its verdicts with the published intervals."""

    names: Annotated[tuple[str, ...], POSITIONAL, "Folders below the published results."]
    share: Annotated[float, "of the published run's training images, above 0 and up to 1"] = 0.2
    seeds: Annotated[int, "pairs; 3 or more, as fewer have no verdict"] = 3
    out: Annotated[Path, "folder for the results of the repetition"] = Path("results/local/reproduced")
    results: Annotated[Path, "folder of published results"] = Path("results")
    json: Annotated[bool, "print one JSON document and nothing else on standard output"] = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A variant's result in both runs, in fractions of accuracy."""

    variant: str
    published_verdict: str
    published: tuple[float, float]
    verdict: str
    repeated: tuple[float, float]
    compatibility: Compatibility


def compatibility(verdict: str, published: tuple[float, float], margin: float) -> Compatibility:
    """Return whether a verdict can be true if the effect lies in a published interval."""
    low, high = published
    if verdict == "inconclusive":
        return "undecided"
    possible = {"helps": high > 0, "hurts": low < 0, "no meaningful effect": low < margin and high > -margin}
    return "compatible" if possible[verdict] else "not compatible"


def compare_verdicts(published: pd.DataFrame, repeated: pd.DataFrame, margin: float) -> list[Outcome]:
    """Return the results of the variants that both tables compare; variants that the repetition lacks are left out."""
    again = {row["variant"]: row for row in _rows(repeated)}
    return [
        Outcome(
            variant=row["variant"],
            published_verdict=row["verdict"],
            published=_interval(row),
            verdict=again[row["variant"]]["verdict"],
            repeated=_interval(again[row["variant"]]),
            compatibility=compatibility(again[row["variant"]]["verdict"], _interval(row), margin),
        )
        for row in _rows(published)
        if row["verdict"] != "baseline" and row["variant"] in again
    ]


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _interval(row: dict[str, Any]) -> tuple[float, float]:
    return float(row["delta_ci_low"]), float(row["delta_ci_high"])


def small_command(run: PublishedRun, options: Options) -> list[str]:
    """Return the arguments of `run_ablation.py` for a repetition: those published, with fewer images and seeds."""
    words = shlex.split(str(run.about["command"]))[2:]
    kept = [word for before, word in pairwise(["", *words]) if word not in _REPLACED and before not in _REPLACED]
    size = max(1, round(options.share * int(run.trials["train_size"].iloc[0])))
    return [
        *kept,
        *("--train-size", str(size), "--seeds", str(options.seeds)),
        *("--out", str(options.out), "--name", _folder(run.name), "--yes"),
    ]


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parse(Options, args, prog=PROG, description=Options.__doc__ or "")
    runs = {run.name: run for run in published_runs(options.results)}
    for name in options.names:
        if name not in runs:
            known = f"allowed: {', '.join(runs) or 'none'}{did_you_mean(name, list(runs))}"
            refuse(PROG, f"NAMES: {name!r} is not published; {known}")
        if not (command := str(runs[name].about["command"])).startswith("python run_ablation.py "):
            refuse(PROG, f"NAMES: {name!r} is no study of run_ablation.py; its command: {command}")
    if not 0 < options.share <= 1:
        refuse(PROG, f"--share: {options.share} is not allowed; above 0 and up to 1")
    if options.seeds < 3:
        refuse(PROG, f"--seeds: {options.seeds} is not allowed; 3 or more")
    outcomes: dict[str, list[Outcome]] = {}
    for name in options.names:
        with contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext():
            status = run_ablation.main(small_command(runs[name], options))
        if status:
            return status
        repeated = pd.read_csv(options.out / _folder(name) / "table.csv")
        outcomes[name] = compare_verdicts(runs[name].table, repeated, float(runs[name].about["margin"]))
    if options.json:
        print(json.dumps({name: [asdict(one) for one in found] for name, found in outcomes.items()}))
    else:
        for name, found in outcomes.items():
            print("\n".join([f"{name}:", *(f"  {_sentence(one)}" for one in found)]))
    return int(any(one.compatibility == "not compatible" for found in outcomes.values() for one in found))


def _folder(name: str) -> str:
    return name.replace("/", "-")


def _sentence(one: Outcome) -> str:
    here, there = (f"{f.interval(*pair, signed=True)} pp" for pair in (one.repeated, one.published))
    return f"{one.variant}: {one.verdict} {here}, published {one.published_verdict} {there}: {one.compatibility}"


if __name__ == "__main__":
    sys.exit(main())
