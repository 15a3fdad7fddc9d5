"""Latency against models of known cost on a fake clock, what cannot be measured, and that the model is unchanged.

One module, since all tests share the fake clock and the models of known cost.
"""

from __future__ import annotations

import inspect
import time
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xception.base.canonical import from_plain, to_plain
from xception.network import presets
from xception.profile import latency
from xception.profile.environment import read_environment
from xception.profile.latency import Measurement, check_device, measure_latency, measurement_key
from xception.profile.protocol import LatencyProtocol, protocols
from xception.profile.workload import build_call, numerics

QUICK = LatencyProtocol(warm_up_s=0.0, time_budget_s=0.0)
SHAPE = (3, 32, 32)


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


CLOCK = FakeClock()


class Sleeper(nn.Module):
    """Passes its input on after a sleep of known length, on the fake clock, `repeats` times."""

    def __init__(self, seconds: float, repeats: int = 1) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.seconds = seconds
        self.repeats = repeats

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.repeats):
            x = self.layer(x)
            CLOCK.now += self.seconds
        return x


def measured(models: dict[str, Any], protocol: LatencyProtocol = QUICK) -> dict[str, Measurement]:
    return {row.name: row for row in measure_latency(models, protocol, input_shape=(4,), clock=CLOCK)}


def test_a_sleep_of_known_length_is_measured_as_such() -> None:
    row = measured({"a": Sleeper(0.005)})["a"]
    assert row.status == "measured"
    for value in (row.latency_ms, row.low_ms, row.high_ms, row.p5_ms, row.p95_ms):
        assert value == pytest.approx(5.0)
    assert (row.n, row.calls_per_sample) == (20, 1)


def test_an_operator_repeated_k_times_takes_k_times_as_long() -> None:
    rows = measured({str(k): Sleeper(0.002, k) for k in (1, 2, 5, 10)})
    assert {k: row.latency_ms for k, row in rows.items()} == {k: pytest.approx(2.0 * int(k)) for k in rows}


def test_short_calls_are_made_several_times_a_sample_and_counted_once() -> None:
    row = measured({"a": Sleeper(2.0**-13)})["a"]  # 0.12 ms, exact on a binary clock
    assert row.calls_per_sample == 9
    assert row.latency_ms == pytest.approx(1e3 * 2.0**-13)


def test_warm_up_is_not_in_the_samples() -> None:
    class Warming(Sleeper):
        """Slow for the first three calls, as if memory were allocated and algorithms chosen."""

        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            CLOCK.now += 1.0 if self.calls <= 3 else 0.0
            return super().forward(x)

    row = measured({"a": Warming(0.002)})["a"]
    assert row.p95_ms == pytest.approx(2.0)


def test_rows_keep_their_order_and_say_what_was_measured() -> None:
    rows = measure_latency({"b": Sleeper(0.002), "a": Sleeper(0.001)}, QUICK, input_shape=(4,), clock=CLOCK)
    assert [row.name for row in rows] == ["b", "a"]
    environment = rows[0].environment
    assert environment is not None
    assert (environment.device, environment.num_threads, environment.torch) == ("cpu", 1, torch.__version__)
    assert rows[0].latency_device.endswith("1 thread")
    assert rows[0].model_key is None
    assert rows[0].key is None


def test_a_real_network_on_a_real_clock() -> None:
    configs = {name: presets.get(name) for name in ("cifar_tiny", "cifar_small")}
    rows = measure_latency(configs, QUICK, input_shape=SHAPE)
    for row in rows:
        assert row.latency_ms is not None
        assert row.low_ms is not None
        assert row.high_ms is not None
        assert row.p5_ms is not None
        assert row.p95_ms is not None
        assert 0 < row.p5_ms <= row.latency_ms <= row.p95_ms
        assert row.low_ms <= row.latency_ms <= row.high_ms
        assert row.n >= 20
        assert row.key == measurement_key(configs[row.name], SHAPE, "cpu", QUICK)


def test_a_measurement_survives_being_stored() -> None:
    row = measured({"a": Sleeper(0.002)})["a"]
    assert from_plain(Measurement, to_plain(row)) == row


def test_keys_change_with_config_input_device_and_protocol_alone() -> None:
    tiny, small = presets.get("cifar_tiny"), presets.get("cifar_small")
    key = measurement_key(tiny, SHAPE, "cpu", QUICK)
    others = [
        measurement_key(small, SHAPE, "cpu", QUICK),
        measurement_key(tiny, (3, 64, 64), "cpu", QUICK),
        measurement_key(tiny, SHAPE, "cpu", QUICK.replace(batch_size=2)),
    ]
    assert key == measurement_key(presets.get("cifar_tiny"), SHAPE, "cpu", QUICK.replace())
    assert len({key, *others}) == 4
    row = measure_latency({"a": tiny, "b": small}, QUICK.replace(precision="tf32"), input_shape=SHAPE)[0]
    assert row.key == measurement_key(tiny, SHAPE, "cpu", QUICK.replace(precision="tf32"))
    assert row.key != row.replace(device_name="another CPU").key


