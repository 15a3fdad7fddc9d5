"""Our trainer against the loops that a user would otherwise write: same network, data, augmentation, batch and
optimiser.

    python -m benchmarks.training            # 5 rounds, about ten minutes on two cores
    python -m benchmarks.training --short    # 3 rounds, about five minutes

The network is `cifar_small` (0.3 M parameters), the data the embedded synthetic set, the batch 128. The comparisons,
each in rounds in which every loop has a turn, in random order: the peers as in their documentation, on all cores; the
peers with our memory layout (channels-last) and allocator settings; and everything on one core. Ours is
`xception.train.loop.fit` in separate processes, as in a study's workers. A ratio is ours over theirs within a round;
ours is its best setting, and the DataLoader's too. On a CPU that has units for bfloat16, ours in bfloat16 is compared
with the documented peers in both precisions, and with ours in float32.

Also measured: the share of a step that goes to taking and augmenting its batch, and the share of the machine's rate of
matrix products (float32, 1024 × 1024, on the same cores in the same rounds) that a step reaches, counted as three times
the forward pass's multiply-accumulates. With CUDA, ours is compared with timm's loop with 16 loader workers, automatic
mixed precision and channels-last.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ablations.running.machine_notices import has_bfloat16_units
from benchmarks.loops import BATCH_SIZE, PRESET, PRODUCT_SIDE, Loop, Precision, model_config
from benchmarks.rounds import Ratio, in_rounds, ratio_of
from xception.base.command_line import parse

PROG = "python -m benchmarks.training"
NOT_MEASURED = "not measured"
GOALS = {"dataloader": 2.8, "keras": 2.8, "dataloader_one_core": 1.5, "timm_cuda": 5.0}
GOALS |= {"dataloader_float32": 4.0, "keras_float32": 4.0}  # bfloat16 goals, on a CPU with units for it
LARGEST_DATA_SHARE, LEAST_PRODUCT_SHARE = 0.02, 0.5
PACKAGES = {"timm": "timm", "keras": "keras"}  # that a kind of loop needs, from the extra `test`


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the command."""

    short: bool = False
    """Fewer and shorter rounds."""
    json: bool = False
    """Print one JSON document."""


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Loops with turns in the same rounds; of several loops on one side the fastest counts."""

    title: str
    ours: Mapping[str, Loop]
    peers: Mapping[str, Mapping[str, Loop]]  # by the key of the ratio
    measures: Mapping[str, Loop] = dataclasses.field(default_factory=dict)

    def loops(self) -> dict[str, Loop]:
        """Return all of them by name."""
        return {
            **self.ours,
            **{name: loop for peer in self.peers.values() for name, loop in peer.items()},
            **self.measures,
        }


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The results of a contest: images (or products, or batches) per second of each loop in each round, and ratios."""

    title: str
    rates: dict[str, list[float]]
    best: str  # of ours
    ratios: dict[str, Ratio]


def cpu_contests(num_cores: int) -> list[Contest]:
    """Return the contests on a CPU with a number of cores."""
    one = {"ours, 1 process of 1 thread": Loop(kind="ours", threads=1)}
    several = {
        f"ours, 1 process of {num_cores} threads": Loop(kind="ours", threads=num_cores),
        f"ours, {num_cores} processes of 1 thread": Loop(kind="ours", threads=1, processes=num_cores),
    }
    core = (min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,)
    return [
        Contest(
            title="peers as documented",
            ours=one | (several if num_cores > 1 else {}),
            peers=_peers("", tuned=False, num_cores=num_cores),
            measures={
                "batches alone, 1 thread": Loop(kind="batches", threads=1),
                f"matrix products, {num_cores} × 1 thread": Loop(kind="products", threads=1, processes=num_cores),
            },
        ),
        Contest(
            title="peers with our memory layout and allocator settings",
            ours={f"ours, {num_cores} × 1 thread": Loop(kind="ours", threads=1, processes=num_cores)},
            peers=_peers("_tuned", tuned=True, num_cores=num_cores),
        ),
        Contest(
            title="on one core",
            ours={"ours, one core": Loop(kind="ours", threads=1, cores=core)},
            peers={
                "dataloader_one_core": {"DataLoader loop, one core": Loop(kind="dataloader", cores=core)},
                "dataloader_tuned_one_core": {
                    "DataLoader loop, one core, our settings": Loop(kind="dataloader", cores=core, tuned=True)
                },
            },
        ),
    ]


