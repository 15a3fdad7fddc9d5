"""`latency` and `roofline` as commands: their output, and wrong use reported in one line with exit status 2."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest

from xception.base.canonical import canonical_json, to_plain
from xception.commands.latency import latency
from xception.commands.roofline import roofline
from xception.network import presets
from xception.network.config import TorchvisionConfig, XceptionConfig
from xception.profile.roofline import measure_ceilings
from xception.profile.subjects import integers, read_config, read_subjects, words

FAST = ("--device", "cpu", "--time-budget", "0")


@pytest.fixture(autouse=True)
def few_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure with few inputs and small matrices: the output is tested here, not its accuracy."""
    monkeypatch.setattr("xception.profile.workload._CPU_CACHE_BYTES", 1)
    monkeypatch.setattr("xception.profile.roofline.measure_ceilings", functools.partial(measure_ceilings, size=64))


def test_latency_prints_a_list_of_rows(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    figure = tmp_path / "new" / "figure.png"
    asked = [
        "--preset",
        "cifar_tiny,cifar_small",
        "--batch-sizes",
        "1,2",
        "--precisions",
        "float32,tf32",
        *FAST,
        "--json",
    ]
    assert latency([*asked, "--figure", str(figure)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(r["preset"], r["batch_size"], r["precision"]) for r in rows] == [
        (name, batch, precision)
        for batch in (1, 2)
        for precision in ("float32", "tf32")
        for name in ("cifar_tiny", "cifar_small")
    ]
    for row in rows:
        assert row["device"] == "cpu"
        assert row["params"] > 0
        assert row["macs"] > 0
        if row["precision"] == "tf32":
            assert row["status"] == "not measured"
            assert row["latency_ms"] is row["peak_memory_bytes"] is row["images_per_second"] is None
            continue
        assert 0 < row["p5_ms"] <= row["latency_ms"] <= row["p95_ms"]
        assert row["n"] >= 20
        assert row["peak_memory_bytes"] > 4 * row["params"]
        assert row["environment"]["num_threads"] == row["num_threads"] == 1
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_latency_of_a_config_file_is_a_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = presets.get("cifar_tiny")
    path = tmp_path / "mine.json"
    path.write_text(canonical_json(config))
    assert latency(["--config", str(path), "--precisions", "float32,tf32", *FAST]) == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[0].split()[:3] == ["network", "device", "batch"]
    assert [line.split()[0] for line in lines[1:3]] == ["mine"] * 2
    assert "not measured: TF32 needs a CUDA device, not cpu" in lines[2]
    assert lines[-1].startswith("environment: device cpu")
    assert all(line.startswith("measuring") for line in told.err.splitlines())


def test_a_batch_that_does_not_fit_is_a_row_and_the_rest_continues(capsys: pytest.CaptureFixture[str]) -> None:
    assert latency(["--preset", "cifar_tiny", "--batch-sizes", "100000000,1", *FAST, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(r["batch_size"], r["status"]) for r in rows] == [(100_000_000, "does not fit"), (1, "measured")]
    assert "GiB" in rows[0]["reason"]


def test_roofline_prints_shares_and_saves_figure_and_layers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    figure, layers = tmp_path / "roofline.svg", tmp_path / "layers.csv"
    assert roofline(["--preset", "cifar_tiny", *FAST, "--figure", str(figure), "--layers", str(layers), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (
        document["ceilings"]["ridge"]
        == document["ceilings"]["macs_per_second"] / document["ceilings"]["bytes_per_second"]
    )
    assert {kind["kind"] for kind in document["kinds"]} >= {"depthwise", "pointwise", "norm"}
    assert document["layers"][0]["kind"] == "network"
    assert "<svg" in figure.read_text()
    assert layers.read_text().startswith("network,layer,kind,macs,bytes_moved")


WRONG = [
    (["--preset", "nowhere"], "paper"),
    ([], "--preset or --config"),
    (["--preset", "cifar_tiny", "--device", "cuda:9"], "auto, cpu"),
    (["--preset", "cifar_tiny", "--device", "tpu"], "auto, cpu"),
    (["--preset", "paper", "--input-size", "2"], "input_size"),
    (["--preset", "torchvision:inception_v3", "--input-size", "32"], "at least 75"),
    (["--preset", "timm:convnext_atto", "--input-size", "8"], "timm:convnext_atto; at least 32"),
    (["--preset", "cifar_tiny", "--input-size", "0"], "positive number of pixels"),
    (["--preset", "cifar_tiny", "--input-size", "many"], "many"),
    (["--preset", "cifar_tiny,cifar_tiny"], "each network once"),
    (["--config", "/nowhere/at/all.json"], "/nowhere/at/all.json"),
    (["--preset", "cifar_tiny", "--nonsense"], "--nonsense"),
    (["--preset", "cifar_tiny", "--figure", "figure.doc"], ".png, .svg or .pdf"),
    (["--preset", "cifar_tiny", "--threads", "0"], "num_threads"),
]
NOT_POSITIVE_INTEGERS = ("0", "-1", "1,0", "one", "1.5", "", "1,,2", "²")
WRONG_LATENCY = [
    *((["--preset", "cifar_tiny", f"--batch-sizes={text}"], "positive integers") for text in NOT_POSITIVE_INTEGERS),
    (["--preset", "cifar_tiny", "--precisions", "int8"], "bfloat16"),
    (["--preset", "cifar_tiny", "--modes", ""], "training"),
    (["--preset", "cifar_tiny", "--relative-width", "-1"], "relative_width"),
]


def refused(command: object, args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert callable(command)
    with pytest.raises(SystemExit) as end:
        command(args)
    told = capsys.readouterr()
    assert end.value.code == 2
    assert told.out == ""
    assert len(told.err.strip().splitlines()) == 1
    return told.err


@pytest.mark.parametrize(("args", "word"), [*WRONG, *WRONG_LATENCY])
def test_wrong_use_of_latency_is_one_line(args: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert word in refused(latency, args, capsys)


@pytest.mark.parametrize(
    ("args", "word"), [*WRONG, (["--preset", "cifar_tiny", "--precision", "tf32", "--device", "cpu"], "TF32")]
)
def test_wrong_use_of_roofline_is_one_line(args: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert word in refused(roofline, args, capsys)


NO_CONFIG = (
    "",
    "{",
    "[]",
    "3",
    '{"num_classes": 0}',
    '{"nonsense": 1}',
    '{"type": "Other"}',
    '{"num_classes": 2, "num_classes": 3}',
)


@pytest.mark.parametrize("text", [*NO_CONFIG, "[" * 100_000], ids=range(len(NO_CONFIG) + 1))
def test_a_config_file_that_holds_no_config_is_one_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    assert "broken.json" in refused(latency, ["--config", str(path)], capsys)


def test_config_files_of_both_families_are_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for config in (XceptionConfig(), presets.get("aligned41"), TorchvisionConfig(name="resnet18", num_classes=7)):
        plain = (
            to_plain(config)
            if isinstance(config, XceptionConfig)
            else {"type": "TorchvisionConfig", **to_plain(config)}
        )
        path.write_text(json.dumps(plain))
        assert read_config(path) == config


def test_subjects_have_the_size_that_they_are_meant_for(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(canonical_json(presets.get("cifar_base")))
    found = {s.name: s.input_shape for s in read_subjects("paper,torchvision:resnet18", path, None)}
    assert found == {"paper": (3, 299, 299), "torchvision:resnet18": (3, 224, 224), "mine": (3, 32, 32)}
    assert {s.input_size for s in read_subjects("paper", path, 64)} == {64}


def test_lists_of_options_keep_their_order_and_lose_repetitions() -> None:
    assert integers("--batch-sizes", "8, 1,8") == [8, 1]
    assert words("--modes", "b, a", ("a", "b", "c")) == ["b", "a"]
    assert words("--modes", "all", ("a", "b", "c")) == ["a", "b", "c"]


def test_help_needs_no_torch() -> None:
    from tests.command import call

    code = """
import sys
from xception.commands.latency import latency
try:
    latency(["--help"])
except SystemExit:
    sys.exit("torch" in sys.modules)
"""
    assert "--batch-sizes" in call("-c", code).stdout