CHANGES: dict[str, Any] = {
    "mode": "training",
    "batch_size": 2,
    "precision": "bfloat16",
    "memory_format": "nchw",
    "execution": "compiled",
    "num_threads": 2,
    "relative_width": 0.1,
    "confidence": 0.9,
    "min_samples": 30,
    "time_budget_s": 1.0,
    "warm_up_s": 1.0,
    "seed": 1,
}


def test_every_field_of_the_protocol_changes_its_key() -> None:
    assert set(CHANGES) == set(LatencyProtocol.__dataclass_fields__)
    keys = {LatencyProtocol().replace(**{name: value}).key for name, value in CHANGES.items()}
    assert len(keys | {LatencyProtocol().key}) == len(CHANGES) + 1


def test_a_change_of_meaning_changes_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = presets.get("cifar_tiny")
    before = measurement_key(tiny, SHAPE, "cpu", QUICK)
    monkeypatch.setattr("xception.profile.protocol._SEMANTICS", 1_000)
    assert measurement_key(tiny, SHAPE, "cpu", QUICK) != before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch_size", 0),
        ("batch_size", 1.5),
        ("num_threads", 0),
        ("min_samples", 19),
        ("relative_width", -0.1),
        ("time_budget_s", -1.0),
        ("confidence", 1.0),
        ("confidence", 0.2),
        ("precision", "int8"),
        ("mode", "sleep"),
        ("seed", -1),
        ("warm_up_s", -1.0),
    ],
)
def test_impossible_protocols_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"LatencyProtocol.{field}"):
        LatencyProtocol().replace(**{field: value})


def test_the_grid_of_protocols_is_complete() -> None:
    grid = protocols(QUICK, modes=("inference", "training"), batch_sizes=(1, 4), executions=("eager", "compiled"))
    assert len({p.key for p in grid}) == len(grid) == 8


@pytest.mark.parametrize(
    ("change", "word"), [({"precision": "tf32"}, "TF32"), ({"execution": "cuda_graph"}, "CUDA graphs")]
)
def test_what_a_cpu_does_not_offer_is_not_measured(change: dict[str, Any], word: str) -> None:
    row = measured({"a": Sleeper(0.001)}, QUICK.replace(**change))["a"]
    assert row.status == "not measured"
    assert word in row.reason
    assert row.latency_ms is None
    assert row.p5_ms is None
    assert row.environment is None
    assert row.n == 0


def test_a_batch_that_does_not_fit_is_told_and_the_rest_goes_on() -> None:
    class Wide(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.expand(2**42, -1).exp()

    rows = measured({"wide": Wide(), "narrow": Sleeper(0.001)})
    assert rows["wide"].status == "does not fit"
    assert "GiB" in rows["wide"].reason
    assert rows["wide"].latency_ms is None
    assert rows["narrow"].status == "measured"


ON_CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
ON_CPU = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")


@pytest.mark.parametrize("error", [ON_CUDA, ON_CPU, MemoryError()], ids=["cuda", "cpu", "python"])
def test_running_out_during_the_rounds_is_told_and_the_rest_goes_on(error: Exception) -> None:
    class Growing(Sleeper):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += not x.is_meta
            if self.calls > 12:
                raise error
            return super().forward(x)

    rows = measured({"growing": Growing(0.002), "steady": Sleeper(0.002)})
    assert rows["growing"].status == "does not fit"
    assert rows["growing"].latency_ms is None
    assert rows["steady"].latency_ms == pytest.approx(2.0)


def test_other_errors_of_a_model_are_its_own() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("broken by its author")

    with pytest.raises(RuntimeError, match="broken by its author"):
        measured({"a": Broken()})


def test_a_network_that_refuses_the_batch_in_training_is_not_measured() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    row = measured({"a": model}, QUICK.replace(mode="training"))["a"]
    assert row.status == "not measured"
    assert "more than 1 value per channel" in row.reason


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_the_model_is_left_as_it_was(mode: Any) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 3))
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measure_latency({"a": model}, QUICK.replace(mode=mode, batch_size=2), input_shape=(3, 8, 8))
    assert [m.training for m in model.modules()] == [True, True, False, True, True]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_global_settings_are_left_as_they_were_even_after_an_exception() -> None:
    def settings() -> tuple[Any, ...]:
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        return (
            torch.get_num_threads(),
            matmul.allow_tf32,
            cudnn.allow_tf32,
            cudnn.benchmark,
            torch.get_rng_state().tolist(),
        )

    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise KeyError("broken")

    sleeper, broken = Sleeper(0.001), Broken()
    before = settings()
    with pytest.raises(KeyError):
        measured({"a": broken}, QUICK.replace(num_threads=2))
    measured({"a": sleeper}, QUICK.replace(num_threads=2))
    measure_latency({"a": presets.get("cifar_tiny")}, QUICK, input_shape=SHAPE, clock=CLOCK_THAT_RUNS)
    assert settings() == before


