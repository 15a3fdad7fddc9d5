"""The command `python -m xception latency`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xception.base.command_line import parse, refuse
from xception.base.formatting import text_table
from xception.commands.measured import MeasureArguments, check_figure, environment_line, notice, save_figure
from xception.profile.protocol import EXECUTIONS, MEMORY_FORMATS, MODES, PRECISIONS, LatencyProtocol, protocols
from xception.profile.subjects import Subject, integers, read_subjects, words

if TYPE_CHECKING:
    from xception.profile.environment import Environment
    from xception.profile.latency import Measurement

__all__ = ["latency"]

PROG = "python -m xception latency"


@dataclass(frozen=True, kw_only=True)
class LatencyArguments(MeasureArguments):
    """The measurement; several values are separated by commas, and `all` means every one."""

    batch_sizes: str = "1"
    """Images per call."""
    modes: str = "inference"
    """inference, training."""
    precisions: str = "float32"
    """float32, tf32, bfloat16, float16."""
    memory_formats: str = "channels_last"
    """channels_last, which training uses, and nchw."""
    executions: str = "eager"
    """eager, compiled, cuda_graph."""
    relative_width: float = LatencyProtocol.relative_width
    """Width of the median's interval, as a fraction of the median, at which a measurement ends."""
    time_budget: float = LatencyProtocol.time_budget_s
    """Time limit in seconds per combination of batch size, mode and so on, once each network has its samples."""
    figure: Path | None = None
    """Save the figure of MACs against latency to this file."""


def latency(args: Sequence[str] | None = None) -> int:
    """Measure and print the latency of networks; return the exit status."""
    asked = parse(
        LatencyArguments,
        args,
        prog=PROG,
        description="Latency of networks by one protocol, with the interval of the median.",
    )
    try:
        plan = protocols(
            LatencyProtocol(
                num_threads=asked.threads, relative_width=asked.relative_width, time_budget_s=asked.time_budget
            ),
            modes=words("--modes", asked.modes, MODES),
            batch_sizes=integers("--batch-sizes", asked.batch_sizes),
            precisions=words("--precisions", asked.precisions, PRECISIONS),
            memory_formats=words("--memory-formats", asked.memory_formats, MEMORY_FORMATS),
            executions=words("--executions", asked.executions, EXECUTIONS),
        )
        subjects = read_subjects(asked.preset, asked.config, asked.input_size, set=asked.set)
        check_figure(asked.figure)
        from xception.profile.latency import check_device

        check_device(asked.device)
    except ValueError as error:
        refuse(PROG, error)
    rows, environment = _measure(subjects, plan, asked.device)
    if asked.figure is not None:
        _save_macs_against_latency(rows, asked.figure)
    if asked.json:
        print(json.dumps(rows, indent=2))
    else:
        print(_latency_table(rows))
        print(environment_line(environment))
    return 0


def _measure(
    subjects: list[Subject], plan: list[LatencyProtocol], device: str
) -> tuple[list[dict[str, Any]], Environment | None]:
    """One row per network and protocol, and the environment of the last that was measured."""
    import torch

    from xception.network.model import build
    from xception.profile.complexity import complexity
    from xception.profile.latency import measure_latency

    counts = {}
    for subject in subjects:
        with torch.random.fork_rng(devices=[]):
            counts[subject.name] = complexity(build(subject.config), subject.input_shape, fvcore=False)
    rows: list[dict[str, Any]] = []
    environment = None
    for protocol in plan:
        notice(
            f"measuring {len(subjects)} networks on {device}: {protocol.mode}, batch {protocol.batch_size},"
            f" {protocol.precision}, {protocol.memory_format}, {protocol.execution}"
        )
        models = {subject.name: subject.config for subject in subjects}
        shapes = {subject.name: subject.input_shape for subject in subjects}
        for measured, subject in zip(
            measure_latency(models, protocol, input_shape=shapes, device=device), subjects, strict=True
        ):
            environment = measured.environment or environment
            count = counts[subject.name]
            costs = {"params": count.params, "macs": count.macs, "peak_memory_bytes": _peak(measured, subject)}
            rows.append(_row(measured, subject) | costs)
    return rows, environment


