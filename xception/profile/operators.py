"""What one pass through a model runs: its layers with shapes and MACs, and its tensor operators with the bytes they
move.

MACs of a layer follow the closed form: a convolution multiplies each output element by its window, (in_channels /
groups) × kernel area; a linear layer by its inputs. Leaf modules of other types that convolve or multiply inside (a
blur with a fixed kernel) take what was counted during their call. Bytes count every tensor that an operator reads or
writes once, as if no cache held it between two operators: the memory traffic of eager execution. Everything runs on the
meta device.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.hooks import RemovableHandle

__all__ = ["Kind", "LayerCount", "Pass", "kind_of", "run_pass"]

Kind = Literal["depthwise", "pointwise", "regular", "linear", "norm", "activation", "pooling", "other"]
Shape = tuple[int, ...]

_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)
_POOLS = (
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AvgPool3d,
    nn.LPPool2d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
    nn.AdaptiveMaxPool3d,
)
_MULTIPLYING = ("convolution", "addmm", "mm")  # what convolutions and linear layers become
_UNCOUNTED = ("detach", "alias", "empty", "empty_like")  # neither compute nor move values


@dataclass(frozen=True, kw_only=True)
class LayerCount:
    """What one layer costs for one example; shapes are without the batch, a layer called several times is summed."""

    name: str
    kind: Kind
    calls: int
    input_shape: Shape
    output_shape: Shape
    params: int
    macs: int
    activations: int
    bytes_moved: int


@dataclass(frozen=True, kw_only=True)
class _Call:
    """One call of a layer."""

    input_shape: Shape
    output_shape: Shape
    macs: int
    bytes_moved: int


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One forward pass of one example: layers in order of their first call, and the operators that they ran."""

    layers: tuple[LayerCount, ...]
    counted_macs: Mapping[str, int]  # operator -> MACs of FlopCounterMode, convolutions and linear layers
    other_macs: Mapping[str, int]  # operator -> MACs of FlopCounterMode, anything else (attention)
    uncounted: Mapping[str, int]  # operator -> calls for which FlopCounterMode has no formula
    activations: int  # outputs of the operators in counted_macs
    bytes_moved: int


def kind_of(module: nn.Module) -> Kind:
    """Return what sort of layer a module is; grouped convolutions that are not depthwise count as regular."""
    if isinstance(module, _ConvNd):
        if module.groups > 1 and module.groups == module.in_channels:
            return "depthwise"
        return "pointwise" if module.groups == 1 and math.prod(module.kernel_size) == 1 else "regular"
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, _NORMS):
        return "norm"
    if isinstance(module, _POOLS):
        return "pooling"
    return "activation" if type(module).__module__ == "torch.nn.modules.activation" else "other"


def run_pass(model: nn.Module, input_shape: Shape, dtype: torch.dtype) -> Pass:
    """Run one example of shape (C, H, W) through a model on the meta device, without gradients, and count."""
    calls: dict[str, list[_Call]] = {}
    modules = {
        name: m for name, m in model.named_modules() if isinstance(m, _ConvNd | nn.Linear) or not any(m.children())
    }
    # The log is the inner mode: it receives what is left after FlopCounterMode has decomposed an operator.
    counter, log = FlopCounterMode(display=False), _OperatorLog()
    before: dict[str, tuple[int, int]] = {}

    def enter(name: str, *_: Any) -> None:
        before[name] = counter.get_total_flops(), log.bytes_moved

    def leave(name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if args and isinstance(args[0], Tensor) and isinstance(output, Tensor):
            flops, moved = before[name]
            macs = _layer_macs(module, args[0], output)
            call = _Call(
                input_shape=tuple(args[0].shape[1:]),
                output_shape=tuple(output.shape[1:]),
                macs=(counter.get_total_flops() - flops) // 2 if macs is None else macs,
                bytes_moved=log.bytes_moved - moved,
            )
            calls.setdefault(name, []).append(call)

    handles: list[RemovableHandle] = []
    try:
        for name, module in modules.items():
            handles.append(module.register_forward_pre_hook(functools.partial(enter, name)))
            handles.append(module.register_forward_hook(functools.partial(leave, name)))
        with torch.no_grad(), counter, log:
            model(torch.empty((1, *input_shape), dtype=dtype, device="meta"))
    finally:
        for handle in handles:
            handle.remove()
    counted = {
        str(op).removeprefix("aten."): flops // 2 for op, flops in counter.get_flop_counts().get("Global", {}).items()
    }
    return Pass(
        layers=tuple(_layer(name, modules[name], made) for name, made in calls.items()),
        counted_macs={op: n for op, n in counted.items() if op in _MULTIPLYING},
        other_macs={op: n for op, n in counted.items() if op not in _MULTIPLYING},
        uncounted={op: n for op, n in log.calls.items() if op not in counted},
        activations=log.activations,
        bytes_moved=log.bytes_moved,
    )


def _layer(name: str, module: nn.Module, calls: list[_Call]) -> LayerCount:
    multiplies = isinstance(module, _ConvNd | nn.Linear)
    return LayerCount(
        name=name,
        kind=kind_of(module),
        calls=len(calls),
        input_shape=calls[0].input_shape,
        output_shape=calls[0].output_shape,
        params=sum(p.numel() for p in module.parameters()),
        macs=sum(call.macs for call in calls),
        activations=sum(math.prod(call.output_shape) for call in calls) if multiplies else 0,
        bytes_moved=sum(call.bytes_moved for call in calls),
    )


def _layer_macs(module: nn.Module, before: Tensor, after: Tensor) -> int | None:
    """The closed form, or None where there is none for this type."""
    if isinstance(module, _ConvTransposeNd):
        return before.numel() * module.out_channels // module.groups * math.prod(module.kernel_size)
    if isinstance(module, _ConvNd):
        return after.numel() * module.in_channels // module.groups * math.prod(module.kernel_size)
    return after.numel() * module.in_features if isinstance(module, nn.Linear) else None


class _OperatorLog(TorchDispatchMode):
    """Counts calls of each operator and the bytes of the tensors that it reads and writes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: Counter[str] = Counter()
        self.activations = 0
        self.bytes_moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        read = _tensors((args, kwargs))
        written = _tensors(result)
        storages = {t.untyped_storage()._cdata for t in read}
        is_view = all(t.untyped_storage()._cdata in storages for t in written) and not func._schema.is_mutable
        name = func.overloadpacket.__name__
        if not is_view and name not in _UNCOUNTED:
            self.calls[name] += 1
            self.activations += sum(t.numel() for t in written) if name in _MULTIPLYING else 0
            self.bytes_moved += sum(t.numel() * t.element_size() for t in (*read, *written))
        return result


def _tensors(tree: Any) -> list[Tensor]:
    return list({id(leaf): leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)}.values())
