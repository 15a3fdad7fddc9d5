"""The roofline against a machine of known rates, and its figures against the data drawn."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest
from torch import Tensor, nn

from xception.network import presets
from xception.network.model import build
from xception.profile.plots import plot_macs_against_latency, plot_roofline
from xception.profile.protocol import LatencyProtocol
from xception.profile.roofline import NETWORK, Ceilings, measure_ceilings, roofline, time_by_kind

QUICK = LatencyProtocol(warm_up_s=0.0, time_budget_s=0.0)
KNOWN = Ceilings(device_name="a machine", macs_per_second=1e9, bytes_per_second=1e9)


@pytest.fixture(scope="module")
def frame() -> Iterator[pd.DataFrame]:
    """A real network on this machine, measured with few inputs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xception.profile.workload._CPU_CACHE_BYTES", 1)
        yield roofline({"cifar_tiny": build(presets.get("cifar_tiny"))}, KNOWN, QUICK, input_shape=(3, 32, 32))


class FakeClock:
    """Every call of a layer takes its `seconds`."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Slow(nn.Linear):
    def __init__(self, clock: FakeClock, seconds: float) -> None:
        super().__init__(100, 100, bias=False)
        self.clock = (clock,)
        self.seconds = seconds

    def __deepcopy__(self, memo: dict[int, object]) -> Slow:
        copied = Slow(self.clock[0], self.seconds)
        copied.weight = memo.get(id(self.weight), copied.weight)  # type: ignore[assignment]
        return copied

    def extra_repr(self) -> str:
        return str(self.seconds)

    def forward(self, x: Tensor) -> Tensor:
        self.clock[0].now += self.seconds
        return super().forward(x)


def frame_of_known_costs() -> pd.DataFrame:
    clock = FakeClock()
    model = nn.Sequential(Slow(clock, 0.002), nn.Identity(), Slow(clock, 0.006))
    return roofline({"two": model}, KNOWN, QUICK.replace(batch_size=50), input_shape=(100,), clock=clock)


def test_shares_are_those_of_a_machine_of_known_rates() -> None:
    frame = frame_of_known_costs()
    assert list(frame["layer"]) == ["", "0", "2"]
    assert list(frame["kind"]) == [NETWORK, "linear", "linear"]
    macs, moved = 50 * 100 * 100, 50 * 4 * (100 + 100 + 100 * 100)
    assert list(frame["macs"]) == [2 * macs, macs, macs]
    assert list(frame["bytes_moved"]) == [2 * moved, moved, moved]
    assert frame["latency_ms"].to_list() == pytest.approx([8.0, 2.0, 6.0])
    least = max(macs, moved) / 1e9
    assert frame["attainable_ms"].to_list() == pytest.approx([2e3 * least, 1e3 * least, 1e3 * least])
    assert frame["share"].to_list() == pytest.approx([2 * least / 0.008, least / 0.002, least / 0.006])
    assert list(frame["bound"]) == ["memory"] * 3
    assert frame["intensity"].to_list() == pytest.approx([macs / moved] * 3)


def test_kinds_add_up_to_the_layers() -> None:
    kinds = time_by_kind(frame_of_known_costs())
    assert list(kinds["kind"]) == ["linear"]
    assert kinds["layers"].to_list() == [2]
    assert kinds["latency_ms"].to_list() == pytest.approx([8.0])
    assert kinds["share_of_macs"].to_list() == kinds["share_of_time"].to_list() == [1.0]


def test_the_ridge_parts_memory_from_compute() -> None:
    ceilings = Ceilings(device_name="a machine", macs_per_second=8e9, bytes_per_second=2e9)
    assert ceilings.ridge == 4.0
    assert ceilings.attainable_seconds(8e9, 1e9) == 1.0
    assert ceilings.attainable_seconds(1e9, 2e9) == 1.0


def test_ceilings_are_rates_of_the_work_that_was_done() -> None:
    ceilings = measure_ceilings(QUICK, size=64)
    assert ceilings.macs_per_second > 0
    assert ceilings.bytes_per_second > 0
    assert ceilings.device_name


def test_a_real_network_has_a_row_per_layer_and_one_for_itself(frame: pd.DataFrame) -> None:
    layers = frame[frame["kind"] != NETWORK]
    whole = frame[frame["kind"] == NETWORK].iloc[0]
    assert layers["macs"].sum() == whole["macs"]
    assert layers["bytes_moved"].sum() <= whole["bytes_moved"]  # sums of branches are operators, not layers
    assert frame["share"].notna().all()
    assert {"depthwise", "pointwise", "norm", "activation", "linear"} <= set(frame["kind"])


@pytest.mark.parametrize("change", [{"mode": "training"}, {"execution": "compiled"}])
def test_layers_run_one_by_one_in_eager_inference_alone(change: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="inference eager"):
        roofline({"a": nn.Linear(4, 4)}, KNOWN, QUICK.replace(**change), input_shape=(4,))


def boxes(figure: object) -> list[tuple[str, object]]:
    from matplotlib.figure import Figure

    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    return [
        (text.get_text(), text.get_window_extent()) for axes in figure.axes for text in axes.texts if text.get_text()
    ]


def test_the_roofline_names_axes_with_units_and_covers_no_label(frame: pd.DataFrame) -> None:
    figure = plot_roofline(frame, KNOWN)
    axes = figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert "MACs per byte" in axes.get_xlabel()
    assert "MACs per second" in axes.get_ylabel()
    drawn = boxes(figure)
    assert len(drawn) == 2
    assert not drawn[0][1].overlaps(drawn[1][1])  # type: ignore[attr-defined]


def latencies(names: list[str], device: str = "a CPU, 1 thread") -> pd.DataFrame:
    rows = [
        {"name": name, "macs": 1e6 * 1.1**i, "latency_ms": 1 + 0.02 * i, "n": 20 + i} for i, name in enumerate(names)
    ]
    return pd.DataFrame(rows).assign(low_ms=0.9, high_ms=2.0, latency_device=device)


def test_labels_of_macs_against_latency_do_not_overlap() -> None:
    figure = plot_macs_against_latency(latencies([f"network number {i}" for i in range(8)]))
    drawn = boxes(figure)
    assert sum(text.startswith("network") for text, _ in drawn) >= 6
    for i, (_, a) in enumerate(drawn):
        assert not any(a.overlaps(b) for _, b in drawn[i + 1 :])  # type: ignore[attr-defined]
    assert "ms" in figure.axes[0].get_ylabel()
    assert "MACs" in figure.axes[0].get_xlabel()


def test_each_device_has_a_panel_and_what_was_not_measured_has_no_point() -> None:
    frame = pd.concat([latencies(["a", "b"]), latencies(["a", "c"], "a GPU")], ignore_index=True)
    frame.loc[3, "latency_ms"] = float("nan")
    figure = plot_macs_against_latency(frame)
    assert [axes.get_title().splitlines()[0] for axes in figure.axes] == ["a CPU, 1 thread", "a GPU"]
    assert [text for text, _ in boxes(figure) if text in "abc"] == ["a", "b", "a"]


@pytest.mark.parametrize("plot", [plot_macs_against_latency, lambda frame: plot_roofline(frame, KNOWN)])
def test_a_frame_without_times_has_no_figure(plot: object) -> None:
    assert callable(plot)
    frame = latencies(["a"]).assign(latency_ms=float("nan"), kind=NETWORK, network="a")
    with pytest.raises(ValueError, match="frame"):
        plot(frame)


@pytest.mark.gpu
def test_cuda_ceilings_are_those_of_a_gpu() -> None:
    ceilings = measure_ceilings(LatencyProtocol(precision="bfloat16", time_budget_s=5.0), device="cuda")
    assert ceilings.macs_per_second > 5e12
    assert ceilings.bytes_per_second > 1e11
    frame = roofline(
        {"cifar_small": build(presets.get("cifar_small"))},
        ceilings,
        QUICK.replace(batch_size=64, precision="bfloat16"),
        input_shape=(3, 32, 32),
        device="cuda",
    )
    assert frame["share"].between(0, 2).all()