def bfloat16_contest(num_cores: int) -> Contest:
    """Return the contest in bfloat16 on a CPU with a number of cores."""

    def ours(precision: Precision) -> dict[str, Loop]:
        loop = Loop(kind="ours", threads=1, processes=num_cores, precision=precision)
        return {f"ours, {num_cores} × 1 thread, {precision}": loop}

    return Contest(
        title="in bfloat16, peers as documented",
        ours=ours("bfloat16"),
        peers={
            "ours_float32": ours("float32"),
            **_peers("_float32", tuned=False, num_cores=num_cores),
            **_peers("_bfloat16", tuned=False, num_cores=num_cores, precision="bfloat16"),
        },
    )


def _peers(suffix: str, *, tuned: bool, num_cores: int, precision: Precision = "float32") -> dict[str, dict[str, Loop]]:
    workers = min(4, num_cores)
    note = "" if precision == "float32" else f", {precision}"
    loops = {
        "dataloader": {
            f"DataLoader loop, {n} workers": Loop(kind="dataloader", loader_workers=n, tuned=tuned) for n in (0, 2)
        },
        "timm": {f"timm loader and loop, {workers} workers": Loop(kind="timm", loader_workers=workers, tuned=tuned)},
        "keras": {"Keras fit": Loop(kind="keras", tuned=tuned)},
    }
    return {
        f"{peer}{suffix}": {f"{name}{note}": replace(loop, precision=precision) for name, loop in kinds.items()}
        for peer, kinds in loops.items()
    }


def cuda_contest() -> Contest:
    """Return the contest on one GPU, for one trial."""
    timm = Loop(kind="timm", device="cuda", precision="bfloat16", loader_workers=16, tuned=True)
    return Contest(
        title="on one GPU, bfloat16",
        ours={"ours": Loop(kind="ours", threads=1, device="cuda", precision="bfloat16")},
        peers={"timm_cuda": {"timm loader and loop, 16 workers": timm}},
    )


def run(contest: Contest, *, num_rounds: int, turn_seconds: float) -> Outcome:
    """Run a contest; loops whose package is missing are left out, and their ratios with them."""
    loops = {name: loop for name, loop in contest.loops().items() if is_installed(loop)}
    print(f"{contest.title}: {len(loops)} loops are started", file=sys.stderr, flush=True)
    steps = in_rounds(loops, num_rounds=num_rounds, turn_seconds=turn_seconds)
    rates = {name: [rate * per_step(loops[name]) for rate in found] for name, found in steps.items()}
    best = _fastest(contest.ours, rates)
    ratios = {
        peer: ratio_of(rates[best], rates[_fastest(kinds, rates)])
        for peer, kinds in contest.peers.items()
        if all(name in rates for name in kinds)
    }
    return Outcome(title=contest.title, rates=rates, best=best, ratios=ratios)


def is_installed(loop: Loop) -> bool:
    """Return whether the package that a loop needs is installed."""
    package = PACKAGES.get(loop.kind)
    return package is None or importlib.util.find_spec(package) is not None


def per_step(loop: Loop) -> float:
    """The work of one step: images, or multiply-accumulates of products."""
    return float(PRODUCT_SIDE**3) if loop.kind == "products" else float(BATCH_SIZE)


def shares(outcome: Outcome, contest: Contest, training_macs: int) -> dict[str, Ratio]:
    """Return the share of a step that goes to taking and augmenting its batch, and the share of the rate of products
    that a step reaches.
    """
    found = {}
    for name, loop in contest.measures.items():
        if loop.kind == "batches":
            alone = next(
                own for own, ours in contest.ours.items() if ours.processes == 1 and ours.threads == loop.threads
            )
            found["data_share"] = ratio_of(outcome.rates[alone], outcome.rates[name])
        else:
            found["product_share"] = ratio_of(
                [training_macs * rate for rate in outcome.rates[outcome.best]], outcome.rates[name]
            )
    return found


