"""Latency of networks by one protocol on CPU and CUDA.

A *call* is one forward pass in eval mode without gradients, or one training step (forward, cross-entropy, backward, SGD
with momentum; 16-bit formats by autocast). A *sample* is the time of one call, or of k calls in a row divided by k
where one call is shorter than a millisecond; k is reported.

1. Every variant is copied, moved and cast, and warmed up by itself until `warm_up_s` seconds and five calls have
   passed: compilation, algorithm search, allocation and capture happen here. Warm-up is never part of a sample.
2. Then come rounds. In each round every variant is sampled once, in a new random order, so that a drift of the machine
   (clocks, temperature, neighbours) falls on all of them alike.
3. Rounds end when the interval of every median was narrower than `relative_width` times the median at two looks in a
   row, or when `time_budget_s` is spent, but not before `min_samples` rounds (at least 20).
4. Reported are the median, its binomial interval, the 5th and 95th percentile and n. No sample is thrown away.

Inputs are random and rotated: a set of them, together twice as large as the cache, takes turns, so that an input is
read from memory. Right before a sample, a variant makes one call that is not timed, because what the previous variant
left in the caches does not affect it (skipped for calls longer than 0.1 s, during which caches turn over).

On CUDA the time is that between two events on the stream around the calls; the host waits for the device before the
first event and after the last one and never in between. Batch 1 in eager mode is thus often the time of the host's
launches, which is what such a user waits for; `cuda_graph` shows the device's own time, with the copy of the input into
the graph included. On a CPU it is the monotonic clock, with `num_threads` threads inside an operator, and with the
allocator settings of our workers: freed memory is kept, since mapping it afresh costs up to half of a call, depending
on what was allocated before. float32 means float32: TF32 is off unless requested.

A combination that a device does not support is returned as `not measured` with the reason, and a batch that does not
fit as `does not fit`; the others continue. Measure alone: nothing else may use the device meanwhile, and every
measurement has its environment with the load of the machine.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import nn

from xception.base.canonical import Config, key_of
from xception.network.config import ModelConfig
from xception.network.model import build
from xception.profile.copies import real_copy
from xception.profile.environment import Environment, available_memory, device_title, read_environment
from xception.profile.memory import predict_memory
from xception.profile.protocol import LatencyProtocol
from xception.profile.timing import DoesNotFitError, Stopping, calls_per_sample, summarise, time_in_rounds, warm_up
from xception.profile.workload import build_call, numerics, out_of_memory_as_does_not_fit
from xception.train.process import keep_freed_memory

__all__ = ["LatencyProtocol", "MeasuredVariant", "Measurement", "check_device", "measure_latency", "measurement_key"]

_LEAST_SAMPLE_S = 1e-3
_NO_LEAD_IN_S = 0.1

Shape = tuple[int, ...]


class Measurement(Config):
    """One variant measured under one protocol; times are milliseconds per call and None where there are none.

    `low_ms` and `high_ms` bound the median with the protocol's confidence.
    """

    name: str
    model_key: str | None  # of the config; None for a module without one
    input_shape: tuple[int, ...]
    device: str
    device_name: str
    protocol: LatencyProtocol
    status: Literal["measured", "not measured", "does not fit"]
    reason: str = ""
    latency_ms: float | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    p5_ms: float | None = None
    p95_ms: float | None = None
    n: int = 0
    calls_per_sample: int = 1
    environment: Environment | None = None

    @property
    def key(self) -> str | None:
        """What `measurement_key` gives for this measurement, under which it can be stored; None for a module without a
        config.
        """
        return (
            None if self.model_key is None else _key(self.model_key, self.input_shape, self.device_name, self.protocol)
        )

    @property
    def latency_device(self) -> str:
        """The device as a table shows it."""
        return _title(self.device, self.device_name, self.protocol)

    @property
    def relative_width(self) -> float | None:
        """Width of the median's interval as a fraction of the median."""
        if self.latency_ms is None or self.low_ms is None or self.high_ms is None:
            return None
        return (self.high_ms - self.low_ms) / self.latency_ms


def measurement_key(config: Config, input_shape: Shape, device: str, protocol: LatencyProtocol) -> str:
    """Return the SHA-256 that two measurements share where config, input, device and protocol are the same."""
    return _key(key_of(config), input_shape, device_title(str(check_device(device))), protocol)


def check_device(device: str) -> torch.device:
    """Return the device of a name; `auto` is a GPU where there is one.

    Raises:
        ValueError: there is no such device on this machine.
    """
    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    named = "cuda" if device == "auto" and len(there) > 1 else "cpu" if device == "auto" else device
    named = "cuda:0" if named == "cuda" else named
    if named not in there:
        raise ValueError(f"device: {device!r} is not allowed; on this machine: auto, {', '.join(there)}")
    return torch.device(named)


