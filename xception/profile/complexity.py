"""Parameters, MACs and activations of any `nn.Module`, with what each counter left out.

`macs` are multiply-accumulates of convolutions and linear layers: half of what
`torch.utils.flop_counter.FlopCounterMode` calls FLOPs, checked against the closed form summed over the layers.
`fvcore_total` is fvcore's sum, which also weighs normalisation and pooling (2 per element for batch norm in eval mode,
5 for group and layer norm); fvcore calls it FLOPs and means MACs. `activations` are the elements of the outputs of all
convolutions and linear layers, as pycls counts them (Radosavovic et al. 2020, *Designing Network Design Spaces*,
arXiv:2003.13678, defines them for convolutions) and as fvcore's `ActivationCountAnalysis` does.

Everything is for one example in eval mode. Counting works on copies: the model keeps its mode, hooks, gradients and
buffers.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import nn

from xception.profile.copies import meta_copy, real_copy
from xception.profile.operators import LayerCount, kind_of, run_pass

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Complexity", "LeftOut", "ParameterSplit", "complexity", "fvcore_total", "quiet"]

_HEADS = ("head", "heads", "classifier", "fc")


@dataclass(frozen=True, kw_only=True)
class ParameterSplit:
    """Parameters by role; shared ones count once, in the first module that holds them.

    `stem` are the convolutions of the first child called `stem`, `head` the linear layers of the last children called
    `head`, `classifier` or `fc`, `norm` the normalisation everywhere; the other convolutions go by their kind.
    """

    stem: int = 0
    depthwise: int = 0
    pointwise: int = 0
    regular: int = 0
    norm: int = 0
    head: int = 0
    linear: int = 0
    other: int = 0


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Something that a counter left out: `count` calls of an operator, modules, or MACs, as `unit` says."""

    counter: str
    what: str
    count: int
    unit: str


@dataclass(frozen=True, kw_only=True)
class Complexity:
    """What a network costs per example of `input_shape` (C, H, W)."""

    input_shape: tuple[int, ...]
    params: int
    parameters: ParameterSplit
    macs: int
    macs_of_layers: int  # the closed form; equals macs unless `left_out` has a reason
    activations: int
    bytes_moved: int  # by the operators of an eager pass, in the precision of the parameters
    fvcore_total: int | None
    fvcore_macs: int | None  # fvcore's convolution and linear entries alone
    layers: tuple[LayerCount, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def flops(self) -> int:
        """Floating-point operations of convolutions and linear layers: a multiplication and an addition per MAC."""
        return 2 * self.macs

    def frame(self) -> pd.DataFrame:
        """Return the per-layer table: one row per layer, in the order of their first call."""
        import pandas as pd

        return pd.DataFrame([asdict(layer) for layer in self.layers], columns=[f.name for f in fields(LayerCount)])


def complexity(model: nn.Module, input_shape: tuple[int, ...], *, fvcore: bool = True) -> Complexity:
    """Count a model at an input of shape (C, H, W), on the meta device; with `fvcore`, also by fvcore.

    fvcore cannot trace meta tensors: it runs once on the CPU with one example.

    Raises:
        ValueError: `input_shape` holds something other than positive integers.
    """
    if not input_shape or any(not isinstance(n, int) or isinstance(n, bool) or n < 1 for n in input_shape):
        raise ValueError(f"input_shape: {input_shape!r} is not allowed; positive integers (C, H, W)")
    dtype = next((p.dtype for p in model.parameters() if p.dtype.is_floating_point), torch.get_default_dtype())
    counted = run_pass(meta_copy(model).eval(), tuple(input_shape), dtype)
    macs = sum(counted.counted_macs.values())
    of_layers = sum(layer.macs for layer in counted.layers)
    left_out = [
        LeftOut(counter="FlopCounterMode", what=op, count=n, unit="calls")
        for op, n in sorted(counted.uncounted.items())
    ]
    left_out += [LeftOut(counter="macs", what=op, count=n, unit="MACs") for op, n in sorted(counted.other_macs.items())]
    if of_layers != macs:
        outside = "products outside convolution and linear modules"
        left_out.append(LeftOut(counter="closed form", what=outside, count=macs - of_layers, unit="MACs"))
    total = own = None
    if fvcore:
        total, own, skipped = _fvcore(model, tuple(input_shape), dtype)
        left_out += skipped
    return Complexity(
        input_shape=tuple(input_shape),
        params=sum(p.numel() for p in model.parameters()),
        parameters=_split(model),
        macs=macs,
        macs_of_layers=of_layers,
        activations=counted.activations,
        bytes_moved=counted.bytes_moved,
        fvcore_total=total,
        fvcore_macs=own,
        layers=counted.layers,
        left_out=tuple(left_out),
    )


def fvcore_total(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Return fvcore's own sum for one example of shape (C, H, W)."""
    dtype = next((p.dtype for p in model.parameters() if p.dtype.is_floating_point), torch.get_default_dtype())
    return _fvcore(model, input_shape, dtype)[0]


def _split(model: nn.Module) -> ParameterSplit:
    split = {f.name: 0 for f in fields(ParameterSplit)}
    seen: set[int] = set()
    for name, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                split[_role(name, module)] += parameter.numel()
    return ParameterSplit(**split)


def _role(name: str, module: nn.Module) -> str:
    kind, top = kind_of(module), name.partition(".")[0]
    if kind in ("depthwise", "pointwise", "regular") and top == "stem":
        return "stem"
    if kind == "linear" and top in _HEADS:
        return "head"
    return kind if kind in ("depthwise", "pointwise", "regular", "linear", "norm") else "other"


def _fvcore(model: nn.Module, input_shape: tuple[int, ...], dtype: torch.dtype) -> tuple[int, int, list[LeftOut]]:
    """The total of fvcore, its convolution and linear entries, and what it reports as skipped.

    It runs the model for real, on one thread: several would wait for one another where other processes hold the cores.
    """
    with quiet(), _one_thread():
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(
            real_copy(model, torch.device("cpu")).eval(), torch.zeros((1, *input_shape), dtype=dtype)
        )
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        with torch.no_grad():
            by_operator = analysis.by_operator()
        skipped = [
            LeftOut(counter="fvcore", what=op, count=int(n), unit="calls")
            for op, n in sorted(analysis.unsupported_ops().items())
        ]
        skipped += [
            LeftOut(counter="fvcore", what=name, count=1, unit="uncalled modules")
            for name in sorted(analysis.uncalled_modules())
        ]
    return int(sum(by_operator.values())), int(sum(by_operator[op] for op in ("conv", "linear", "addmm"))), skipped


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def quiet() -> Iterator[None]:
    """Let fvcore's own use of a deprecated part of torch pass without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is deprecated", category=FutureWarning)
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is deprecated", category=DeprecationWarning)
        yield
