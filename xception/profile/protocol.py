"""How a latency was measured, as a config: two measurements are comparable where model, device and protocol are the
same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Literal, get_args

from xception.base.canonical import Config, key_of

__all__ = [
    "EXECUTIONS",
    "MEMORY_FORMATS",
    "MODES",
    "PRECISIONS",
    "Execution",
    "LatencyProtocol",
    "MemoryFormat",
    "Mode",
    "Precision",
    "protocols",
]

Mode = Literal["inference", "training"]
Precision = Literal["float32", "tf32", "bfloat16", "float16"]
MemoryFormat = Literal["nchw", "channels_last"]
Execution = Literal["eager", "compiled", "cuda_graph"]

_SEMANTICS = 2  # raised when the procedure changes its meaning: stored measurements are then repeated

MODES: tuple[Mode, ...] = get_args(Mode)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
MEMORY_FORMATS: tuple[MemoryFormat, ...] = get_args(MemoryFormat)
EXECUTIONS: tuple[Execution, ...] = get_args(Execution)


class LatencyProtocol(Config):
    """What is timed and when timing ends; `xception.profile.latency` describes the procedure itself."""

    mode: Mode = "inference"
    batch_size: int = 1
    precision: Precision = "float32"
    memory_format: MemoryFormat = "channels_last"  # what training uses
    execution: Execution = "eager"
    num_threads: int = 1  # of the process: kernels on a CPU, launches on a GPU
    relative_width: float = 0.02  # of the median's interval, at which timing ends
    confidence: float = 0.95
    min_samples: int = 20
    time_budget_s: float = 30.0  # for all variants together; then timing ends if each has min_samples
    warm_up_s: float = 0.5  # per variant
    seed: int = 0  # of the inputs and of the order within each round

    def validate(self) -> None:
        for name, least in (("batch_size", 1), ("num_threads", 1), ("min_samples", 20), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"LatencyProtocol.{name}: {getattr(self, name)} is not allowed; at least {least}")
        for name in ("relative_width", "time_budget_s", "warm_up_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"LatencyProtocol.{name}: {getattr(self, name)} is not allowed; at least 0")
        if not 0.5 <= self.confidence <= 0.999:  # 20 samples cannot bound a median with more confidence
            raise ValueError(f"LatencyProtocol.confidence: {self.confidence} is not allowed; from 0.5 to 0.999")

    @property
    def key(self) -> str:
        """The SHA-256 of this protocol and of the procedure's version."""
        return key_of([_SEMANTICS, self])

    def unavailable_on(self, device_type: str) -> str | None:
        """Return why a device of this type (`cpu`, `cuda`) cannot run this protocol, or None where it can."""
        if device_type != "cuda" and self.execution == "cuda_graph":
            return f"CUDA graphs need a CUDA device, not {device_type}"
        if device_type != "cuda" and self.precision == "tf32":
            return f"TF32 needs a CUDA device, not {device_type}"
        return None


def protocols(
    base: LatencyProtocol,
    *,
    modes: Iterable[Mode] = ("inference",),
    batch_sizes: Iterable[int] = (1,),
    precisions: Iterable[Precision] = ("float32",),
    memory_formats: Iterable[MemoryFormat] = ("channels_last",),
    executions: Iterable[Execution] = ("eager",),
) -> list[LatencyProtocol]:
    """Return the base with every combination of the given values, in the order given."""
    grid = itertools.product(modes, batch_sizes, precisions, memory_formats, executions)
    return [base.replace(mode=m, batch_size=b, precision=p, memory_format=f, execution=e) for m, b, p, f, e in grid]
