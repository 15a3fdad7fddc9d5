"""The contest of training loops: peers train the same network, ratios are taken within rounds, and the contract is
kept.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from typing import Any

import pytest
import torch

from benchmarks import loops, rounds, training
from benchmarks.keras_network import keras_network
from benchmarks.loops import Loop
from xception.network.closed_form import complexity
from xception.train.loop import TrainingStopped

# Keras 3.15 turns torch parameters into arrays by a protocol that NumPy 2 has changed.
KERAS = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")


def made_up_rounds(contest_loops: dict[str, Loop], *, num_rounds: int, turn_seconds: float) -> Any:
    """Every loop takes as many steps per second as its position in the contest, and twice as many in the second."""
    return {name: [place + 1.0, 2 * place + 2.0] for place, name in enumerate(contest_loops)}


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ["KERAS_BACKEND"] = "torch"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras
    return keras


@KERAS
def test_keras_trains_the_same_network(keras: Any) -> None:
    config = loops.model_config(loops.PRESET)
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, keras_network(config, inputs))
    assert sum(math.prod(weight.shape) for weight in model.trainable_weights) == complexity(config, 32).params
    assert model.output_shape == (None, 10)


@KERAS
def test_a_network_that_is_not_written_for_keras_is_refused(keras: Any) -> None:
    with pytest.raises(ValueError, match="network: Activate is not allowed"):
        keras_network(loops.model_config("cifar_tiny").replace(activation="silu"), keras.Input((32, 32, 3)))


@pytest.mark.parametrize("kind", ["dataloader", "timm", "keras"])
@pytest.mark.long
def test_every_loop_trains_until_it_is_stopped(kind: Any) -> None:
    found = rounds.in_rounds({kind: Loop(kind=kind, preset="cifar_tiny")}, num_rounds=1, turn_seconds=0.1)
    assert found[kind][0] > 0


def test_processes_take_turns() -> None:
    small = {"batches": Loop(kind="batches", threads=1), "products": Loop(kind="products", threads=1, processes=2)}
    found = rounds.in_rounds(small, num_rounds=2, turn_seconds=0.01)
    assert {name: len(rates) for name, rates in found.items()} == {"batches": 2, "products": 2}
    assert all(rate > 0 for rates in found.values() for rate in rates)


def test_a_loop_that_fails_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="the broken one: its process ended"):
        rounds.in_rounds({"the broken one": Loop(kind="ours", preset="nowhere")}, num_rounds=1, turn_seconds=0.01)
    assert "preset: 'nowhere' is not allowed" in capfd.readouterr().err


def test_ours_is_the_trainer_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []

    def on_step() -> None:
        steps.append(1)
        if len(steps) == 2:
            raise TrainingStopped

    monkeypatch.setattr(loops, "prepare_process", lambda threads: None)
    with pytest.raises(TrainingStopped):
        loops.train(Loop(kind="ours", preset="cifar_tiny"), on_step)
    assert len(steps) == 2


def test_a_ratio_is_of_rounds() -> None:
    ratio = rounds.ratio_of([2.0, 9.0, 4.0], [1.0, 3.0, 4.0])
    assert (ratio.median, ratio.low, ratio.high, ratio.n) == (2.0, 1.0, 3.0, 3)


def test_report_keeps_the_contract(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(training, "in_rounds", made_up_rounds)
    monkeypatch.setattr(training, "has_bfloat16_units", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert training.main(["--short", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {"dataloader", "keras", "timm", "dataloader_tuned", "keras_tuned", "dataloader_one_core"} <= set(
        report["ratios"]
    )
    in_bfloat16 = {
        f"{peer}_{precision}" for peer in ("dataloader", "timm", "keras") for precision in ("float32", "bfloat16")
    }
    assert in_bfloat16 | {"ours_float32"} <= set(report["ratios"])
    assert all({"median", "low", "high"} <= set(ratio) for ratio in report["ratios"].values())
    assert report["data_share"]["median"] > 0
    assert report["product_share"]["median"] > 0
    assert report["environment"]["cpu"]
    assert training.main(["--short"]) == 0
    assert "on a GPU: not measured" in capsys.readouterr().out


def test_a_package_that_is_missing_leaves_its_peer_unmeasured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "in_rounds", made_up_rounds)
    monkeypatch.setattr(training, "is_installed", lambda loop: loop.kind != "keras")
    monkeypatch.setattr(training, "has_bfloat16_units", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    training.main([])
    printed = capsys.readouterr().out
    assert "over keras: not measured" in printed
    assert "in bfloat16: not measured" in printed