@pytest.mark.parametrize("legacy", [False, True])
def test_float32_products_are_exact_unless_tf32_is_asked_for(legacy: bool) -> None:
    """Both of torch's settings agree inside the block, and the previous ones are restored after it."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = legacy
    try:
        for precision in ("float32", "tf32"):
            with numerics(QUICK.replace(precision=precision)):
                tf32 = precision == "tf32"
                assert torch.backends.cuda.matmul.allow_tf32 == torch.backends.cudnn.allow_tf32 == tf32
                assert (torch.get_float32_matmul_precision() == "highest") == (not tf32)
        assert torch.backends.cuda.matmul.allow_tf32 == legacy
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _running() -> float:
    CLOCK.now += 0.01
    return CLOCK.now


CLOCK_THAT_RUNS = _running


def test_threads_are_those_of_the_protocol_while_measuring() -> None:
    seen: set[int] = set()

    class Looks(Sleeper):
        def forward(self, x: Tensor) -> Tensor:
            seen.add(torch.get_num_threads())
            return super().forward(x)

    row = measured({"a": Looks(0.001)}, QUICK.replace(num_threads=2))["a"]
    assert seen == {2}
    assert row.environment is not None
    assert row.environment.num_threads == 2
    assert row.latency_device.endswith("2 threads")


def test_inputs_are_rotated_and_larger_than_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xception.profile.workload._CPU_CACHE_BYTES", 1000)
    seen: list[int] = []

    class Looks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.data_ptr())
            return x

    call = build_call(Looks(), (4,), QUICK, torch.device("cpu"))  # inputs of 16 bytes
    for _ in range(300):
        call()
    assert len(set(seen)) * 16 >= 2 * 1000
    assert len(set(seen[: len(set(seen))])) == len(set(seen))  # each has its turn before the first comes again


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16), ("float16", torch.float16)]
)
@pytest.mark.parametrize("memory_format", ["nchw", "channels_last"])
def test_inference_runs_in_the_precision_and_layout_asked_for(
    precision: Any, dtype: torch.dtype, memory_format: Any
) -> None:
    seen: list[tuple[torch.dtype, bool, bool, bool]] = []

    class Looks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            is_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
            seen.append((self.layer.weight.dtype, is_last, self.training, torch.is_grad_enabled()))
            out: Tensor = self.layer(x)
            assert out.dtype == dtype
            return out

    protocol = QUICK.replace(precision=precision, memory_format=memory_format)
    with numerics(protocol):
        build_call(Looks(), (3, 8, 8), protocol, torch.device("cpu"))()
    assert seen == [(dtype, memory_format == "channels_last", False, False)]


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16), ("float16", torch.float16)]
)
def test_a_training_step_updates_float32_weights(precision: Any, dtype: torch.dtype) -> None:
    seen: set[torch.dtype] = set()
    layer = nn.Linear(48, 5)
    model = nn.Sequential(nn.Flatten(), layer)
    layer.register_forward_hook(lambda _m, _i, output: seen.add(output.dtype))
    before = layer.weight.detach().clone()
    build_call(
        model, (3, 4, 4), QUICK.replace(mode="training", precision=precision, batch_size=4), torch.device("cpu")
    )()
    assert seen == {dtype}
    assert layer.weight.dtype == torch.float32
    assert not torch.equal(layer.weight, before)


@pytest.mark.long
def test_compiled_networks_are_measured_each_with_a_program_of_its_own() -> None:
    """More networks of one class than torch.compile keeps programs for one function: none may fall back to eager."""
    models = {str(width): nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 4)) for width in range(2, 12)}
    rows = measure_latency(models, QUICK.replace(execution="compiled"), input_shape=(4,))
    assert {row.status for row in rows} == {"measured"}


def test_what_cannot_be_compiled_whole_is_not_measured() -> None:
    class Breaks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            torch._dynamo.graph_break()
            return x

    row = measured({"a": Breaks()}, QUICK.replace(execution="compiled"))["a"]
    assert row.status == "not measured"
    assert "torch.compile" in row.reason


def test_devices_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert check_device("auto") == check_device("cpu") == torch.device("cpu")
    for name in ("cuda", "cuda:9", "tpu", "", "cpu:x"):
        with pytest.raises(ValueError, match=r"on this machine: auto, cpu"):
            check_device(name)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert check_device("auto") == check_device("cuda") == torch.device("cuda:0")
    assert check_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ValueError, match="cuda:1"):
        check_device("cuda:9")


def test_the_environment_is_what_python_and_torch_say() -> None:
    environment = read_environment("cpu")
    assert environment.torch == torch.__version__
    assert environment.num_threads == torch.get_num_threads()
    assert environment.device_name == environment.cpu != ""
    assert environment.driver is None
    assert environment.cuda is None
    assert environment.gpu_clock_mhz is None
    assert from_plain(type(environment), to_plain(environment)) == environment


GPU = LatencyProtocol(warm_up_s=0.1, time_budget_s=2.0)


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16", "float16"])
@pytest.mark.parametrize("execution", ["eager", "cuda_graph"])
def test_cuda_measures_every_combination(mode: Any, precision: Any, execution: Any) -> None:
    for memory_format in ("nchw", "channels_last"):
        protocol = GPU.replace(
            mode=mode, precision=precision, execution=execution, memory_format=memory_format, batch_size=4
        )
        row = measure_latency({"a": presets.get("cifar_tiny")}, protocol, input_shape=SHAPE, device="cuda")[0]
        assert row.status == "measured", row.reason
        assert row.latency_ms is not None
        assert row.latency_ms > 0
        environment = row.environment
        assert environment is not None
        assert environment.driver is not None
        assert environment.cuda == torch.version.cuda


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_cuda_measures_compiled_networks(mode: Any) -> None:
    protocol = GPU.replace(mode=mode, execution="compiled", batch_size=4)
    row = measure_latency({"a": presets.get("cifar_tiny")}, protocol, input_shape=SHAPE, device="cuda")[0]
    assert row.status == "measured", row.reason


class Products(nn.Module):
    """Matrix products one after the other: the device's time, long relative to a launch."""

    def __init__(self, repeats: int) -> None:
        super().__init__()
        self.layer = nn.Linear(4096, 4096, bias=False)
        self.repeats = repeats

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.repeats):
            x = self.layer(x)
        return x


