"""The latencies in a store, by network, image size, device and protocol: one look-up for studies, searches, tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xception.base.canonical import key_of
from xception.network.config import ModelConfig

if TYPE_CHECKING:
    from ablations.records.store import Store
    from xception.profile.protocol import LatencyProtocol

__all__ = ["Shape", "column_key", "find_latency", "latencies_measured_together", "put_column", "put_latency"]

Shape = tuple[int, int, int]
_KEPT = ("model_key", "input_shape", "status", "reason", "latency_ms", "latency_device")
_SPREAD = ("low_ms", "high_ms", "p5_ms", "p95_ms", "n")


def find_latency(
    store: Store, network: ModelConfig, shape: Shape, *, device: str, protocol: LatencyProtocol
) -> dict[str, Any] | None:
    """Return the measurement of a network by a protocol on this machine's device, or by the default protocol, which is
    at least as precise; None if there is neither.
    """
    from xception.profile.latency import measurement_key
    from xception.profile.protocol import LatencyProtocol

    precise = protocol.replace(
        relative_width=LatencyProtocol().relative_width, time_budget_s=LatencyProtocol().time_budget_s
    )
    for one in dict.fromkeys((precise, protocol)):
        known = store.measurement(measurement_key(network, shape, device, one))
        if known is not None:
            return known
    return None


def put_latency(
    store: Store, network: ModelConfig, shape: Shape, row: Any, *, device: str, protocol: LatencyProtocol
) -> dict[str, Any]:
    """Store a result of `measure_latency`, and return it as stored."""
    from xception.profile.latency import measurement_key
    from xception.profile.protocol import LatencyProtocol

    values = {name: getattr(row, name) for name in (*_KEPT, *_SPREAD)}
    kind = "latency" if protocol == LatencyProtocol() else "search latency"
    store.put_measurement(measurement_key(network, shape, device, protocol), kind, values)
    return values


def column_key(keys: Iterable[str]) -> str:
    """Return the key of a joint measurement of several networks, from the keys of their measurements."""
    return key_of(["latency column", sorted(set(keys))])


def put_column(store: Store, keys: Iterable[str], rows: Sequence[Mapping[str, Any]], *, load: float | None) -> None:
    """Write latencies that one interleaved measurement gave, with the machine's load right after it."""
    store.put_measurement(column_key(keys), "latency column", {"rows": [dict(row) for row in rows], "load": load})


def latencies_measured_together(
    store: Store, networks: Mapping[str, tuple[ModelConfig, Shape]]
) -> dict[str, dict[str, Any]]:
    """Return the latency of each network, by name, from the one interleaved measurement that has most of them (the
    latest such). Networks that were not part of it are left out: latencies of two measurements are not comparable.

    Each has the machine's `load` right after the measurement.
    """
    wanted = {name: (key_of(network), shape) for name, (network, shape) in networks.items()}
    found: list[dict[str, dict[str, Any]]] = []
    for column in store.measurements("latency column"):  # the latest first
        rows = {(row["model_key"], tuple(row["input_shape"])): row for row in column["rows"]}
        own = {name: rows[place] | {"load": column["load"]} for name, place in wanted.items() if place in rows}
        found.append({name: row for name, row in own.items() if row["latency_ms"] is not None})
    return max(found, key=len, default={})
