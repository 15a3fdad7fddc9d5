"""Latencies are looked up by network, size, device and protocol; a table has them from one device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ablations.costs.latency_lookup import find_latency, latencies_on_one_device, put_latency
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


def measured(store: Store, network: Any, device: str, ms: float, shape: tuple[int, int, int] = SHAPE) -> None:
    """Write a latency as another machine would have."""
    row = {"model_key": key_of(network), "input_shape": list(shape), "latency_ms": ms, "latency_device": device}
    store.put_measurement(key_of([row, "test"]), "latency", row)


def test_a_table_has_the_latencies_of_the_device_that_has_most_of_them(store: Store) -> None:
    networks = {"one": (ONE, SHAPE), "other": (OTHER, SHAPE)}
    assert latencies_on_one_device(store, networks) == {}
    measured(store, ONE, "laptop", 5.0)
    measured(store, OTHER, "laptop", 6.0)
    measured(store, ONE, "server", 1.0)
    measured(store, ONE, "laptop", 99.0, (3, 64, 64))
    found = latencies_on_one_device(store, networks)
    assert {name: (row["latency_device"], row["latency_ms"]) for name, row in found.items()} == {
        "one": ("laptop", 5.0),
        "other": ("laptop", 6.0),
    }
    measured(store, OTHER, "server", 2.0)
    assert {row["latency_device"] for row in latencies_on_one_device(store, networks).values()} == {"server"}


def test_the_default_protocol_serves_a_coarser_one_and_not_the_other_way(store: Store) -> None:
    default = LatencyProtocol()
    row = SimpleNamespace(
        **{"model_key": key_of(ONE), "input_shape": SHAPE, "status": "ok", "reason": None, "latency_device": "here"},
        **dict.fromkeys(("latency_ms", "low_ms", "high_ms", "p5_ms", "p95_ms", "n"), 3),
    )
    put_latency(store, ONE, SHAPE, row, device="cpu", protocol=QUICK)
    assert find_latency(store, ONE, SHAPE, device="cpu", protocol=default) is None
    assert find_latency(store, ONE, SHAPE, device="cpu", protocol=QUICK) is not None
    assert latencies_on_one_device(store, {"one": (ONE, SHAPE)}) == {}
    put_latency(store, OTHER, SHAPE, row, device="cpu", protocol=default)
    assert find_latency(store, OTHER, SHAPE, device="cpu", protocol=QUICK) is not None
    assert find_latency(store, OTHER, (3, 64, 64), device="cpu", protocol=QUICK) is None
