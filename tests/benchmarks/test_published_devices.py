"""Devices are shown apart, each with its own latencies and rooflines."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.published_devices import device_sections

LATENCY = {
    "preset": "cifar_tiny",
    "latency_device": "some CPU, 1 thread",
    "batch_size": 1,
    "input_size": 32,
    "mode": "inference",
    "precision": "float32",
    "memory_format": "channels_last",
    "execution": "eager",
    "status": "measured",
    "reason": "",
    "latency_ms": 3.0,
    "low_ms": 2.9,
    "high_ms": 3.1,
    "n": 21,
    "environment": {"torch": "2.14"},
    "params": 120490,
    "macs": 9506688,
}
TIMES = {"network": "cifar_tiny", "macs": 9.5e6, "bytes_moved": 1e6, "latency_ms": 3.0, "share": 0.25}


def device(folder: Path, name: str, *, latency: list[object], note: str = "") -> None:
    (folder / "devices" / name).mkdir(parents=True)
    document = {
        "ceilings": {"macs_per_second": 5e10, "bytes_per_second": 1e10},
        "layers": [TIMES | {"kind": "network"}, TIMES | {"kind": "norm"}],
        "kinds": [TIMES | {"kind": "norm", "share_of_macs": 0.0, "share_of_time": 0.4, "latency_ms": None}],
        "protocol": {},
    }
    (folder / "devices" / name / "latency.json").write_text(json.dumps(latency))
    (folder / "devices" / name / "roofline.json").write_text(json.dumps(document))
    if note:
        (folder / "devices" / name / "meanwhile.txt").write_text(note)


def test_each_device_has_tables_of_its_own(tmp_path: Path) -> None:
    device(tmp_path, "one", latency=[LATENCY], note="A training ran beside it.\n")
    device(tmp_path, "two", latency=[LATENCY | {"status": "failed", "reason": "out of memory"}])
    page = "\n".join(device_sections(tmp_path))
    one, two = page.split("### two")
    assert "A training ran beside it." in one
    assert "| cifar_tiny | 32 | 1 | 120 k | 9.51 M | 3 [2.9, 3.1] | 21 |" in one
    assert "| cifar_tiny | whole network | 100.0 | 100.0 | 3 | 3.17 | 9.5 | 25.0 |" in one
    assert "| cifar_tiny | norm | 0.0 | 40.0 | not measured | – | – | – |" in one
    assert "not measured: out of memory" in two


def test_no_device_is_no_section(tmp_path: Path) -> None:
    assert device_sections(tmp_path) == []
