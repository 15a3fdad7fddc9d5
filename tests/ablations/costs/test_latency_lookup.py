"""Latencies are looked up by network, size, device and protocol; a table has them from one measurement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ablations.costs.latency_lookup import find_latency, latencies_measured_together, put_column, put_latency
from ablations.records.store import Store
from xception.base.canonical import key_of
from xception.network import presets
from xception.profile.protocol import LatencyProtocol

ONE, OTHER = presets.get("cifar_tiny"), presets.get("cifar_small")
SHAPE = (3, 32, 32)
QUICK = LatencyProtocol(relative_width=0.05, time_budget_s=10.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'records.db'}")
    yield opened
    opened.close()


def together(store: Store, device: str, *measured: tuple[Any, float], shape: tuple[int, int, int] = SHAPE) -> None:
    """Write the latencies of one measurement as if by another machine."""
    rows = [
        {"model_key": key_of(network), "input_shape": list(shape), "latency_ms": ms, "latency_device": device}
        for network, ms in measured
    ]
    put_column(store, [key_of([row, "test"]) for row in rows], rows, load=0.5)


def test_a_table_has_the_latencies_of_one_measurement(store: Store) -> None:
    networks = {"one": (ONE, SHAPE), "other": (OTHER, SHAPE)}
    assert latencies_measured_together(store, networks) == {}
    together(store, "laptop", (ONE, 5.0), (OTHER, 6.0))
    together(store, "server", (ONE, 1.0))
    together(store, "laptop", (ONE, 99.0), shape=(3, 64, 64))
    found = latencies_measured_together(store, networks)
    assert {name: (row["latency_device"], row["latency_ms"], row["load"]) for name, row in found.items()} == {
        "one": ("laptop", 5.0, 0.5),
        "other": ("laptop", 6.0, 0.5),
    }
    # A later study times one of the two again, together with a third: the order within the first table stays.
    together(store, "laptop", (ONE, 7.0), (presets.get("cifar_base"), 9.0))
    assert {name: row["latency_ms"] for name, row in latencies_measured_together(store, networks).items()} == {
        "one": 5.0,
        "other": 6.0,
    }
    together(store, "server", (ONE, 1.0), (OTHER, 2.0))
    assert {row["latency_device"] for row in latencies_measured_together(store, networks).values()} == {"server"}


def test_networks_of_another_measurement_are_left_out(store: Store) -> None:
    together(store, "laptop", (ONE, 5.0))
    together(store, "laptop", (OTHER, 6.0))
    found = latencies_measured_together(store, {"one": (ONE, SHAPE), "other": (OTHER, SHAPE)})
    assert len(found) == 1


def test_the_default_protocol_serves_a_coarser_one_and_not_the_other_way(store: Store) -> None:
    default = LatencyProtocol()
    row = SimpleNamespace(
        **{"model_key": key_of(ONE), "input_shape": SHAPE, "status": "ok", "reason": None, "latency_device": "here"},
        **dict.fromkeys(("latency_ms", "low_ms", "high_ms", "p5_ms", "p95_ms", "n"), 3),
    )
    put_latency(store, ONE, SHAPE, row, device="cpu", protocol=QUICK)
    assert find_latency(store, ONE, SHAPE, device="cpu", protocol=default) is None
    assert find_latency(store, ONE, SHAPE, device="cpu", protocol=QUICK) is not None
    put_latency(store, OTHER, SHAPE, row, device="cpu", protocol=default)
    assert find_latency(store, OTHER, SHAPE, device="cpu", protocol=QUICK) is not None
    assert find_latency(store, OTHER, (3, 64, 64), device="cpu", protocol=QUICK) is None
