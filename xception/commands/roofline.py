"""The command `python -m xception roofline`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xception.base.canonical import to_plain
from xception.base.command_line import parse, refuse
from xception.base.formatting import text_table
from xception.commands.measured import MeasureArguments, check_figure, environment_line, notice, save_figure
from xception.profile.protocol import MEMORY_FORMATS, PRECISIONS, LatencyProtocol
from xception.profile.subjects import read_subjects, words

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["roofline"]

PROG = "python -m xception roofline"


@dataclass(frozen=True, kw_only=True)
class RooflineArguments(MeasureArguments):
    """The measurement."""

    batch_size: int = 1
    """Images per call."""
    precision: str = "float32"
    """float32, tf32, bfloat16 or float16."""
    memory_format: str = "channels_last"
    """channels_last, which training uses, or nchw."""
    time_budget: float = 10.0
    """Time limit in seconds for the networks, and then for the layers of each kind, once each has its samples."""
    figure: Path = Path("results/local/roofline.png")
    """Save the figure to this file."""
    layers: Path | None = None
    """Save the table of all layers to this CSV file."""


def roofline(args: Sequence[str] | None = None) -> int:
    """Measure and print the share of the attainable rate that networks and layers reach; return the exit status."""
    asked = parse(
        RooflineArguments,
        args,
        prog=PROG,
        description="Share of the attainable rate of each network and kind of layer.",
    )
    try:
        protocol = LatencyProtocol(
            batch_size=asked.batch_size,
            precision=words("--precision", asked.precision, PRECISIONS)[0],
            memory_format=words("--memory-format", asked.memory_format, MEMORY_FORMATS)[0],
            num_threads=asked.threads,
            time_budget_s=asked.time_budget,
            warm_up_s=0.1,  # a layer has less to warm up than a network
        )
        subjects = read_subjects(asked.preset, asked.config, asked.input_size, set=asked.set)
        check_figure(asked.figure)
        from xception.profile.latency import check_device

        device = check_device(asked.device)
        impossible = protocol.unavailable_on(device.type)
        if impossible is not None:
            raise ValueError(f"--precision: {asked.precision} is not allowed here: {impossible}")
    except ValueError as error:
        refuse(PROG, error)
    import torch

    from xception.network.model import build
    from xception.profile.environment import read_environment
    from xception.profile.plots import plot_roofline
    from xception.profile.roofline import measure_ceilings, time_by_kind
    from xception.profile.roofline import roofline as measure_roofline

    notice(f"measuring the ceilings of {device} and {len(subjects)} networks with their layers")
    torch.manual_seed(protocol.seed)
    models = {subject.name: build(subject.config) for subject in subjects}
    shapes = {subject.name: subject.input_shape for subject in subjects}
    ceilings = measure_ceilings(protocol, device=asked.device)
    frame = measure_roofline(models, ceilings, protocol, input_shape=shapes, device=asked.device)
    kinds = time_by_kind(frame)
    if frame["latency_ms"].notna().any():
        save_figure(plot_roofline(frame, ceilings), asked.figure)
    if asked.layers is not None:
        asked.layers.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(asked.layers, index=False)
    environment = read_environment(str(device)).replace(num_threads=protocol.num_threads)
    if asked.json:
        document = {
            "ceilings": to_plain(ceilings) | {"ridge": ceilings.ridge},
            "layers": _records(frame),
            "kinds": _records(kinds),
            "protocol": to_plain(protocol),
            "environment": to_plain(environment),
        }
        print(json.dumps(document, indent=2))
        return 0
    print(
        f"ceilings: {ceilings.macs_per_second / 1e9:.4g}·10⁹ MAC/s, {ceilings.bytes_per_second / 1e9:.4g} GB/s; "
        f"the product is the lower one from {ceilings.ridge:.3g} MACs per byte on"
    )
    print(_roofline_table(frame, kinds))
    print(environment_line(environment))
    return 0


def _roofline_table(frame: pd.DataFrame, kinds: pd.DataFrame) -> str:
    from xception.profile.roofline import NETWORK

    header = (
        "network",
        "layers",
        "number",
        "% of MACs",
        "% of time",
        "ms",
        "10⁹ MAC/s",
        "MACs/byte",
        "% of attainable",
    )
    body = []
    for whole in frame[frame["kind"] == NETWORK].to_dict("records"):
        body.append([whole["network"], "whole network", "", "", "", *_rates(whole)])
        for part in kinds[kinds["network"] == whole["network"]].to_dict("records"):
            shares = [f"{100 * part['share_of_macs']:.1f}", f"{100 * part['share_of_time']:.1f}"]
            body.append([part["network"], part["kind"], str(part["layers"]), *shares, *_rates(part)])
    return (
        text_table(header, body, left=2)
        + "\nlayers are timed alone, one of each shape; a share above 100 % is a cache faster than memory"
    )


def _rates(row: Mapping[Any, Any]) -> list[str]:
    if row["latency_ms"] is None or row["latency_ms"] != row["latency_ms"] or row["latency_ms"] == 0:
        return ["not measured"]
    rate = row["macs"] / row["latency_ms"] / 1e6
    return [
        f"{row['latency_ms']:.3f}",
        f"{rate:.3g}",
        f"{row['macs'] / row['bytes_moved']:.3g}",
        f"{100 * row['share']:.1f}",
    ]


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows for JSON; what was not measured is null."""
    return [{str(k): None if v != v else v for k, v in row.items()} for row in frame.astype(object).to_dict("records")]
