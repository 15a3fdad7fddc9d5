"""The costs of each variant of a study, measured once per network and machine and kept in the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ablations.costs.latency_lookup import column_key, latencies_measured_together, put_column, put_latency
from ablations.costs.memory_lookup import MEMORY_COLUMNS, count_memory, memory_on_one_device, put_missing_memory
from ablations.design.study import Design
from ablations.design.trial import Trial, read_trial
from xception.base.canonical import key_of
from xception.network.closed_form import totals
from xception.network.config import XceptionConfig
from xception.profile.protocol import LatencyProtocol

if TYPE_CHECKING:
    import pandas as pd

    from ablations.records.record import StoredPlan
    from ablations.records.store import Store

__all__ = ["COST_COLUMNS", "count", "latency_budget", "measure_costs", "stored_costs", "uncounted"]

# Raised when a count changes its meaning, so that stored counts are made again.
_COUNTER_VERSION = 2
_COUNTED = ("params", "macs", "fvcore_total", "activations")
COST_COLUMNS = (
    *_COUNTED,
    "latency_ms",
    "latency_device",
    "latency_ci_low_ms",
    "latency_ci_high_ms",
    "latency_n",
    "latency_load",
    *MEMORY_COLUMNS,
)


def latency_budget(seconds: float) -> float:
    """Return the time budget in seconds for timing all networks of a study: 0.5 % of the time its trials took, from 3
    to 30.

    Timing ends earlier once every median is known to 2 %; otherwise its interval in the tables is wider.
    """
    return min(max(0.005 * seconds, 3.0), LatencyProtocol().time_budget_s)


def uncounted(designs: Iterable[Design], store: Store) -> dict[str, Design]:
    """Return the designs whose networks the store has no counts of, by the keys of these; one for each network."""
    distinct = {_count_key(design): design for design in designs}
    return {key: design for key, design in distinct.items() if store.measurement(key) is None}


def count(design: Design, device: str) -> dict[str, dict[str, Any]]:
    """Return what `measure_costs` counts of a design's network, by the measurements' keys; nothing where it does not
    fit into memory. Unlike timing, counting may run during training.
    """
    out: dict[str, dict[str, Any]] = {}
    with _measured_where_it_fits():
        out[_count_key(design)] = _counts(design)
        if device == "cpu":
            out |= count_memory(design)
    return out


def measure_costs(
    designs: Mapping[str, Design],
    store: Store,
    *,
    device: str,
    time_budget_s: float | None = None,
    counted: Mapping[str, dict[str, Any]] | None = None,
) -> None:
    """Count and time the networks of some designs that the store lacks; call it while nothing trains.

    Latency is that of the protocol's default: eager float32 inference of one image, within `time_budget_s` where one is
    given. All networks of the study are timed interleaved, so the others are timed again with a missing one. Peak
    memory is that of inference of one image and of a float32 training step on a batch of the recipe's size: measured on
    a GPU, counted without allocating elsewhere. `counted` are the results of `count`, which are not counted again.
    """
    counted = counted or {}
    for design in designs.values():
        with _measured_where_it_fits():
            key = _count_key(design)
            if store.measurement(key) is None:
                store.put_measurement(key, "complexity", counted.get(key) or _counts(design))
            put_missing_memory(store, design, device, counted)
    from xception.profile.latency import measure_latency, measurement_key

    protocol = LatencyProtocol()
    shapes = {name: design.input_shape for name, design in designs.items()}
    keys = {name: measurement_key(design.model, shapes[name], device, protocol) for name, design in designs.items()}
    if store.measurement(column_key(keys.values())) is not None:
        return
    distinct = {keys[name]: name for name in designs}
    # The budget is not part of the key: it affects the precision of a median, not what is measured.
    within = protocol if time_budget_s is None else protocol.replace(time_budget_s=time_budget_s)
    rows = measure_latency(
        {name: designs[name].model for name in distinct.values()}, within, input_shape=shapes, device=device
    )
    stored = [
        put_latency(store, designs[row.name].model, shapes[row.name], row, device=device, protocol=protocol)
        for row in rows
    ]
    environments = [row.environment for row in rows if row.environment is not None]
    put_column(store, keys.values(), stored, load=environments[0].load_1min if environments else None)


@contextmanager
def _measured_where_it_fits() -> Iterator[None]:
    """Leave costs unmeasured that need more memory than this machine has; another one may have it."""
    from xception.profile.timing import DoesNotFitError
    from xception.profile.workload import out_of_memory_as_does_not_fit

    with suppress(DoesNotFitError), out_of_memory_as_does_not_fit():
        yield


def stored_costs(store: Store, plan: StoredPlan) -> pd.DataFrame:
    """Return one row per variant with its stored costs; None where they were not measured."""
    import pandas as pd

    first = {member.variant: member.key for member in reversed(plan.members)}
    records = store.get(first.values())
    trials = {variant: read_trial(records[key].trial) for variant, key in first.items() if key in records}
    latencies = latencies_measured_together(
        store, {name: (trial.model, trial.input_shape) for name, trial in trials.items()}
    )
    memory = memory_on_one_device(store, trials)
    rows: list[dict[str, Any]] = []
    for variant in first:
        row: dict[str, Any] = {"variant": variant, **dict.fromkeys(COST_COLUMNS)}
        if variant in trials:
            trial = trials[variant]
            row |= store.measurement(_count_key(trial)) or {}
            row |= memory.get(variant, {})
            found = latencies.get(variant)
            if found:
                row |= {
                    "latency_ms": found["latency_ms"],
                    "latency_device": found["latency_device"],
                    "latency_n": found["n"],
                    "latency_load": found["load"],
                }
                row |= {"latency_ci_low_ms": found["low_ms"], "latency_ci_high_ms": found["high_ms"]}
        rows.append(row)
    return pd.DataFrame(rows, columns=pd.Index(["variant", *COST_COLUMNS])).astype(
        {"latency_ms": "float64", "latency_ci_low_ms": "float64", "latency_ci_high_ms": "float64"}
    )


def _count_key(design: Design | Trial) -> str:
    return key_of(["complexity", _COUNTER_VERSION, design.model, list(design.input_shape)])


def _counts(design: Design) -> dict[str, Any]:
    from xception.network.model import build
    from xception.profile.complexity import complexity, fvcore_total

    model, shape = design.model, design.input_shape
    if isinstance(model, XceptionConfig):  # whose closed form gives the same numbers without running it
        params, macs, activations = totals(model, design.dataset.image_size)
        total = fvcore_total(build(model), shape)
        return {"params": params, "macs": macs, "fvcore_total": total, "activations": activations}
    counted = complexity(build(model), shape)
    return {column: getattr(counted, column) for column in _COUNTED}
