"""Costs of untrained networks that must be measured on the device, each once: kept in the store, measured while nothing
trains.
"""

from __future__ import annotations

from collections.abc import Sequence

from ablations.costs.latency_lookup import find_latency, put_latency
from ablations.records.store import Store
from xception.base.canonical import key_of
from xception.network.config import XceptionConfig

__all__ = ["measured_costs"]

# Two per cent is more than a search needs to know; a candidate takes seconds at most.
_RELATIVE_WIDTH, _BUDGET_S = 0.05, 10.0


def measured_costs(
    names: Sequence[str], network: XceptionConfig, shape: tuple[int, int, int], *, store: Store, device: str
) -> dict[str, float] | str:
    """Return `latency_ms` (eager float32 inference of one image) and `memory_mib` (its peak), as named, or why there
    are none.
    """
    out: dict[str, float] = {}
    if "latency_ms" in names:
        latency = _latency(network, shape, store, device)
        if isinstance(latency, str):
            return latency
        out["latency_ms"] = latency
    if "memory_mib" in names:
        out["memory_mib"] = _memory(network, shape, store, device)
    return out


def _latency(network: XceptionConfig, shape: tuple[int, int, int], store: Store, device: str) -> float | str:
    from xception.profile.latency import measure_latency
    from xception.profile.protocol import LatencyProtocol

    protocol = LatencyProtocol(relative_width=_RELATIVE_WIDTH, time_budget_s=_BUDGET_S)
    known = find_latency(store, network, shape, device=device, protocol=protocol)
    if known is None:
        row = measure_latency({"candidate": network}, protocol, input_shape=shape, device=device)[0]
        known = put_latency(store, network, shape, row, device=device, protocol=protocol)
    return (
        f"latency {known['status']}: {known['reason']}" if known["latency_ms"] is None else float(known["latency_ms"])
    )


def _memory(network: XceptionConfig, shape: tuple[int, int, int], store: Store, device: str) -> float:
    from xception.network.model import build
    from xception.profile.environment import device_title
    from xception.profile.memory import measure_memory
    from xception.profile.protocol import LatencyProtocol

    key = key_of(["memory", LatencyProtocol(), network, list(shape), device_title(device)])
    known = store.measurement(key)
    if known is None:
        used = measure_memory(build(network), shape, LatencyProtocol(), device=device)
        known = {"peak_bytes": used.peak_bytes, "method": used.method}
        store.put_measurement(key, "memory", known)
    return float(known["peak_bytes"]) / 2**20
