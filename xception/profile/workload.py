"""One call of a network under a latency protocol: a forward pass or a training step, ready to be timed."""

from __future__ import annotations

import functools
import itertools
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from xception.profile.protocol import LatencyProtocol
from xception.profile.timing import DoesNotFitError

__all__ = ["build_call", "cache_bytes", "dtype_of", "numerics", "out_of_memory_as_does_not_fit"]

_DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_CPU_CACHE_BYTES = 32 * 2**20  # more than the last-level cache that one core of a common server CPU can fill
_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")


@contextmanager
def numerics(protocol: LatencyProtocol) -> Iterator[None]:
    """Set threads and the precision of float32 products during a measurement, and restore them."""
    cudnn = torch.backends.cudnn
    # Not through the fp32_precision settings: torch then raises where the older ones are read, which the compiler does.
    before = (cudnn.allow_tf32, cudnn.benchmark)
    products, threads = _product_precision(), torch.get_num_threads()
    try:
        torch.set_float32_matmul_precision("high" if protocol.precision == "tf32" else "highest")
        cudnn.allow_tf32 = protocol.precision == "tf32"
        cudnn.benchmark = True  # the fastest algorithm, found in the warm-up
        torch.set_num_threads(protocol.num_threads)
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        cudnn.allow_tf32, cudnn.benchmark = before
        torch.set_num_threads(threads)


def _product_precision() -> str:
    """The precision of float32 products as `set_float32_matmul_precision` takes it."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # torch's warning where allow_tf32 was set and restored
        return "high" if torch.backends.cuda.matmul.allow_tf32 else "highest"


@contextmanager
def out_of_memory_as_does_not_fit() -> Iterator[None]:
    """Turn an allocator's failure into `DoesNotFitError`."""
    try:
        yield
    except (
        RuntimeError,
        MemoryError,
    ) as error:  # torch.OutOfMemoryError is a RuntimeError, as is the CPU allocator's error
        if isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
            words in str(error) for words in _OUT_OF_MEMORY
        ):
            raise DoesNotFitError(next(iter(str(error).splitlines()), "out of memory")) from None
        raise


def dtype_of(protocol: LatencyProtocol) -> torch.dtype:
    """Return the type that tensors have in memory under a protocol; TF32 is a way of multiplying float32."""
    return _DTYPES[protocol.precision]


def cache_bytes(device: torch.device) -> int:
    """Return the size of the cache that inputs must exceed."""
    return torch.cuda.get_device_properties(device).L2_cache_size if device.type == "cuda" else _CPU_CACHE_BYTES


def build_call(
    model: nn.Module,
    input_shape: tuple[int, ...],
    protocol: LatencyProtocol,
    device: torch.device,
    *,
    num_inputs: int | None = None,
) -> Callable[[], object]:
    """Return a function of no arguments that runs the model once on the next of several inputs.

    The model is taken over: moved, cast, and in training updated. Inputs are (N, C, H, W), random from the protocol's
    seed, and unless their number is given together twice as large as the cache, so that none is cached when its turn
    comes.
    """
    dtype = dtype_of(protocol)
    training = protocol.mode == "training"
    layout = (
        torch.channels_last
        if protocol.memory_format == "channels_last" and len(input_shape) == 3
        else torch.contiguous_format
    )
    # A forward pass runs in the precision itself; training keeps float32 weights and casts operators (autocast), as is
    # usual.
    model = model.to(device=device, dtype=torch.float32 if training else dtype).train(training)
    if layout is torch.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if num_inputs is None:
        one = protocol.batch_size * torch.Size(input_shape).numel() * dtype.itemsize
        num_inputs = max(4, min(4096, 2 * cache_bytes(device) // one + 1))
    generator = None if device.type == "meta" else torch.Generator(device).manual_seed(protocol.seed)
    inputs = [
        torch.randn((protocol.batch_size, *input_shape), generator=generator, device=device).to(
            dtype=torch.float32 if training else dtype, memory_format=layout
        )
        for _ in range(num_inputs)
    ]
    step = _training_step(model, inputs[0], protocol, device, generator) if training else _forward(model, protocol)
    if protocol.execution == "cuda_graph":
        step = _captured(step, inputs[0], training)
    turn = itertools.cycle(inputs)
    return lambda: step(next(turn))


def _forward(model: nn.Module, protocol: LatencyProtocol) -> Callable[[Tensor], object]:
    run = _compiled(model) if protocol.execution == "compiled" else model

    def forward(images: Tensor) -> object:
        with torch.inference_mode(protocol.execution != "compiled"), torch.no_grad():
            return run(images)

    return forward


def _training_step(
    model: nn.Module, images: Tensor, protocol: LatencyProtocol, device: torch.device, generator: torch.Generator | None
) -> Callable[[Tensor], object]:
    """Forward, cross-entropy, backward and an SGD step with momentum; 16-bit formats by autocast, float16 with loss
    scaling.
    """
    run = _compiled(model) if protocol.execution == "compiled" else model
    real = device.type != "meta"  # where only shapes are traced, float32 represents every precision
    low = real and protocol.precision in ("bfloat16", "float16")
    # Fused: its step reads the scaler's overflow flag on the device, without a synchronisation.
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, fused=real)
    scaler = torch.amp.GradScaler(device.type if real else "cpu", enabled=real and protocol.precision == "float16")
    autocast = functools.partial(
        torch.autocast, device.type if real else "cpu", _DTYPES[protocol.precision] if low else None, enabled=low
    )
    with torch.no_grad(), autocast():
        num_classes = _outputs(model(images))[0].shape[-1]
    labels = torch.randint(num_classes, (protocol.batch_size,), generator=generator, device=device)

    def step(images: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast(cache_enabled=protocol.execution != "cuda_graph"):
            # A network with auxiliary heads returns several outputs in training; each has its loss.
            loss = torch.stack([F.cross_entropy(output, labels) for output in _outputs(run(images))]).sum()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return step


def _outputs(output: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]


def _compiled(model: nn.Module) -> Callable[[Tensor], Any]:
    """Compile through a function of its own: torch.compile keeps its programs per code object, and searches them in a
    row.
    """

    def run(images: Tensor) -> Any:
        return model(images)

    own = types.FunctionType(
        run.__code__.replace(co_name="run_alone"), run.__globals__, "run_alone", None, run.__closure__
    )
    return torch.compile(own, fullgraph=True, dynamic=False)


def _captured(step: Callable[[Tensor], object], images: Tensor, training: bool) -> Callable[[Tensor], object]:
    """Capture a step in a CUDA graph; a call copies its input to the graph's own, which is part of the time, and
    replays.
    """
    own_input = images.clone()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(5):  # libraries choose algorithms and the optimiser makes its state before anything is recorded
            step(own_input)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = step(own_input)

    def replay(images: Tensor) -> object:
        own_input.copy_(images)
        graph.replay()
        return kept

    return replay