@pytest.mark.gpu
def test_cuda_time_grows_with_the_work_and_not_with_the_launches() -> None:
    models = {str(k): Products(k) for k in (4, 8, 16)}
    rows = {
        row.name: row
        for row in measure_latency(models, GPU.replace(batch_size=4096), input_shape=(4096,), device="cuda")
    }
    times = [rows[k].latency_ms or 0.0 for k in ("4", "8", "16")]
    assert times[1] / times[0] == pytest.approx(2, rel=0.15)
    assert times[2] / times[1] == pytest.approx(2, rel=0.15)


@pytest.mark.gpu
def test_cuda_does_not_synchronise_inside_the_timed_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call between two events runs in a mode in which torch raises on a synchronisation."""
    plain = latency.MeasuredVariant._on_stream

    def watched(self: Any) -> float:
        call = self._call

        def strict() -> object:
            torch.cuda.set_sync_debug_mode("error")
            try:
                return call()
            finally:
                torch.cuda.set_sync_debug_mode("default")

        self._call = strict
        try:
            return plain(self)
        finally:
            self._call = call

    monkeypatch.setattr(latency.MeasuredVariant, "_on_stream", watched)
    for mode in ("inference", "training"):
        for precision in ("float32", "float16"):
            protocol = GPU.replace(mode=mode, precision=precision, batch_size=4)
            row = measure_latency({"a": presets.get("cifar_tiny")}, protocol, input_shape=SHAPE, device="cuda")[0]
            assert row.status == "measured", row.reason


@pytest.mark.gpu
def test_cuda_tells_a_batch_that_does_not_fit_and_goes_on() -> None:
    free = torch.cuda.mem_get_info()[0]

    class Greedy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.empty(2 * free, dtype=torch.uint8, device=x.device)

    rows = measure_latency(
        {"greedy": Greedy(), "tiny": presets.get("cifar_tiny")}, GPU, input_shape=SHAPE, device="cuda"
    )
    assert [row.status for row in rows] == ["does not fit", "measured"]


@pytest.mark.gpu
def test_a_graph_replays_the_network() -> None:
    """The graph computes the same as the eager network on the same input."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)).eval()
    protocol = GPU.replace(execution="cuda_graph", batch_size=2)
    device = torch.device("cuda")
    with numerics(protocol), torch.no_grad():
        call = build_call(model, (3, 8, 8), protocol, device, num_inputs=1)
        output = call()
        generator = torch.Generator(device).manual_seed(protocol.seed)
        expected = model(torch.randn((2, 3, 8, 8), generator=generator, device=device))
    assert isinstance(output, Tensor)
    torch.testing.assert_close(output.clone(), expected)


def test_the_default_clock_is_monotonic() -> None:
    assert inspect.signature(measure_latency).parameters["clock"].default is time.perf_counter
