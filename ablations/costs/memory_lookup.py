"""The peak memory of networks in a store, by network, image size, batch size and device.

On a CPU it is counted from the tensors alive, which is the same on every machine; on a GPU it is the allocator's peak,
which depends on the GPU and its libraries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xception.base.canonical import key_of
from xception.profile.protocol import LatencyProtocol

if TYPE_CHECKING:
    from ablations.design.study import Design
    from ablations.design.trial import Trial
    from ablations.records.store import Store

__all__ = ["MEMORY_COLUMNS", "count_memory", "memory_on_one_device", "put_missing_memory"]

_VERSION = 2  # raised when the measurement changes its meaning, so that networks are measured again
_COUNTED, _ALLOCATED = "tensors alive, counted without allocating", "CUDA allocator"
MEMORY_COLUMNS = ("inference_memory_bytes", "training_memory_bytes", "memory_method")


def count_memory(design: Design) -> dict[str, dict[str, Any]]:
    """Return the counted peak memory of a design's network, by the key of its measurement."""
    return {_key(design, None): _counted(design)}


def put_missing_memory(
    store: Store, design: Design, device: str, counted: Mapping[str, dict[str, Any]] | None = None
) -> None:
    """Measure the peak memory of a design's network on a device and store it, unless the store has it; on the CPU it
    may be among what is `counted` already.
    """
    from xception.profile.environment import device_title
    from xception.profile.latency import check_device

    gpu = None if device == "cpu" else device_title(str(check_device(device)))
    if _stored_measurement(store, design, gpu) is None:
        key = _key(design, gpu)
        values = (counted or {}).get(key)
        if values is None:
            values = _counted(design) if gpu is None else _allocated(design, device) | {"device": gpu}
        store.put_measurement(key, "memory", values)


def memory_on_one_device(store: Store, trials: Mapping[str, Trial]) -> dict[str, dict[str, Any]]:
    """Return the peak memory of each network, by name, on the one device on which most of them were measured: among
    several such devices on the GPU measured last. Networks not measured there are left out.
    """
    gpus = dict.fromkeys(row["device"] for row in store.measurements("memory") if "device" in row)  # the latest first
    found: list[dict[str, dict[str, Any]]] = []
    for gpu in (*gpus, None):
        rows = {name: _stored_measurement(store, trial, gpu) for name, trial in trials.items()}
        found.append({name: row for name, row in rows.items() if row is not None})
    return max(found, key=len)


def _stored_measurement(store: Store, design: Design | Trial, gpu: str | None) -> dict[str, Any] | None:
    """The stored memory of a network on a GPU, or the counted one."""
    row = store.measurement(_key(design, gpu))
    # Earlier versions stored a GPU allocator's peak under the key of the counted one, without the GPU's name.
    is_of_unknown_gpu = row is not None and gpu is None and row.get("memory_method") == _ALLOCATED
    return None if is_of_unknown_gpu else row


def _key(design: Design | Trial, gpu: str | None) -> str:
    named = [] if gpu is None else [gpu]
    return key_of(["memory", _VERSION, design.model, list(design.input_shape), design.recipe.batch_size, *named])


def _protocols(design: Design) -> dict[str, LatencyProtocol]:
    return {
        "inference_memory_bytes": LatencyProtocol(),
        "training_memory_bytes": LatencyProtocol(mode="training", batch_size=design.recipe.batch_size),
    }


def _counted(design: Design) -> dict[str, Any]:
    from xception.network.model import build
    from xception.profile.memory import predict_memory

    counted = {
        name: predict_memory(build(design.model), design.input_shape, one) for name, one in _protocols(design).items()
    }
    return counted | {"memory_method": _COUNTED}


def _allocated(design: Design, device: str) -> dict[str, Any]:
    """Peak bytes on a GPU; None where a network does not fit."""
    from xception.network.model import build
    from xception.profile.memory import measure_memory
    from xception.profile.timing import DoesNotFitError

    shape = design.input_shape
    measured: dict[str, Any] = {"memory_method": _ALLOCATED}
    for name, protocol in _protocols(design).items():
        try:
            measured[name] = measure_memory(build(design.model), shape, protocol, device=device).peak_bytes
        except DoesNotFitError:
            measured[name] = None
    return measured
