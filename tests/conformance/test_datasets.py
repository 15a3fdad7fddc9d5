"""Parquet in the hub's layout against Hugging Face `datasets`, which defined it: the same images and labels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.xception.data.data_builders import NAMES, examples, pixels, write_parquet
from xception.data import Dataset, find, load


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_UPDATE_DOWNLOAD_COUNTS"):
        monkeypatch.setenv(name, "0" if name.endswith("COUNTS") else "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("XCEPTION_CACHE", str(tmp_path / "cache"))


def theirs(folder: Path, tmp_path: Path, split: str) -> list[tuple[np.ndarray[Any, Any], int]]:
    import datasets

    datasets.disable_progress_bars()
    rows = datasets.load_dataset(str(folder), split=split, cache_dir=str(tmp_path / "hub"))
    image, label = ("photo", "species") if "photo" in rows.column_names else ("image", "label")
    return [(np.asarray(row[image].convert("RGB")), row[label]) for row in rows]


def ours(dataset: Dataset, split: str) -> list[tuple[np.ndarray[Any, Any], int]]:
    part = dataset.train if split == "train" else dataset.test
    return [(image.permute(1, 2, 0).numpy(), int(label)) for image, label in zip(part.images, part.labels, strict=True)]


def turned(seed: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 1 + seed % 8
    out = io.BytesIO()
    Image.fromarray(pixels(1, seed)[0]).save(out, "PNG", exif=exif.tobytes())
    return out.getvalue()


@pytest.mark.parametrize("layout", ["parts", "folders of splits", "columns of other names", "orientation", "JPEG"])
def test_the_same_images_and_labels(tmp_path: Path, layout: str) -> None:
    folder, options = tmp_path / "set", {}
    train, test = examples(9, 0), examples(6, 1)
    names = ["data/train-00000-of-00001", "data/test-00000-of-00001"]
    if layout == "parts":
        write_parquet(folder / "data" / "train-00000-of-00002.parquet", train[:4])
        write_parquet(folder / "data" / "train-00001-of-00002.parquet", train[4:])
        names = ["", names[1]]
    elif layout == "folders of splits":
        names = ["train/0000", "test/0000"]
    elif layout == "columns of other names":
        options = {"image": "photo", "label": "species"}
    elif layout == "orientation":
        train, test = ([(turned(i), i % len(NAMES)) for i in range(n)] for n in (9, 6))
    else:
        train, test = examples(9, 0, "JPEG"), examples(6, 1, "JPEG")
    for name, rows in zip(names, (train, test), strict=True):
        if name:
            write_parquet(folder / f"{name}.parquet", rows, **options)
    dataset = load(find(f"parquet:{folder}"))
    for split in ("train", "test"):
        expected = theirs(folder, tmp_path, split)
        assert len(expected) == (9 if split == "train" else 6)
        for (image, label), (their_image, their_label) in zip(ours(dataset, split), expected, strict=True):
            assert label == their_label
            assert (image == their_image).all()
