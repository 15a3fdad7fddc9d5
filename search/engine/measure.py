"""Costs of untrained networks that must be measured on the device, each once: kept in the store, measured while nothing
trains.

A network beyond a measured limit is narrowed and measured again, a few times at most: its width is solved for, as for a
counted limit.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from ablations.costs.latency_lookup import find_latency, put_latency
from ablations.records.store import Store
from search.engine.search_plan import SearchPlan
from search.engine.solving import counted, narrowed
from xception.base.canonical import canonical_json, key_of
from xception.network.config import XceptionConfig

__all__ = ["Measured", "measured_costs"]

# Five per cent is more than a search needs to know; a network takes this long at most, warming up included.
_RELATIVE_WIDTH, _BUDGET_S, _WARM_UP_S = 0.05, 2.0, 0.2
_TRIES = 3  # widths at most
_POWER, _MARGIN = (
    0.7,
    0.97,
)  # latency is about proportional to the width, not to its square; aim a little below the limit


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The costs of a network at the width found; `reason` is why nothing was measured.

    `seconds` and `num_measured` are those of this call: what the store had took none.
    """

    model: str
    costs: dict[str, float]
    reason: str | None
    seconds: float
    num_measured: int


def measured_costs(plan: SearchPlan, network: XceptionConfig, *, store: Store, device: str) -> Measured:
    """Return the costs of a network, `latency_ms` (eager float32 inference of one image) and `memory_mib` (its peak)
    among them if the search needs them; a network beyond a limit is narrowed.
    """
    began, number, reason = time.perf_counter(), 0, None
    for last in (*[False] * (_TRIES - 1), True):
        costs = counted(network, plan.shape[1])
        found, is_new = _measure(plan.definition.measured, network, plan.shape, store=store, device=device)
        number += is_new
        if isinstance(found, str):
            reason = found
            break
        costs |= found
        over = max((costs[name] / plan.limits[name][1] for name in found if name in plan.limits), default=0.0)
        narrow = narrowed(network, (_MARGIN / over) ** _POWER) if over > 1 and not last else None
        if narrow is None:
            break
        network = narrow
    seconds = time.perf_counter() - began if number else 0.0
    return Measured(model=canonical_json(network), costs=costs, reason=reason, seconds=seconds, num_measured=number)


def _measure(
    names: tuple[str, ...], network: XceptionConfig, shape: tuple[int, int, int], *, store: Store, device: str
) -> tuple[dict[str, float] | str, bool]:
    """The measurements of a network, or the reason for their absence, and whether they are new."""
    out: dict[str, float] = {}
    is_new = False
    if "latency_ms" in names:
        latency, is_new = _latency(network, shape, store, device)
        if isinstance(latency, str):
            return latency, is_new
        out["latency_ms"] = latency
    if "memory_mib" in names:
        out["memory_mib"], is_fresh = _memory(network, shape, store, device)
        is_new = is_new or is_fresh
    return out, is_new


def _latency(
    network: XceptionConfig, shape: tuple[int, int, int], store: Store, device: str
) -> tuple[float | str, bool]:
    from xception.profile.latency import measure_latency
    from xception.profile.protocol import LatencyProtocol

    protocol = LatencyProtocol(relative_width=_RELATIVE_WIDTH, time_budget_s=_BUDGET_S, warm_up_s=_WARM_UP_S)
    known = find_latency(store, network, shape, device=device, protocol=protocol)
    is_new = known is None
    if known is None:
        row = measure_latency({"candidate": network}, protocol, input_shape=shape, device=device)[0]
        known = put_latency(store, network, shape, row, device=device, protocol=protocol)
    if known["latency_ms"] is None:
        return f"latency {known['status']}: {known['reason']}", is_new
    return float(known["latency_ms"]), is_new


def _memory(network: XceptionConfig, shape: tuple[int, int, int], store: Store, device: str) -> tuple[float, bool]:
    from xception.network.model import build
    from xception.profile.environment import device_title
    from xception.profile.memory import measure_memory
    from xception.profile.protocol import LatencyProtocol

    key = key_of(["memory", LatencyProtocol(), network, list(shape), device_title(device)])
    known = store.measurement(key)
    is_new = known is None
    if known is None:
        used = measure_memory(build(network), shape, LatencyProtocol(), device=device)
        known = {"peak_bytes": used.peak_bytes, "method": used.method}
        store.put_measurement(key, "memory", known)
    return float(known["peak_bytes"]) / 2**20, is_new