def measure_latency(
    models: Mapping[str, ModelConfig | nn.Module],
    protocol: LatencyProtocol | None = None,
    *,
    input_shape: Shape | Mapping[str, Shape],
    device: str = "cpu",
    clock: Callable[[], float] = time.perf_counter,
) -> list[Measurement]:
    """Measure all models under one protocol, interleaved, each on inputs of its shape (C, H, W); one row per model, in
    order.

    Models are copied or built anew, and left as they were.

    Args:
        models: configs or modules by name.
        protocol: what is timed and when timing ends; the default is eager float32 inference of batch 1.
        input_shape: one shape for all, or one by name.
        device: `auto`, `cpu`, `cuda` or `cuda:i`.
        clock: seconds, monotonic; the time of CPU samples and of the budget.

    Raises:
        ValueError: the device is not there, or a model cannot take its input.
    """
    protocol = protocol or LatencyProtocol()
    where = check_device(device)
    shapes = {name: tuple(input_shape[name] if isinstance(input_shape, Mapping) else input_shape) for name in models}
    rows = {name: _row(name, model, shapes[name], where, protocol) for name, model in models.items()}
    impossible = protocol.unavailable_on(where.type)
    if impossible is not None:
        return [row.replace(status="not measured", reason=impossible) for row in rows.values()]
    if where.type == "cpu":
        keep_freed_memory()
    with numerics(protocol), _on(where):
        variants: dict[str, MeasuredVariant] = {}
        for name, model in models.items():
            try:
                variants[name] = MeasuredVariant(model, shapes[name], protocol, where, clock)
            except DoesNotFitError as problem:
                rows[name] = rows[name].replace(status="does not fit", reason=str(problem))
            except _RefusedError as problem:
                rows[name] = rows[name].replace(status="not measured", reason=str(problem))
        stopping = Stopping(
            relative_width=protocol.relative_width,
            confidence=protocol.confidence,
            min_samples=protocol.min_samples,
            time_budget_s=protocol.time_budget_s,
        )
        order = random.Random(protocol.seed)
        timed = time_in_rounds(
            {name: variant.sample for name, variant in variants.items()}, stopping, order=order, clock=clock
        )
        environment = read_environment(str(where))  # right after the load, so that clocks are those under load
        for name, samples in timed.items():
            if isinstance(samples, DoesNotFitError):
                rows[name] = rows[name].replace(status="does not fit", reason=str(samples), environment=environment)
                continue
            summary = summarise([1e3 * seconds for seconds in samples], protocol.confidence)
            rows[name] = rows[name].replace(
                latency_ms=summary.median,
                low_ms=summary.low,
                high_ms=summary.high,
                p5_ms=summary.p5,
                p95_ms=summary.p95,
                n=summary.n,
                calls_per_sample=variants[name].calls,
                environment=environment,
            )
    return list(rows.values())


class _RefusedError(ValueError):
    """A network or a compiler that does not take part in this protocol."""


class MeasuredVariant:
    """One model, warmed up, whose `sample` is the seconds of one call."""

    def __init__(
        self,
        model: ModelConfig | nn.Module,
        shape: Shape,
        protocol: LatencyProtocol,
        device: torch.device,
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._device = device
        with out_of_memory_as_does_not_fit():
            copied = (
                real_copy(model, torch.device("cpu")) if isinstance(model, nn.Module) else _built(model, protocol.seed)
            )
            try:
                if device.type == "cpu":
                    _need_memory(copied, shape, protocol)
                self._call = build_call(copied, shape, protocol, device)
                seconds = warm_up(self._settled, seconds=protocol.warm_up_s, clock=clock)
            except torch._dynamo.exc.TorchDynamoException as error:
                raise _RefusedError(f"torch.compile: {_first_line(error)}") from None
            except ValueError as error:
                # Torch's message where batch norm in training gets one value per channel.
                if protocol.mode == "training" and "more than 1 value per channel" in str(error):
                    raise _RefusedError(_first_line(error)) from None
                raise
        self.calls = calls_per_sample(seconds, _LEAST_SAMPLE_S)
        self._leads_in = seconds < _NO_LEAD_IN_S
        if device.type == "cuda":
            self._start, self._end = _event(), _event()

    def sample(self) -> float:
        """Return the seconds of one call, the mean over as many as a sample needs."""
        try:
            with out_of_memory_as_does_not_fit():
                if self._leads_in:
                    self._settled()
                return (self._on_stream() if self._device.type == "cuda" else self._on_clock()) / self.calls
        except DoesNotFitError:
            del self._call  # with its model and inputs, to free their memory for the others
            raise

    def _settled(self) -> None:
        self._call()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _on_clock(self) -> float:
        start = self._clock()
        for _ in range(self.calls):
            self._call()
        return self._clock() - start

    def _on_stream(self) -> float:
        self._start.record()
        for _ in range(self.calls):
            self._call()
        self._end.record()
        self._end.synchronize()
        return float(self._start.elapsed_time(self._end)) / 1e3


def _row(
    name: str, model: ModelConfig | nn.Module, shape: Shape, device: torch.device, protocol: LatencyProtocol
) -> Measurement:
    return Measurement(
        name=name,
        model_key=None if isinstance(model, nn.Module) else key_of(model),
        input_shape=shape,
        device=str(device),
        device_name=device_title(str(device)),
        protocol=protocol,
        status="measured",
    )


def _key(model_key: str, input_shape: Shape, device_name: str, protocol: LatencyProtocol) -> str:
    return key_of([model_key, list(input_shape), device_name, protocol.key])


def _title(device: str, device_name: str, protocol: LatencyProtocol) -> str:
    if device != "cpu":
        return device_name
    return f"{device_name}, {protocol.num_threads} thread{'s' if protocol.num_threads > 1 else ''}"


def _built(config: ModelConfig, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(config)


def _need_memory(model: nn.Module, shape: Shape, protocol: LatencyProtocol) -> None:
    """Check that a model fits into a CPU's memory before it runs: a system that overcommits memory would kill the
    process.
    """
    needed, there = predict_memory(model, shape, protocol), available_memory("cpu")
    if there is not None and needed > there:
        raise DoesNotFitError(f"needs about {needed / 2**30:.1f} GiB, {there / 2**30:.1f} GiB are free")


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)


def _on(device: torch.device) -> contextlib.AbstractContextManager[object]:
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
