"""The share of the attainable rate that each network and each of its layers reaches.

Williams, Waterman and Patterson 2009, *Roofline: An Insightful Visual Performance Model* (doi:10.1145/1498765.1498785).
The machine has two ceilings, both measured here by the protocol of `xception.profile.latency`: the rate of a large
matrix product and that of a large copy. Work of `macs` and `bytes_moved` cannot take less than the longer of macs /
product rate and bytes / copy rate; that time over the measured one is the share. Layers are measured alone, one of each
shape.

A share above 1 is possible and informative: the layer's tensors stay in a cache that is faster than
the copied memory, or its algorithm multiplies less than its definition (Winograd).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from xception.base.canonical import Config
from xception.profile.complexity import complexity
from xception.profile.copies import real_copy
from xception.profile.latency import Measurement, check_device, measure_latency
from xception.profile.operators import LayerCount
from xception.profile.protocol import LatencyProtocol
from xception.profile.workload import dtype_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NETWORK", "Ceilings", "measure_ceilings", "roofline", "time_by_kind"]

NETWORK = "network"  # the kind of the row of a whole network
Shape = tuple[int, ...]


class Ceilings(Config):
    """The two measured rates of a machine at one precision and number of threads."""

    device_name: str
    macs_per_second: float
    bytes_per_second: float

    @property
    def ridge(self) -> float:
        """The intensity, in MACs per byte, from which on the product is the lower ceiling."""
        return self.macs_per_second / self.bytes_per_second

    def attainable_seconds(self, macs: float, bytes_moved: float) -> float:
        """Return the least time for this work."""
        return max(macs / self.macs_per_second, bytes_moved / self.bytes_per_second)


def measure_ceilings(
    protocol: LatencyProtocol,
    *,
    device: str = "cpu",
    clock: Callable[[], float] = time.perf_counter,
    size: int | None = None,
) -> Ceilings:
    """Measure the product of two matrices of `size`² and the copy of a tensor of 16 `size`² elements, interleaved.

    The default size is 1024 on a CPU and 8192 on CUDA, where the copy is larger than any cache.

    Raises:
        ValueError: the device is not there or does not offer the protocol.
    """
    where = check_device(device)
    size = size or (8192 if where.type == "cuda" else 1024)
    dense = protocol.replace(mode="inference", batch_size=size, execution="eager", memory_format="nchw")
    shapes = {"product": (size,), "copy": (16 * size,)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(protocol.seed)
        product = nn.Linear(size, size, bias=False)
    rows = measure_latency(
        {"product": product, "copy": _Copy((size, 16 * size))}, dense, input_shape=shapes, device=device, clock=clock
    )
    seconds: dict[str, float] = {}
    for row in rows:
        if row.latency_ms is None:
            raise ValueError(f"ceiling: the {row.name} was {row.status}: {row.reason}")
        seconds[row.name] = row.latency_ms / 1e3
    copied = 2 * 16 * size**2 * dtype_of(protocol).itemsize  # read and written
    return Ceilings(
        device_name=rows[0].device_name,
        macs_per_second=size**3 / seconds["product"],
        bytes_per_second=copied / seconds["copy"],
    )


def roofline(
    models: Mapping[str, nn.Module],
    ceilings: Ceilings,
    protocol: LatencyProtocol,
    *,
    input_shape: Shape | Mapping[str, Shape],
    device: str = "cpu",
    clock: Callable[[], float] = time.perf_counter,
) -> pd.DataFrame:
    """Return one row per network, of kind `network`, followed by one per layer that moves any bytes.

    Columns: network, layer, kind, macs, bytes_moved (both per call of the whole batch), intensity (MACs per byte),
    latency_ms, n, macs_per_second, attainable_ms, share (attainable over measured time), bound (`compute` or `memory`).
    Layers that could not be measured have no time and no share.

    Raises:
        ValueError: the protocol is one of training, or of another execution than eager, in which layers do not run one
            by one.
    """
    import pandas as pd

    if protocol.mode != "inference" or protocol.execution != "eager":
        raise ValueError(
            f"LatencyProtocol: {protocol.mode} {protocol.execution} is not allowed for a roofline; inference eager"
        )
    shapes = {name: tuple(input_shape[name] if isinstance(input_shape, Mapping) else input_shape) for name in models}
    counts = {name: complexity(model, shapes[name], fvcore=False) for name, model in models.items()}
    whole = {row.name: row for row in measure_latency(models, protocol, input_shape=shapes, device=device, clock=clock)}
    alone = _measure_layers(
        [
            (models[name].get_submodule(layer.name), layer)
            for name in models
            for layer in counts[name].layers
            if layer.bytes_moved
        ],
        protocol,
        device,
        clock,
    )
    rows: list[dict[str, object]] = []
    for name, model in models.items():
        itemsize = next((p.element_size() for p in model.parameters() if p.dtype.is_floating_point), 4)
        scale = protocol.batch_size * dtype_of(protocol).itemsize / itemsize
        count = counts[name]
        total = _share(count.macs, count.bytes_moved, 1, scale, whole[name], ceilings, protocol)
        rows.append({"network": name, "layer": "", "kind": NETWORK} | total)
        for layer in count.layers:
            if layer.bytes_moved:
                measured = alone[_identity(model.get_submodule(layer.name), layer)]
                names: dict[str, object] = {"network": name, "layer": layer.name, "kind": layer.kind}
                rows.append(
                    names | _share(layer.macs, layer.bytes_moved, layer.calls, scale, measured, ceilings, protocol)
                )
    return pd.DataFrame(rows)


def time_by_kind(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per network and kind of layer: number, shares of MACs and of time, and the share of the attainable
    rate.

    Shares of time are of the sum over the layers, each measured alone.
    """
    layers = frame[frame["kind"] != NETWORK]
    grouped = layers.groupby(["network", "kind"], sort=False)[
        ["macs", "bytes_moved", "latency_ms", "attainable_ms"]
    ].sum()
    grouped.insert(0, "layers", layers.groupby(["network", "kind"], sort=False).size())
    totals = grouped.groupby("network", sort=False)[["macs", "latency_ms"]].transform("sum")
    grouped["share_of_macs"] = grouped["macs"] / totals["macs"]
    grouped["share_of_time"] = grouped["latency_ms"] / totals["latency_ms"]
    grouped["share"] = grouped["attainable_ms"] / grouped["latency_ms"]
    return grouped.reset_index()


