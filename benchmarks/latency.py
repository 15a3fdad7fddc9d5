"""Our latency protocol against what a user would otherwise write, on three networks, two of which are identical.

    python -m benchmarks.latency            # 15 repetitions, minutes
    python -m benchmarks.latency --short    # 4 repetitions, under two minutes

Each repetition measures `cifar_tiny`, the same network again and `cifar_small` by every method. The true ratio of the
two identical networks is 1, so a method's deviation from it is its error; the spread of a latency over repetitions is
how much two readings of it may differ.

- `protocol`: `xception.profile.latency`: a separate warm-up, interleaved in random order, repeated until the intervals
  of the medians are narrow;
- `mean_after_one`: one call to warm up, then the mean of ten, one network after the other;
- `mean_from_cold`: the mean of the first ten calls, one network after the other;
- `unsynchronised` (CUDA alone): like `mean_after_one`, without waiting for the device before reading the clock.

Every other method waits for the device. Measure on an otherwise idle machine; the environment is printed with its load.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from xception.base.command_line import parse, refuse
from xception.network import presets
from xception.network.model import build
from xception.profile.environment import Environment, read_environment
from xception.profile.latency import check_device, measure_latency
from xception.profile.protocol import LatencyProtocol

PROG = "python -m benchmarks.latency"
FULL, SHORT = 15, 4
RUNS = 10  # calls in the mean of a method that is not ours
FIRST, SAME, LARGER = "cifar_tiny", "cifar_tiny again", "cifar_small"
NETWORKS = {FIRST: "cifar_tiny", SAME: "cifar_tiny", LARGER: "cifar_small"}
SHAPE = (3, 32, 32)

Latencies = dict[str, float]  # milliseconds by network
Method = Callable[[torch.device, LatencyProtocol], Latencies]


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Options of the command."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: int = 1
    """Threads inside an operator on a CPU."""
    short: bool = False
    """Fewer repetitions."""
    json: bool = False
    """Print one JSON document."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The results of a method over the repetitions; ratios are of the same network measured twice, so the true one is
    1.
    """

    latency_ms: float  # first network's, median over repetitions
    spread: float  # its largest over its smallest value
    ratio_low: float
    ratio_high: float
    worst_error: float  # largest |ratio - 1|
    told_apart: float  # share of repetitions in which the same network differed from itself by more than 5 %
    larger_over_first: float  # the other network's latency over the first's, median over repetitions
    seconds: float  # of one repetition, median


def protocol_of_ours(device: torch.device, protocol: LatencyProtocol) -> Latencies:
    """Measure as `python -m xception latency` does, with a smaller budget."""
    configs = {name: presets.get(preset) for name, preset in NETWORKS.items()}
    rows = measure_latency(configs, protocol, input_shape=SHAPE, device=str(device))
    return {row.name: row.latency_ms for row in rows if row.latency_ms is not None}


def by_mean(warm_up_calls: int, *, waits: bool) -> Method:
    """The mean of a few calls, one network after the other, as is commonly written."""

    def measure(device: torch.device, protocol: LatencyProtocol) -> Latencies:
        out: Latencies = {}
        threads = torch.get_num_threads()
        torch.set_num_threads(protocol.num_threads)
        try:
            for name, preset in NETWORKS.items():
                model = build(presets.get(preset)).to(device).eval()
                images = torch.randn(protocol.batch_size, *SHAPE, device=device)
                with torch.no_grad():
                    out[name] = 1e3 * _mean_seconds(model, images, warm_up_calls, waits=waits)
        finally:
            torch.set_num_threads(threads)
        return out

    return measure


def methods(device: torch.device) -> dict[str, Method]:
    """The methods to compare on a device."""
    out: dict[str, Method] = {
        "protocol": protocol_of_ours,
        "mean_after_one": by_mean(1, waits=True),
        "mean_from_cold": by_mean(0, waits=True),
    }
    return out | ({"unsynchronised": by_mean(1, waits=False)} if device.type == "cuda" else {})


def compare(device: torch.device, protocol: LatencyProtocol, repetitions: int) -> dict[str, Verdict]:
    """Run every method in every repetition, each time beginning with another one, and return their results."""
    asked = methods(device)
    said: dict[str, list[tuple[Latencies, float]]] = {name: [] for name in asked}
    names = list(asked)
    for repetition in range(repetitions):
        print(f"repetition {repetition + 1} of {repetitions}", file=sys.stderr, flush=True)
        turn = repetition % len(names)
        for name in (*names[turn:], *names[:turn]):
            start = time.perf_counter()
            latencies = asked[name](device, protocol)
            said[name].append((latencies, time.perf_counter() - start))
    return {name: _judge(results) for name, results in said.items()}


def main(args: Sequence[str] | None = None) -> int:
    """Compare, print, and return the exit status."""
    asked = parse(
        Arguments, args, prog=PROG, description="Our latency protocol against what a user would otherwise write."
    )
    try:
        device = check_device(asked.device)
        protocol = LatencyProtocol(num_threads=asked.threads, time_budget_s=1.5 if asked.short else 5.0, warm_up_s=0.2)
    except ValueError as error:
        refuse(PROG, error)
    verdicts = compare(device, protocol, SHORT if asked.short else FULL)
    environment = read_environment(str(device)).replace(num_threads=protocol.num_threads)
    if asked.json:
        print(json.dumps(_document(verdicts, environment), indent=2))
        return 0
    print(
        f"{'method':16}{'latency ms':>11}{'spread':>9}{'same network, ratio':>22}"
        f"{'worst':>8}{'told apart':>12}{'seconds':>9}"
    )
    for name, verdict in verdicts.items():
        ratio = f"{verdict.ratio_low:.3f} – {verdict.ratio_high:.3f}"
        print(
            f"{name:16}{verdict.latency_ms:11.3f}{verdict.spread:8.2f}×{ratio:>22}{100 * verdict.worst_error:7.1f}%"
            f"{100 * verdict.told_apart:11.0f}%{verdict.seconds:9.2f}"
        )
    print(
        "spread: largest over smallest latency of one network; told apart: equal networks found to differ by more"
        " than 5 %"
    )
    print("environment: " + ", ".join(f"{k} {v}" for k, v in dataclasses.asdict(environment).items() if v is not None))
    return 0


def _mean_seconds(model: nn.Module, images: torch.Tensor, warm_up_calls: int, *, waits: bool) -> float:
    def wait() -> None:
        if waits and images.is_cuda:
            torch.cuda.synchronize()

    for _ in range(warm_up_calls):
        model(images)
    wait()
    start = time.perf_counter()
    for _ in range(RUNS):
        model(images)
    wait()
    return (time.perf_counter() - start) / RUNS


def _judge(results: list[tuple[Latencies, float]]) -> Verdict:
    first = [latencies[FIRST] for latencies, _ in results]
    ratios = [latencies[SAME] / latencies[FIRST] for latencies, _ in results]
    errors = [abs(ratio - 1) for ratio in ratios]
    return Verdict(
        latency_ms=statistics.median(first),
        spread=max(first) / min(first),
        ratio_low=min(ratios),
        ratio_high=max(ratios),
        worst_error=max(errors),
        told_apart=sum(error > 0.05 for error in errors) / len(errors),
        larger_over_first=statistics.median(latencies[LARGER] / latencies[FIRST] for latencies, _ in results),
        seconds=statistics.median(seconds for _, seconds in results),
    )


def _document(verdicts: dict[str, Verdict], environment: Environment) -> dict[str, Any]:
    return {
        "methods": {name: dataclasses.asdict(verdict) for name, verdict in verdicts.items()},
        "spread_over_protocol": {
            name: verdict.spread / verdicts["protocol"].spread for name, verdict in verdicts.items()
        },
        "environment": dataclasses.asdict(environment),
    }


if __name__ == "__main__":
    sys.exit(main())
