"""Core-seconds until studies have a verdict, ours against the usual way, and seconds until an accuracy is reached.

    python -m benchmarks.verdict             # trains what is not stored: hours on two cores
    python -m benchmarks.verdict --short     # few images and one study: minutes, and no conclusion about CIFAR-10
    python -m benchmarks.verdict --recipes-alone --epochs 6    # seconds to an accuracy, and no study

Ours: `--seeds auto`, shared baselines trained once, this trainer. Stored trials are read, and the others are trained.
The usual way: ten seeds of every variant and of every study's baseline, as Welch's test with Bonferroni's correction
needs, in a loop of timm's loader, optimiser and steps as documented. The number of trials is the study's own, or ten
per variant; the seconds of a trial are those of its steps, from images per second of both loops on one core, measured
here in interleaved rounds for every network. Evaluation, starting and waiting are left out on both sides.

For each named recipe: the validation accuracy at the end of each epoch and the steps' seconds until then, of trials on
the scale's images for as many epochs, which the store keeps too.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.loops import BATCH_SIZE, Loop
from benchmarks.rounds import Ratio, in_rounds, ratio_of
from xception.base.canonical import key_of
from xception.base.command_line import parse, refuse

if TYPE_CHECKING:
    from ablations.design.options import Options
    from ablations.design.study import Study
    from ablations.design.study_plan import StudyPlan
    from ablations.records.record import Record, StoredPlan

PROG = "python -m benchmarks.verdict"
USUAL_SEEDS = 10
SHORT_IMAGES = 1000
GOAL = 8.0
TARGETS = (0.6, 0.7, 0.8)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the command."""

    study: tuple[str, ...] = ()
    """A study to settle, as operators@params where --match is not none; may be repeated. Default: residuals, operators
    and aa; residuals with --short."""
    recipes_alone: bool = False
    """Settle no study: measure only the seconds that recipes take to an accuracy."""
    recipe: tuple[str, ...] = ()
    """A recipe whose seconds to an accuracy are measured; may be repeated. Default: quick-1 and quick-2."""
    scale: str = "quick"
    """Scale of all trials."""
    dataset: str = "cifar10"
    """Data of all trials."""
    train_size: int | None = None
    """Training images, instead of the scale's."""
    epochs: int | None = None
    """Epochs, instead of the scale's."""
    set: tuple[str, ...] = ()
    """FIELD=VALUE set in our trials and rates, such as recipe.precision=bfloat16; may be repeated. The usual loop has
    the recipe as documented."""
    workers: int = 1
    """Trials trained at a time."""
    store: str | None = None
    """Database of records, which is read and added to. Default: records.db in --out."""
    out: Path = Path("results/local/verdict")
    """Folder of the store and of trials while they train."""
    short: bool = False
    """One study and one recipe on 1,000 images of the synthetic set, with fewer rounds."""
    json: bool = False
    """Print one JSON document."""


