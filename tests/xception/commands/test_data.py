"""`python -m xception data`: the summary as text and as JSON, the figure, and wrong use."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.xception.data.data_builders import examples, image_folder
from xception.base.fonts import TYPEFACE, families, legible
from xception.commands.data import contact_sheet, data
from xception.data import AugmentConfig, find
from xception.data.summary import prepare


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCEPTION_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = image_folder(tmp_path / "insects")
    (folder / "test" / "ant" / "copy.png").write_bytes(examples(12, 0)[0][0])
    (folder / "train" / "bee" / "bad.png").write_bytes(b"junk")
    return folder


def test_the_summary_as_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert data([f"folder:{folder}"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Data: folder:insects, 3 classes, 12 training, 7 test images",
        "  training: 4 in each class",
        "  test: 2 to 3 a class (ant 3, bee 2, cat 2)",
        "  files: 32 × 32 pixels, RGB; a network sees 3 × 32 × 32",
        "  warning: 1 image of the test set, the same pixels as in the training set",
        "  warning: 1 image left out that cannot be decoded, first train bee/bad.png: no image of a format read here"
        " (JPEG, PNG, BMP, GIF, WEBP, TIFF, PPM)",
    ]


def test_json_and_figure(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "sheet.png"
    assert data([f"folder:{folder}", "--json", "--channels", "1", "--image-size", "16", "--figure", str(figure)]) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["counts"] == {"train": [4, 4, 4], "test": [3, 2, 2]}
    assert (out["leaked"], out["num_broken"], out["channels"], out["image_size"]) == ({"test in train": 1}, 1, 1, 16)
    with Image.open(figure) as image:
        assert min(image.size) > 300


def test_the_figure_shows_decoded_and_augmented_images(folder: Path) -> None:
    figure = contact_sheet(prepare(find(f"folder:{folder}")), AugmentConfig(flip=True, cutout=8))
    shown = [np.asarray(axis.get_images()[0].get_array()) for axis in figure.axes if axis.get_images()]
    assert len(shown) == 3 * 2 * 4
    before, after = shown[0::2], shown[1::2]
    assert all(abs(float(a.min()) - float(b.min())) < 0.2 for a, b in zip(before, after, strict=True))
    assert sum(bool((abs(a - b) > 0.01).any()) for a, b in zip(before, after, strict=True)) == 12


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nowhere"], "'nowhere' is not allowed; cifar10"),
        (["synthetic", "--figure", "x.jpg"], "--figure: 'x.jpg' is not allowed"),
        (["synthetic", "--augment", "flip"], "--augment: 'flip' is not allowed; NAME=VALUE"),
        (["synthetic", "--augment", "flap=true"], "--augment: AugmentConfig.flap: no such field"),
        (["synthetic", "--image-size", "0"], "--image-size: 0 is not allowed"),
        (["synthetic", "--channels", "2"], "--channels: '2' is not allowed; 1, 3"),
        (["synthetic", "--splits", "train=a"], "--splits: has no effect on synthetic"),
        (["synthetic", "--splits", "test=a"], "--splits: 'test=a' is not allowed"),
        (["synthetic", "--label-column", "a"], "--label-column: 'a' has no effect on synthetic"),
    ],
)
def test_wrong_use_is_one_line(args: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        data(args)
    assert ended.value.code == 2
    line = capsys.readouterr().err
    assert words in line
    assert line.count("\n") == 1


def test_glyphs_that_the_typeface_lacks_come_from_another() -> None:
    assert families()[0] == TYPEFACE
    assert len(families()) > 1
    assert legible("a\nℵ") == "a\nℵ"
    assert legible("\U000f0000") == "\N{REPLACEMENT CHARACTER}"
