"""Peak memory against cases worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xception.network import presets
from xception.network.model import build
from xception.profile.latency import LatencyProtocol
from xception.profile.memory import measure_memory, predict_memory

FLOAT = 4
CHAIN = (1000, 600, 10)
WEIGHTS = 1000 * 600 + 600 + 600 * 10 + 10


def chain() -> nn.Sequential:
    return nn.Sequential(nn.Linear(1000, 600), nn.ReLU(), nn.Linear(600, 10))


def both(model: nn.Module, shape: tuple[int, ...], protocol: LatencyProtocol) -> set[int]:
    """The peak as measured and as predicted without allocating."""
    measured = measure_memory(model, shape, protocol)
    assert measured.method == "tensors alive"
    return {measured.peak_bytes, predict_memory(model, shape, protocol)}


def test_inference_holds_weights_input_and_the_two_largest_neighbours() -> None:
    batch = 64
    # While ReLU runs: the input, its own input and its output.
    assert both(chain(), (1000,), LatencyProtocol(batch_size=batch)) == {FLOAT * (WEIGHTS + batch * (1000 + 600 + 600))}
    assert measure_memory(chain(), (1000,), LatencyProtocol()).model_bytes == FLOAT * WEIGHTS


def test_half_precision_takes_half() -> None:
    full, half = (
        measure_memory(chain(), (1000,), LatencyProtocol(batch_size=8, precision=p)).peak_bytes
        for p in ("float32", "bfloat16")
    )
    assert 2 * half == full


class Bends(nn.Module):
    """One weight, one multiplication: the tensors that training keeps are countable by hand."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


def test_training_holds_gradients_momentum_and_what_backward_needs() -> None:
    size = 100_000
    peak = measure_memory(Bends(size), (size,), LatencyProtocol(mode="training")).peak_bytes
    # Always there: weight, momentum and input. At the peak, in the backward pass of the softmax, also:
    # log-probabilities, their gradient and that of the product. The product itself has been freed, since neither
    # softmax nor the multiplication needs it. Label and losses: a few bytes.
    assert 0 <= peak - 6 * FLOAT * size < 64
    assert peak > measure_memory(Bends(size), (size,), LatencyProtocol()).peak_bytes


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_prediction_is_what_is_measured(mode: Any) -> None:
    model = build(presets.get("cifar_tiny"))
    protocol = LatencyProtocol(mode=mode, batch_size=4)
    peak = measure_memory(model, (3, 32, 32), protocol).peak_bytes
    assert predict_memory(model, (3, 32, 32), protocol) == pytest.approx(peak, rel=0.02)


def test_memory_grows_with_the_batch_by_the_activations_alone() -> None:
    peaks = [measure_memory(chain(), (1000,), LatencyProtocol(batch_size=n)).peak_bytes for n in (10, 20, 30)]
    assert peaks[1] - peaks[0] == peaks[2] - peaks[1] == FLOAT * 10 * (1000 + 600 + 600)


def test_the_model_is_left_as_it_was() -> None:
    model = build(presets.get("cifar_tiny")).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measure_memory(model, (3, 32, 32), LatencyProtocol(mode="training", batch_size=2))
    predict_memory(model, (3, 32, 32), LatencyProtocol(mode="training", batch_size=2))
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_only_eager_calls_allocate_as_they_go() -> None:
    with pytest.raises(ValueError, match=r"LatencyProtocol.execution: 'compiled' is not allowed"):
        measure_memory(chain(), (1000,), LatencyProtocol(execution="compiled"))


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_cuda_peak_is_at_least_that_of_the_tensors(mode: Any) -> None:
    model = build(presets.get("cifar_small"))
    protocol = LatencyProtocol(mode=mode, batch_size=64)
    before = torch.cuda.memory_allocated()
    measured = measure_memory(model, (3, 32, 32), protocol, device="cuda")
    assert measured.method == "CUDA allocator"
    assert measured.peak_bytes >= 0.9 * predict_memory(model, (3, 32, 32), protocol)
    assert torch.cuda.memory_allocated() == before