@dataclass(frozen=True, kw_only=True)
class CountedTrial:
    """One trial as its cost is counted: by its network and number of images."""

    key: str
    network: str
    images: int


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The results of a study with seeds as needed: its trials, how each comparison ended, and the designs."""

    study: str
    trials: tuple[CountedTrial, ...]
    usual: tuple[CountedTrial, ...]  # the trials of the usual way, each with a separate key
    reasons: dict[str, str]


def options_of(asked: Arguments) -> Options:
    """Return the options of every study."""
    from ablations.design.options import Options

    common = Options(out=asked.out, store=asked.store, workers=asked.workers, device="cpu", set=asked.set)
    if asked.short:
        return common.replace(scale=asked.scale, dataset="synthetic", train_size=SHORT_IMAGES, epochs=2)
    return common.replace(scale=asked.scale, dataset=asked.dataset, train_size=asked.train_size, epochs=asked.epochs)


def trained(plan: StudyPlan) -> tuple[StoredPlan, dict[str, Record]]:
    """Train those trials of a plan that are not stored; return the stored plan, and its records by key.

    Raises:
        RuntimeError: a trial failed.
    """
    from ablations.running.context import check_options, open_context
    from ablations.running.training import train

    check_options(plan.options)
    with open_context(plan, in_process=plan.options.workers == 1) as context, context.display:
        training = train(context)
        if training.num_failed:
            raise RuntimeError(f"{training.num_failed} trials of {plan.study.name} failed")
        return training.plan, context.store.get(member.key for member in training.plan.members)


def settle(name: str, options: Options) -> tuple[Settled, dict[str, Loop], dict[str, Loop]]:
    """Run a study until it is settled; return its results, and both loops for its networks: ours and the usual one."""
    from ablations.analysis.frame import plan_frame
    from ablations.analysis.racing import next_step
    from ablations.design.plan_study import plan_study
    from ablations.records.store import Store
    from ablations.studies import get_study

    study, _, match = name.partition("@")
    plan = plan_study(get_study(study), options.replace(seeds="auto", match=match or "none"))
    stored, _ = trained(plan)
    with closing(Store(options.store_url)) as store:
        step = next_step(plan_frame(store, stored))
    ours, usual = {}, {}
    asked: dict[str, CountedTrial] = {}
    for variant, design in plan.designs.items():
        network = key_of(design.model)[:12]
        images = (
            design.dataset.train_size or plan.source.num_available(design.dataset.val_size)
        ) * design.recipe.epochs
        asked[variant] = CountedTrial(key=variant, network=network, images=images)
        one = Loop(kind="ours", threads=1, cores=(_core(),), config=design.model, recipe=design.recipe)
        ours[network], usual[network] = one, dataclasses.replace(one, kind="timm", threads=None, recipe=None)
    own = tuple(dataclasses.replace(asked[m.variant], key=m.key) for m in stored.members if m.variant in asked)
    tens = tuple(
        dataclasses.replace(one, key=f"{name} {variant} {seed}")
        for variant, one in asked.items()
        for seed in range(USUAL_SEEDS)
    )
    return Settled(study=name, trials=own, usual=tens, reasons=step.reasons), ours, usual


def images_per_second(
    ours: Mapping[str, Loop], usual: Mapping[str, Loop], *, num_rounds: int, turn_seconds: float
) -> dict[str, dict[str, list[float]]]:
    """Return images per second on one core for each network, of `ours` and the `usual` loop, round by round."""
    found = {}
    for number, network in enumerate(ours, start=1):
        print(f"network {number} of {len(ours)}", file=sys.stderr, flush=True)
        pair = {"ours": ours[network], "usual": usual[network]}
        steps = in_rounds(pair, num_rounds=num_rounds, turn_seconds=turn_seconds)
        batch = {name: BATCH_SIZE if loop.recipe is None else loop.recipe.batch_size for name, loop in pair.items()}
        found[network] = {name: [rate * batch[name] for rate in rates] for name, rates in steps.items()}
    return found


def core_seconds(
    trials: Sequence[CountedTrial], rates: Mapping[str, Mapping[str, list[float]]], loop: str
) -> list[float]:
    """Return the core-seconds of distinct trials in each round."""
    distinct = {trial.key: trial for trial in trials}.values()
    num_rounds = len(next(iter(rates.values()))[loop])
    return [sum(one.images / rates[one.network][loop][i] for one in distinct) for i in range(num_rounds)]


def ratio(settled: Sequence[Settled], rates: Mapping[str, Mapping[str, list[float]]]) -> Ratio:
    """Return the core-seconds of the usual way over ours, for studies together: shared trials are trained once."""
    ours = core_seconds([trial for one in settled for trial in one.trials], rates, "ours")
    usual = core_seconds([trial for one in settled for trial in one.usual], rates, "usual")
    return ratio_of(usual, ours)


def seconds_to(curves: Sequence[Mapping[str, Any]], seconds: float) -> dict[float, float | None]:
    """Return the seconds of steps until each target was met at the end of an epoch; None where none met it."""
    per_epoch = seconds / len(curves)
    return {
        target: next((row["epoch"] * per_epoch for row in curves if row["val_accuracy"] >= target), None)
        for target in TARGETS
    }


def accuracies(names: Sequence[str], options: Options, seeds: int) -> list[dict[str, Any]]:
    """Train the scale's network by each recipe; return a row for each trial."""
    from ablations.design.plan_study import plan_study

    rows = []
    for name in names:
        plan = plan_study(_one_network(), options.replace(recipe=name, seeds=seeds))
        stored, records = trained(plan)
        for member in stored.members:
            record = records[member.key]
            if record.status != "complete" or record.train_seconds is None:
                continue
            best = max(row["val_accuracy"] for row in record.curves)
            rows.append(
                {
                    "recipe": name,
                    "seed": member.seed,
                    "train_seconds": record.train_seconds,
                    "highest": best,
                    "capability": record.environment.get("cpu_capability"),
                    "seconds_to": {f"{t:g}": s for t, s in seconds_to(record.curves, record.train_seconds).items()},
                }
            )
    return rows


