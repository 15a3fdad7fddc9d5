"""A network trained by a study: kept, and used for predictions, an evaluation and exports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from PIL import Image

import ablations
import run_ablation
from xception import Xception
from xception.__main__ import main
from xception.data import find, load
from xception.data.splits import permutation
from xception.train.trained_network import load_network

pytestmark = pytest.mark.usefixtures("svg_alone")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of one seed with its networks; the folder of results."""
    out = tmp_path_factory.mktemp("kept")
    ablations.run("residuals", scale="smoke", dataset="synthetic", seeds=1, epochs=1, keep_weights=True, out=out)
    return out


@pytest.fixture(scope="module")
def runs(run: Path) -> pd.DataFrame:
    (path,) = run.glob("*/runs.csv")
    return pd.read_csv(path)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (48, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(list(words)) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(list(words))
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return message


def test_a_kept_network_has_the_accuracy_of_its_record(
    run: Path, runs: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {path.stem for path in (run / "networks").iterdir()} == set(runs["key"])
    network = load_network(run / "networks" / f"{runs['key'][0]}.safetensors")
    assert (network.key, network.image_size, len(network.class_names)) == (runs["key"][0], 32, 10)
    assert network.recipe is not None
    assert network.recipe.epochs == 1
    images = load(find("synthetic"), 32).test
    pixels, labels = images.batch(permutation(len(images), seed=0, purpose=1)[:128])  # what smoke tests on
    accuracy = float((network.probabilities(pixels).argmax(dim=1) == labels).double().mean())
    assert accuracy == pytest.approx(runs["test_accuracy"][0], abs=1e-9)


def test_an_evaluation_counts_every_test_image_once(
    run: Path, runs: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("evaluate", "--trial", runs["key"][0][:12], "--out", str(run), "--dataset", "synthetic")
    found = printed(capsys, *words, "--json")
    assert found["num_images"] == sum(map(sum, found["confusion"])) == 2000
    right = sum(found["confusion"][k][k] for k in range(10))
    assert found["accuracy"] == pytest.approx(right / 2000)
    assert [row["num_images"] for row in found["classes"]] == [sum(row) for row in found["confusion"]]
    assert main(list(words)) == 0
    assert "test images of synthetic" in capsys.readouterr().out


def test_a_photograph_gets_a_class(
    run: Path, runs: pd.DataFrame, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = str(runs["key"][0])
    (row,) = printed(capsys, "predict", "--trial", key, "--out", str(run), str(photo), "--json")
    assert row["path"] == str(photo)
    assert row["class"] in row["probabilities"]
    assert row["probability"] == pytest.approx(max(row["probabilities"].values()), abs=1e-6)
    assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    weights = str(run / "networks" / f"{key}.safetensors")
    assert printed(capsys, "predict", "--weights", weights, str(photo.parent), "--json") == [row], (
        "a folder of one image"
    )
    by_store = ("--store", f"sqlite:///{run}/records.db", "--out", str(photo.parent))
    assert printed(capsys, "predict", "--trial", key, *by_store, str(photo), "--json") == [row]
    assert main(["predict", "--trial", key, "--out", str(run), str(photo)]) == 0
    assert row["class"] in capsys.readouterr().out


def test_from_python_the_network_is_the_same(run: Path, runs: pd.DataFrame) -> None:
    network = load_network(run / "networks" / f"{runs['key'][0]}.safetensors")
    model = Xception.from_trial(runs["key"][0], out=run)
    assert not model.training
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(model(images), network.model(images))


def test_exports_give_the_same_class(
    run: Path, runs: pd.DataFrame, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import onnxruntime

    key = str(runs["key"][0])
    (row,) = printed(capsys, "predict", "--trial", key, "--out", str(run), str(photo), "--json")
    with Image.open(photo) as opened:
        image = opened.resize((32, 32), Image.Resampling.BILINEAR, box=(0, 4, 40, 44))
    pixels = np.asarray(image, dtype=np.float32).transpose(2, 0, 1)[None] / 255
    for form, name in (("onnx", "net.onnx"), ("torch-export", "net.pt2"), ("safetensors", "net.safetensors")):
        words = ["export", "--trial", key, "--out", str(run), "--format", form, "--to", str(tmp_path / name)]
        assert main(words) == 0
    assert '"image_size": 32' in capsys.readouterr().err
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    names = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])
    assert names[int(session.run(["logits"], {"images": pixels})[0].argmax())] == row["class"]
    assert json.loads(session.get_modelmeta().custom_metadata_map["preprocessing"])["image_size"] == 32
    program = torch.export.load(str(tmp_path / "net.pt2"))
    assert names[int(program.module()(torch.from_numpy(pixels)).argmax())] == row["class"]
    assert printed(capsys, "predict", "--weights", str(tmp_path / "net.safetensors"), str(photo), "--json") == [row]


def test_a_stored_trial_without_its_network_is_trained_once_more_for_it(
    run: Path, runs: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--study", "residuals", "--scale", "smoke", "--dataset", "synthetic", "--seeds", "1", "--epochs", "1"]
    words += ["--out", str(run), "--workers", "1", "--keep-weights"]
    lost = run / "networks" / f"{runs['key'][1]}.safetensors"
    before = lost.read_bytes()
    lost.unlink()
    assert run_ablation.main([*words, "--dry-run"]) == 0
    told = capsys.readouterr()
    assert told.out.count("no network") == 1
    assert "1 to train" in told.err
    assert run_ablation.main(words) == 0
    again, first = (safetensors.torch.load(content) for content in (lost.read_bytes(), before))
    assert again.keys() == first.keys()
    assert all(torch.equal(again[name], first[name]) for name in first), "the same bits"
    (path,) = run.glob("*/runs.csv")
    pd.testing.assert_frame_equal(pd.read_csv(path), runs)


def test_wrong_use_is_reported_in_one_line(
    run: Path, runs: pd.DataFrame, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, out = str(runs["key"][0]), ("--out", str(run))
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "weights.safetensors").write_bytes(b"nothing")
    (tmp_path / "empty").mkdir()
    for words, expected in (
        (("predict", str(photo)), "--trial or --weights"),
        (("predict", "--trial", "f" * 64, *out, str(photo)), "--keep-weights"),
        (("predict", "--trial", "../x", *out, str(photo)), "hexadecimal"),
        (("predict", "--trial", key, *out, str(tmp_path / "none.png")), "no file"),
        (("predict", "--trial", key, *out, str(tmp_path / "text.png")), "cannot be decoded"),
        (("predict", "--trial", key, *out, str(tmp_path / "empty")), "no image file"),
        (("predict", "--weights", str(tmp_path / "weights.safetensors"), str(photo)), "not a readable safetensors"),
        (("evaluate", "--trial", key, *out, "--dataset", "synthetics"), "dataset"),
        (("export", "--trial", key, *out, "--format", "onnx", "--to", str(tmp_path / "net.pt")), ".onnx"),
        (("export", "--trial", key, *out, "--format", "onnx", "--to", str(tmp_path / "no" / "net.onnx")), "not exist"),
        (("export", "--trial", key, *out, "--format", "pickle", "--to", str(tmp_path / "x")), "torch-export"),
    ):
        assert expected in refused(capsys, *words), words