def main(args: Sequence[str] | None = None) -> int:
    """Run the contests, print, and return the exit status."""
    asked = parse(
        Arguments, args, prog=PROG, description="Our trainer against the loops that a user would otherwise write."
    )
    import torch

    from xception.network.closed_form import complexity
    from xception.profile.environment import cpu_capability, read_environment

    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    environment = read_environment(device)  # before anything of ours loads the machine
    rounds, seconds = (3, 1.0) if asked.short else (5, 3.0)
    contests = cpu_contests(num_cores)
    if has_bfloat16_units():
        contests.append(bfloat16_contest(num_cores))
    if device != "cpu":
        contests.append(cuda_contest())
    outcomes = [run(contest, num_rounds=rounds, turn_seconds=seconds) for contest in contests]
    counted = complexity(model_config(PRESET), 32)
    found = shares(outcomes[0], contests[0], 3 * counted.macs)
    document: dict[str, Any] = {
        "ratios": {peer: dataclasses.asdict(ratio) for outcome in outcomes for peer, ratio in outcome.ratios.items()},
        **{name: dataclasses.asdict(ratio) for name, ratio in found.items()},
        "goals": GOALS | {"data_share": LARGEST_DATA_SHARE, "product_share": LEAST_PRODUCT_SHARE},
        "rates": [
            {"contest": o.title, "median": {name: statistics.median(rates) for name, rates in o.rates.items()}}
            for o in outcomes
        ],
        "network": {"preset": PRESET, "params": counted.params, "macs": counted.macs, "batch_size": BATCH_SIZE},
        "cpu_capability": cpu_capability(),
        "environment": dataclasses.asdict(environment),
    }
    if asked.json:
        print(json.dumps(document, indent=2))
    else:
        _show(contests, outcomes, document)
    return 0


def _fastest(names: Mapping[str, Loop], rates: Mapping[str, list[float]]) -> str:
    return max((name for name in names if name in rates), key=lambda name: statistics.median(rates[name]))


def _show(contests: Sequence[Contest], outcomes: Sequence[Outcome], document: Mapping[str, Any]) -> None:
    network = document["network"]
    print(
        f"{network['preset']}: {network['params']:,} parameters, {network['macs'] / 1e6:.1f} M multiply-accumulates an"
        f" image; batch {network['batch_size']}, SGD, flip and padded crop; CPU capability {document['cpu_capability']}"
    )
    for contest, outcome in zip(contests, outcomes, strict=True):
        print(f"\n{outcome.title}")
        for name in contest.loops():
            print(f"  {name:44}{_rate(contest.loops()[name], outcome.rates.get(name))}")
        for peer in contest.peers:
            ratio = outcome.ratios.get(peer)
            text = (
                NOT_MEASURED
                if ratio is None
                else f"{ratio.median:5.2f}× ({ratio.low:.2f} to {ratio.high:.2f}, {ratio.n} rounds)"
            )
            goal = f", goal {GOALS[peer]:g}×" if peer in GOALS else ""
            print(f"  {outcome.best} over {peer}: {text}{goal}")
    if "ours_float32" not in document["ratios"]:
        print(f"\nin bfloat16: {NOT_MEASURED}, this CPU is not known to have units for it")
    if "timm_cuda" not in document["ratios"]:
        print(
            f"\non a GPU: {NOT_MEASURED}, no CUDA device is here (goal {GOALS['timm_cuda']:g}× timm's loop for one"
            " trial)"
        )
    for name, what, goal in (
        ("data_share", "taking and augmenting a batch, of a step", f"at most {LARGEST_DATA_SHARE:.0%}"),
        (
            "product_share",
            "of the machine's rate of matrix products, over whole steps",
            f"at least {LEAST_PRODUCT_SHARE:.0%}",
        ),
    ):
        share = document[name]
        print(f"{what}: {share['median']:.1%} ({share['low']:.1%} to {share['high']:.1%}), goal {goal}")
    print("environment: " + ", ".join(f"{k} {v}" for k, v in document["environment"].items() if v is not None))


def _rate(loop: Loop, rates: list[float] | None) -> str:
    if rates is None:
        return NOT_MEASURED
    unit, scale = ("G multiply-accumulates/s", 1e9) if loop.kind == "products" else ("images/s", 1.0)
    low, middle, high = (f"{value / scale:,.0f}" for value in (min(rates), statistics.median(rates), max(rates)))
    return f"{middle:>8} {unit} ({low} to {high})"


if __name__ == "__main__":
    sys.exit(main())