def _row(measured: Measurement, subject: Subject) -> dict[str, Any]:
    protocol = measured.protocol
    return {
        "preset": measured.name,
        "device": measured.device,
        "device_name": measured.device_name,
        "latency_device": measured.latency_device,
        "batch_size": protocol.batch_size,
        "input_size": subject.input_size,
        "mode": protocol.mode,
        "precision": protocol.precision,
        "memory_format": protocol.memory_format,
        "execution": protocol.execution,
        "num_threads": protocol.num_threads,
        "status": measured.status,
        "reason": measured.reason,
        "latency_ms": measured.latency_ms,
        "low_ms": measured.low_ms,
        "high_ms": measured.high_ms,
        "p5_ms": measured.p5_ms,
        "p95_ms": measured.p95_ms,
        "n": measured.n,
        "calls_per_sample": measured.calls_per_sample,
        "images_per_second": None if measured.latency_ms is None else 1e3 * protocol.batch_size / measured.latency_ms,
        "key": measured.key,
        "protocol_key": protocol.key,
        "environment": None if measured.environment is None else dataclasses.asdict(measured.environment),
    }


def _peak(measured: Measurement, subject: Subject) -> int | None:
    """Peak memory of one call; None where it was not measured."""
    if measured.status != "measured" or measured.protocol.execution != "eager":
        return None
    import torch

    from xception.network.model import build
    from xception.profile.memory import measure_memory
    from xception.profile.timing import DoesNotFitError

    with torch.random.fork_rng(devices=[]):
        model = build(subject.config)
    try:
        return measure_memory(model, subject.input_shape, measured.protocol, device=measured.device).peak_bytes
    except DoesNotFitError:
        return None  # it fitted during timing, but no longer does


def _latency_table(rows: list[dict[str, Any]]) -> str:
    header = (
        "network",
        "device",
        "batch",
        "mode",
        "precision",
        "format",
        "execution",
        "median ms",
        "95 % interval",
        "p5",
        "p95",
        "n",
        "images/s",
        "10⁶ MACs",
        "peak MiB",
    )
    body = []
    for row in rows:
        settings = [
            str(row[name])
            for name in ("preset", "device", "batch_size", "mode", "precision", "memory_format", "execution")
        ]
        if row["latency_ms"] is None:
            body.append([*settings, f"{row['status']}: {row['reason']}"])
            continue
        peak = "not measured" if row["peak_memory_bytes"] is None else f"{row['peak_memory_bytes'] / 2**20:.1f}"
        interval = f"{row['low_ms']:.3f} – {row['high_ms']:.3f}"
        body.append(
            [
                *settings,
                f"{row['latency_ms']:.3f}",
                interval,
                f"{row['p5_ms']:.3f}",
                f"{row['p95_ms']:.3f}",
                str(row["n"]),
                f"{row['images_per_second']:.1f}",
                f"{row['batch_size'] * row['macs'] / 1e6:,.1f}",
                peak,
            ]
        )
    return text_table(header, body, left=7)


def _save_macs_against_latency(rows: list[dict[str, Any]], path: Path) -> None:
    import pandas as pd

    from xception.profile.plots import plot_macs_against_latency

    several = {
        name: len({row[name] for row in rows}) > 1
        for name in ("batch_size", "mode", "precision", "memory_format", "execution")
    }
    named = [
        row
        | {
            "name": " ".join([row["preset"], *(str(row[name]) for name, varies in several.items() if varies)]),
            "macs": row["macs"] * row["batch_size"],
        }
        for row in rows
    ]
    if any(row["latency_ms"] is not None for row in rows):
        save_figure(plot_macs_against_latency(pd.DataFrame(named)), path)
