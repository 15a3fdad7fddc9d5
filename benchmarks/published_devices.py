"""Latencies and rooflines that were measured once, a folder for each device below `results/devices/`.

    python -m xception latency --device cpu --preset paper,cifar_base --json > results/devices/NAME/latency.json
    python -m xception roofline --device cpu --preset paper,cifar_base --json > results/devices/NAME/roofline.json

Tables of two devices are never merged. `meanwhile.txt`, if there is one, says what else ran.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xception.base import formatting as f

__all__ = ["device_sections"]

_NETWORK = "network"  # the kind of the row of a whole network


def device_sections(results: Path) -> list[str]:
    """Return the lines of a section for each device that was measured."""
    lines: list[str] = []
    for folder in sorted(path.parent for path in (results / "devices").glob("*/latency.json")):
        latency, roofline = (_read(folder / f"{name}.json") for name in ("latency", "roofline"))
        environment = latency[0]["environment"]
        where = f"{latency[0]['latency_device']}, torch {environment['torch']}"
        note = folder / "meanwhile.txt"
        lines += ["", f"### {folder.name.replace('_', ' ')}: {where}", ""]
        lines += [note.read_text(encoding="utf-8").strip(), ""] if note.is_file() else []
        lines += [*_latency(latency), "", *_roofline(roofline)]
    return lines


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _latency(rows: list[dict[str, Any]]) -> list[str]:
    first = rows[0]
    return [
        f"Latency: {first['execution']} {first['precision']} {first['mode']},"
        f" {first['memory_format'].replace('_', '-')}, all rows interleaved; median with the 95 % interval of the"
        " median.",
        "",
        "| Network | Input (px) | Batch | Params | MACs | Latency (ms) | Samples |",
        "| --- | --: | --: | --: | --: | --: | --: |",
        *(
            f"| {row['preset']} | {row['input_size']} | {row['batch_size']} | {f.count(row['params'])}"
            f" | {f.count(row['macs'])} | {_milliseconds(row)} | {row['n']} |"
            for row in rows
        ),
    ]


def _milliseconds(row: dict[str, Any]) -> str:
    if row["status"] != "measured":
        return f"not measured: {row['reason']}"
    return f"{row['latency_ms']:.3g} [{row['low_ms']:.3g}, {row['high_ms']:.3g}]"


def _roofline(document: dict[str, Any]) -> list[str]:
    ceilings = document["ceilings"]
    whole = [row | {"share_of_macs": 1.0, "share_of_time": 1.0} for row in document["layers"]]
    rows = [row for row in whole if row["kind"] == _NETWORK] + document["kinds"]
    return [
        f"Roofline at batch {document['protocol'].get('batch_size', 1)}: ceilings measured by the same process,"
        f" {ceilings['macs_per_second'] / 1e9:.4g}·10⁹ MAC/s and {ceilings['bytes_per_second'] / 1e9:.4g} GB/s. Layers"
        " are timed alone, one of each shape; a share above 100 % is a cache faster than memory.",
        "",
        "| Network | Kind of layer | % of MACs | % of time | ms | 10⁹ MAC/s | MACs/byte | % of attainable |",
        "| --- | --- | --: | --: | --: | --: | --: | --: |",
        *(
            f"| {row['network']} | {'whole network' if row['kind'] == _NETWORK else row['kind']}"
            f" | {100 * row['share_of_macs']:.1f} | {100 * row['share_of_time']:.1f} | {_rates(row)} |"
            for row in sorted(rows, key=lambda row: (row["network"], row["kind"] != _NETWORK))
        ),
    ]


def _rates(row: dict[str, Any]) -> str:
    if not row["latency_ms"]:
        return "not measured | – | – | –"
    rate = row["macs"] / row["latency_ms"] / 1e6
    intensity = row["macs"] / row["bytes_moved"]
    return f"{row['latency_ms']:.3g} | {rate:.3g} | {intensity:.3g} | {100 * row['share']:.1f}"