class _Copy(nn.Module):
    """Copies its input into a buffer of its own."""

    kept: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(shape))

    def forward(self, values: Tensor) -> Tensor:
        return self.kept.copy_(values)


def _measure_layers(
    layers: list[tuple[nn.Module, LayerCount]], protocol: LatencyProtocol, device: str, clock: Callable[[], float]
) -> dict[str, Measurement]:
    """Measure one layer of each identity, those of a kind interleaved; an identity is a layer's text and input
    shape.
    """
    kinds: dict[str, dict[str, tuple[nn.Module, LayerCount]]] = {}
    for module, layer in layers:
        kinds.setdefault(layer.kind, {}).setdefault(_identity(module, layer), (module, layer))
    measured: dict[str, Measurement] = {}
    for distinct in kinds.values():
        # Copies, because a module that was built for another purpose may be one of several users of the same weights.
        modules = {identity: real_copy(module, torch.device("cpu")) for identity, (module, _) in distinct.items()}
        shapes = {identity: layer.input_shape for identity, (_, layer) in distinct.items()}
        measured |= {
            row.name: row for row in measure_latency(modules, protocol, input_shape=shapes, device=device, clock=clock)
        }
    return measured


def _identity(module: nn.Module, layer: LayerCount) -> str:
    return f"{module} {layer.input_shape}"


def _share(
    macs: int,
    bytes_moved: int,
    calls: int,
    scale: float,
    measured: Measurement,
    ceilings: Ceilings,
    protocol: LatencyProtocol,
) -> dict[str, object]:
    """The columns of one row; `scale` turns bytes per example in the model's own precision into those of the call."""
    macs, moved = macs * protocol.batch_size, bytes_moved * scale
    least = ceilings.attainable_seconds(macs, moved)
    seconds = None if measured.latency_ms is None else calls * measured.latency_ms / 1e3
    return {
        "macs": macs,
        "bytes_moved": round(moved),
        "intensity": macs / moved,
        "latency_ms": None if seconds is None else 1e3 * seconds,
        "n": measured.n,
        "macs_per_second": None if seconds is None else macs / seconds,
        "attainable_ms": 1e3 * least,
        "share": None if seconds is None else least / seconds,
        "bound": "compute" if macs / ceilings.macs_per_second >= moved / ceilings.bytes_per_second else "memory",
    }
