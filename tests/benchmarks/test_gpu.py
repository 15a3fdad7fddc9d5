"""What is compared on a GPU, and the output without one."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import Turn


def test_without_a_gpu_nothing_is_measured_which_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 0
    assert capsys.readouterr().out == "no CUDA device: not measured\n"
    assert gpu.main(["--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ratios"] == {}
    assert document["note"] == "no CUDA device: not measured"


def test_ratios_are_within_rounds_and_of_the_best_number_of_seeds() -> None:
    rates = {
        "one trial": 6.0,
        "4 seeds as one": 12.0,
        "16 seeds as one": 9.0,
        "one trial, no CUDA graph": 2.0,
        "timm": 1.0,
    }
    slowness = (1.0, 0.5, 1.0)
    turns = {
        name: [Turn(images_per_second=rate * slow, set_up_seconds=1.0) for slow in slowness]
        for name, rate in rates.items()
    }
    found = gpu.ratios(turns)
    assert {name: ratio["median"] for name, ratio in found.items()} == {
        "timm": 6.0,
        "timm_seeds": 12.0,
        "one trial, no CUDA graph": 3.0,
        "4 seeds as one": 2.0,
        "16 seeds as one": 1.5,
    }
    assert all(ratio["low"] == ratio["high"] for ratio in found.values())


def test_every_number_of_seeds_and_every_quick_way_has_an_entry() -> None:
    contest = gpu.entries(short=False)
    assert sorted(entry.num_seeds for entry in contest.values() if "seeds" in str(entry) and entry.num_seeds > 1) == [
        2,
        4,
        8,
        16,
    ]
    assert contest["one trial, no CUDA graph"].execution.cuda_graph is False
    assert contest["one trial, PyTorch's depthwise"].execution.depthwise == "torch"
    timm = contest["timm"].peer
    assert timm is not None
    assert (timm.loader_workers, timm.tuned, timm.precision) == (16, True, "bfloat16")


@pytest.mark.gpu
def test_a_turn_on_a_gpu_gives_a_rate() -> None:
    for entry in (gpu.Entry(), gpu.Entry(num_seeds=2)):
        turn = gpu.take_turn(entry, 0.2)
        assert turn.images_per_second > 0
        assert turn.set_up_seconds > 0
