"""The latencies in a store, by network, image size, device and protocol: one look-up for studies, searches, tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xception.base.canonical import key_of
from xception.network.config import ModelConfig

if TYPE_CHECKING:
    from ablations.records.store import Store
    from xception.profile.protocol import LatencyProtocol

__all__ = ["Shape", "find_latency", "latencies_on_one_device", "put_latency"]

Shape = tuple[int, int, int]
_KEPT = ("model_key", "input_shape", "status", "reason", "latency_ms", "latency_device")
_SPREAD = ("low_ms", "high_ms", "p5_ms", "p95_ms", "n")


def find_latency(
    store: Store, network: ModelConfig, shape: Shape, *, device: str, protocol: LatencyProtocol
) -> dict[str, Any] | None:
    """Return what was measured of a network by a protocol on this machine's device, or by the default protocol, which
    is at least as precise; None where neither was.
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
    """Write what `measure_latency` found of a network, and return it as it is stored."""
    from xception.profile.latency import measurement_key
    from xception.profile.protocol import LatencyProtocol

    values = {name: getattr(row, name) for name in (*_KEPT, *_SPREAD)}
    kind = "latency" if protocol == LatencyProtocol() else "search latency"
    store.put_measurement(measurement_key(network, shape, device, protocol), kind, values)
    return values


def latencies_on_one_device(
    store: Store, networks: Mapping[str, tuple[ModelConfig, Shape]]
) -> dict[str, dict[str, Any]]:
    """Return the latest latency of each network by the default protocol, by name: all on the one device on which most
    of them were measured (the latest such device where several are equal). Networks not measured there are left out.
    """
    wanted = {name: (key_of(network), shape) for name, (network, shape) in networks.items()}
    by_device: dict[str, dict[tuple[str, Shape], dict[str, Any]]] = {}
    for row in store.measurements("latency"):  # the latest first
        if row["latency_ms"] is not None:
            of_device = by_device.setdefault(row["latency_device"], {})
            of_device.setdefault((row["model_key"], tuple(row["input_shape"])), row)
    found = [{name: rows[place] for name, place in wanted.items() if place in rows} for rows in by_device.values()]
    return max(found, key=len, default={})
