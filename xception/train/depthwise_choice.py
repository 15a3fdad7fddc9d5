"""The backend of each depthwise convolution of a network, by measurement before training, kept in a table per device.

On one GPU the times of cuDNN and of PyTorch's own kernels differ by a factor of 0.64 to 5.8, depending on the shape,
and no simple rule says which is faster. Forward and backward are timed together, at the shape and precision of the
training. The table is kept in the cache, so that each shape is measured once per device and version, and all trainings
of a study use the same backends.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from xception.base.canonical import Config, canonical_json
from xception.base.files import cache_dir, lock, read_json, write_json
from xception.cuda.depthwise import Backend, available, depthwise
from xception.network.layers import DepthwiseConv2d
from xception.network.stacked_layers import StackedConv2d

__all__ = ["Shape", "choose_backends", "measure", "shapes_of", "table_path"]

Measure = Callable[["Shape", str, torch.device], float]

_WARM_UP, _SAMPLES, _CALLS = 3, 7, 5


class Shape(Config):
    """What the time of a depthwise convolution depends on."""

    batch_size: int
    channels: int
    height: int
    width: int
    kernel_size: int
    stride: int
    padding: int
    dilation: int
    dtype: str

    def __str__(self) -> str:
        """Return the shape in a few words."""
        size, dilation = self.kernel_size, f" dilated {self.dilation}" if self.dilation > 1 else ""
        return (
            f"{size}×{size}/{self.stride}{dilation} on {self.batch_size}×{self.channels}×{self.height}×{self.width}"
            f" {self.dtype}"
        )


def choose_backends(
    network: nn.Module,
    images: Tensor,
    dtype: torch.dtype,
    *,
    backends: Sequence[str] | None = None,
    path: Path | None = None,
    measured_by: Measure | None = None,
) -> dict[str, str]:
    """Give every depthwise convolution of a network its fastest backend, and return the choices by shape.

    `images` (N, C, H, W) have the shape of the training batches; `dtype` is the type that convolutions compute in.
    Shapes that are not yet in the table at `path` are measured and added.
    """
    shapes = shapes_of(network, images, dtype)
    backends, path = backends or available(), path or table_path(images.device)
    with lock(path.with_suffix(".lock"), timeout_seconds=math.inf):
        table: dict[str, dict[str, float]] = read_json(path) or {}
        is_new = False
        for shape in dict.fromkeys(shapes.values()):
            row = table.setdefault(canonical_json(shape), {})
            for backend in backends:
                if backend not in row:
                    row[backend] = (measured_by or measure)(shape, backend, images.device)
                    is_new = True
        if is_new:
            write_json(path, table)
    chosen: dict[str, str] = {}
    for name, shape in shapes.items():
        row = table[canonical_json(shape)]
        chosen[str(shape)] = min(backends, key=lambda backend: row[backend])
        module = network.get_submodule(name)
        assert isinstance(module, DepthwiseConv2d | StackedConv2d)
        module.backend = Backend(chosen[str(shape)])
    return chosen


@torch.no_grad()
def shapes_of(network: nn.Module, images: Tensor, dtype: torch.dtype) -> dict[str, Shape]:
    """Return the shape of each depthwise convolution of a network on such images, by the module's name."""
    shapes: dict[str, Shape] = {}

    def note(name: str, module: nn.Conv2d | StackedConv2d, given: Tensor) -> None:
        num, channels, height, width = given.shape
        padding = module.padding[0]
        assert isinstance(padding, int)
        shapes[name] = Shape(
            batch_size=num,
            channels=channels,
            height=height,
            width=width,
            kernel_size=module.weight.shape[-1],
            stride=module.stride[0],
            padding=padding,
            dilation=module.dilation[0],
            dtype=str(dtype).removeprefix("torch."),
        )

    handles = [
        module.register_forward_pre_hook(lambda module, given, name=name: note(name, module, given[0]))
        for name, module in network.named_modules()
        if isinstance(module, DepthwiseConv2d) or (isinstance(module, StackedConv2d) and module.is_depthwise)
    ]
    was_training = {module: module.training for module in network.modules()}
    try:
        network.eval()(images)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in was_training.items():
            module.training = mode
    return shapes


def measure(shape: Shape, backend: str, device: torch.device) -> float:
    """Return the median time of forward and backward in seconds; infinite for a backend that does not support the
    shape.
    """
    dtype = getattr(torch, shape.dtype)
    size = (shape.batch_size, shape.channels, shape.height, shape.width)
    x = torch.randn(size, device=device).to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = (
        torch.randn(shape.channels, 1, shape.kernel_size, shape.kernel_size, device=device).to(dtype).requires_grad_()
    )

    def both_ways() -> None:
        out = depthwise(x, weight, stride=shape.stride, padding=shape.padding, dilation=shape.dilation, backend=backend)
        torch.autograd.grad(out, (x, weight), torch.ones_like(out))

    try:
        for _ in range(_WARM_UP):
            both_ways()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:  # for example, cuDNN has no algorithm for some shapes
        return math.inf
    samples = []
    for _ in range(_SAMPLES):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(_CALLS):
            both_ways()
        end.record()
        end.synchronize()
        samples.append(start.elapsed_time(end) / 1e3 / _CALLS)
    return float(sorted(samples)[_SAMPLES // 2])


def table_path(device: torch.device) -> Path:
    """Return the path of a device's table, for this version of PyTorch and of CUDA."""
    cudnn = torch.backends.cudnn.version()
    identity = f"{torch.cuda.get_device_name(device)}\n{torch.__version__}\n{torch.version.cuda}\n{cudnn}"
    folder = cache_dir() / "depthwise"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"
