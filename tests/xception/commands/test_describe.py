"""`python -m xception describe` and the words of its wrong use."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.networks import xception_preset
from xception.__main__ import main
from xception.base.canonical import canonical_json, from_plain
from xception.commands.describe import stages
from xception.network import presets
from xception.network.closed_form import complexity
from xception.network.config import XceptionConfig


def test_the_table_of_the_paper(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "--preset", "paper"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "paper at 3×299×299"
    row = next(line.split() for line in lines if line.startswith("middle"))
    assert row == ["middle.0–7", "separable", "3×3", "identity", "728×19×19", "12,911,808", "4,648,547,904"]
    assert any(line.startswith("params") and "22,855,952" in line for line in lines)
    assert any(line.startswith("MACs") and "8,357,403,496" in line for line in lines)
    assert any(line.startswith("fvcore total") and "8,399,882,600" in line for line in lines)


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "--preset", "cifar_tiny", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    counted = complexity(xception_preset("cifar_tiny"), 32)
    assert (told["params"], told["macs"], told["activations"]) == (counted.params, counted.macs, counted.activations)
    assert told["fvcore_total"] > told["macs"]
    assert sum(stage["params"] for stage in told["stages"]) == told["params"]
    assert sum(stage["macs"] for stage in told["stages"]) == told["macs"]
    plain = dict(told["config"])
    assert plain.pop("type") == "XceptionConfig"
    assert from_plain(XceptionConfig, plain) == xception_preset("cifar_tiny")


def test_torchvision(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "--preset", "torchvision:resnet18", "--input-size", "64", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["params"] == 11_689_512
    assert [stage["name"] for stage in told["stages"]][-1] == "fc"
    assert sum(stage["macs"] for stage in told["stages"]) == told["macs"]


def test_a_config_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = xception_preset("cifar_tiny").replace_at("operator.kind", "segmented").replace_at("operator.segments", 4)
    (tmp_path / "mine.json").write_text(canonical_json(config))
    assert main(["describe", "--config", str(tmp_path / "mine.json")]) == 0
    assert "segmented 3×3 s=4" in capsys.readouterr().out


@pytest.mark.parametrize("name", presets.names())
def test_stages_follow_each_other_and_add_up(name: str) -> None:
    config, size = xception_preset(name), presets.input_size(name)
    rows, counted = stages(config, size), complexity(config, size)
    assert all(a.out_shape == b.in_shape for a, b in itertools.pairwise(rows))
    assert (sum(row.params for row in rows), sum(row.macs for row in rows)) == (counted.params, counted.macs)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "a command is needed: describe, latency"),
        (["explain"], "'explain' is not a command; allowed: describe, latency"),
        (["describe"], "--preset or --config is needed"),
        (["describe", "--preset", "papre"], "'papre' is not allowed; allowed: paper,"),
        (["describe", "--preset", "paper,keras"], "one network at a time"),
        (
            ["describe", "--preset", "paper", "--input-size", "2"],
            "input_size: 2 is not allowed; at least 7",
        ),
        (["describe", "--preset", "paper", "--input-size", "0"], "--input-size: 0 is not allowed"),
        (["describe", "--preset", "paper", "--input-size", "big"], "big"),
        (["describe", "--preset", "torchvision:inception_v3", "--input-size", "32"], "at least 75"),
        (["describe", "--preset", "torchvision:alexnet", "--input-size", "32"], "at least 63"),
        (["describe", "--preset", "timm:convnext_atto", "--input-size", "8"], "timm:convnext_atto; at least 32"),
        (["describe", "--config", "/nowhere/file.json"], "cannot be read"),
        (["describe", "--presets", "paper"], "--presets"),
    ],
)
def test_wrong_use_is_one_line(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(args)
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert message in err


def test_help_imports_no_torch() -> None:
    for args in (["--help"], ["describe", "--help"]):
        code = (
            "import runpy, sys; sys.argv = ['xception', *sys.argv[1:]]\n"
            "try: runpy.run_module('xception', run_name='__main__')\n"
            "except SystemExit as end: assert not end.code, end.code\n"
            "assert 'torch' not in sys.modules"
        )
        done = subprocess.run([sys.executable, "-c", code, *args], check=True, capture_output=True, text=True)
        assert "describe" in done.stdout
