"""The shares of a step's operators: they sum to one, convolutions are listed by kind, the command prints them."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from xception.commands import operators as command
from xception.profile.operator_shares import operator_shares


def test_shares_sum_to_one_and_convolutions_are_told_apart() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8), nn.ReLU()
    )
    images = torch.randn(2, 3, 8, 8)
    found = {row.operator: row for row in operator_shares(lambda: network(images).sum().backward(), num_steps=2)}
    assert sum(row.share for row in found.values()) == pytest.approx(1)
    for kind in ("regular", "depthwise", "pointwise"):
        assert found[f"convolution_backward, {kind}"].calls == 1
        assert found[f"convolution, {kind}"].calls == 1
    assert found["native_batch_norm"].calls == 1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_command_prints_the_shares(
    precision: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("xception.train.process.prepare_process", lambda threads: None)
    # Small images and one module: bfloat16 takes seconds a step where a CPU has no units for it.
    changes = [f"--set=model.{change}" for change in ("entry.widths=16", "entry.strides=2", "middle.modules=0")]
    arguments = ["--preset", "cifar_tiny", *changes, "--set=model.exit=null", "--input-size", "8"]
    arguments += ["--batch-size", "2", "--steps", "1", "--precision", precision]
    assert command.operators([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert any(row["operator"] == "convolution_backward, depthwise" for row in document["operators"])
    assert command.operators(arguments) == 0
    assert "% of a step" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--preset", "cifar_tiny", "--precision", "float16"], "--precision"),
        (["--preset", "cifar_tiny", "--steps", "0"], "--steps"),
        (["--preset", "cifar_tiny,cifar_small"], "--preset"),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.operators(arguments)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert word in error
    assert error.count("\n") == 1