def _one_network() -> Study:
    from ablations.design.study import Study, Variant

    return Study(
        name="recipe",
        question="How many seconds does a recipe take to an accuracy?",
        variants=(Variant(name="network"),),
        baseline="network",
        varies=(),
        reference="none",
    )


def _core() -> int:
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def main(args: Sequence[str] | None = None) -> int:
    """Settle the studies, time both loops, print, and return the exit status."""
    asked = parse(Arguments, args, prog=PROG, description="Core-seconds to verdicts, and seconds to an accuracy.")
    from xception.data import DataError
    from xception.profile.environment import read_environment

    environment = dataclasses.asdict(read_environment("cpu"))
    if asked.recipes_alone and asked.study:
        refuse(PROG, "--recipes-alone settles no study; leave out --study")
    names = asked.study or (("residuals",) if asked.short else ("residuals", "operators", "aa"))
    names = () if asked.recipes_alone else names
    recipes = asked.recipe or (("quick-2",) if asked.short else ("quick-1", "quick-2"))
    try:
        options = options_of(asked)
        rows = accuracies(recipes, options, 1 if asked.short else 2)
        found = [settle(name, options) for name in names]
    except (ValueError, DataError) as error:
        refuse(PROG, error)
    ours = {network: loop for _, loops, _ in found for network, loop in loops.items()}
    usual = {network: loop for _, _, loops in found for network, loop in loops.items()}
    rates = images_per_second(ours, usual, num_rounds=2 if asked.short else 3, turn_seconds=1.0 if asked.short else 3.0)
    settled = [one for one, _, _ in found]
    document = {
        "studies": [
            {
                "study": one.study,
                "trials": len({trial.key for trial in one.trials}),
                "usual_trials": len(one.usual),
                "core_seconds": statistics.median(core_seconds(one.trials, rates, "ours")),
                "usual_core_seconds": statistics.median(core_seconds(one.usual, rates, "usual")),
                "ratio": dataclasses.asdict(ratio([one], rates)),
                "reasons": one.reasons,
            }
            for one in settled
        ],
        "together": dataclasses.asdict(ratio(settled, rates)) if settled else None,
        "goal": GOAL,
        "recipes": rows,
        "rates": {n: {loop: statistics.median(r) for loop, r in both.items()} for n, both in rates.items()},
        "setup": {
            "scale": asked.scale,
            "dataset": options.dataset,
            "train_size": options.train_size,
            "epochs": options.epochs,
            "set": ", ".join(options.set) or None,
        },
        "environment": environment,
    }
    if asked.json:
        print(json.dumps(document, indent=2))
    else:
        _show(document, print)
    return 0


def _show(document: Mapping[str, Any], say: Callable[[str], None]) -> None:
    setup = ", ".join(f"{name} {value}" for name, value in document["setup"].items() if value is not None)
    if document["studies"]:
        say(f"core-seconds until a study is settled ({setup})")
    for row in document["studies"]:
        r = row["ratio"]
        say(
            f"  {row['study']:12} ours {row['trials']:3} trials {row['core_seconds']:9,.0f} s;"
            f" usual way {row['usual_trials']:3} trials {row['usual_core_seconds']:9,.0f} s:"
            f" {r['median']:5.2f}× ({r['low']:.2f} to {r['high']:.2f}, {r['n']} rounds)"
        )
        for variant, reason in row["reasons"].items():
            say(f"    {variant}: {reason}")
    if (both := document["together"]) is not None:
        say(
            f"together, shared baselines trained once: {both['median']:.2f}× ({both['low']:.2f} to {both['high']:.2f}),"
            f" goal {document['goal']:g}×"
        )
    say(f"seconds of steps to a validation accuracy, at the end of an epoch ({setup})")
    for row in document["recipes"]:
        parts = [
            f"{float(target):.0%} " + ("not reached" if seconds is None else f"{seconds:,.0f} s")
            for target, seconds in row["seconds_to"].items()
        ]
        say(
            f"  {row['recipe']:10} seed {row['seed']}: {', '.join(parts)}; highest {row['highest']:.1%} in"
            f" {row['train_seconds']:,.0f} s on {row['capability']}"
        )
    say("environment: " + ", ".join(f"{k} {v}" for k, v in document["environment"].items() if v is not None))


if __name__ == "__main__":
    sys.exit(main())
