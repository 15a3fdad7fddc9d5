"""Data sets as users have them: each case is an input, the user's expectation, and our behaviour, which the case
checks.

python -m tests.xception.data.cases      # the table in Markdown

One module, since it is one table of cases, which the documentation prints.
"""

from __future__ import annotations

import io
import os
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.xception.data.data_builders import encoded, pixels, write_parquet
from xception.data import DataError, Source, find
from xception.data.decoded import decoded
from xception.data.layout import Layout
from xception.data.summary import Summary, prepare

SIDE = 8


@dataclass(frozen=True)
class Case:
    """One row of the table, and the function that builds the input below a folder and checks the behaviour."""

    input: str
    expected: str
    ours: str
    check: Callable[[Path], None]


CASES: list[Case] = []


def case(input: str, expected: str, ours: str = "the same") -> Callable[[Callable[[Path], None]], None]:
    def add(check: Callable[[Path], None]) -> None:
        CASES.append(Case(input, expected, ours, check))

    return add


# -- builders


def png(seed: int, side: int = SIDE) -> bytes:
    return encoded(pixels(1, seed, (side, side))[0])


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def split_files(
    split: str, start: int = 0, num: int = 3, classes: tuple[str, ...] = ("ant", "bee")
) -> dict[str, bytes]:
    return {
        os.path.join(split, name, f"{i}.png"): png(start + num * place + i)
        for place, name in enumerate(classes)
        for i in range(num)
    }


TRAIN, TEST = split_files("train"), split_files("test", 100, 2)


def tree(folder: Path, *parts: Mapping[str, bytes], base: bool = True) -> Path:
    for files in ((TRAIN, TEST) if base else ()) + parts:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    return folder


def with_test_images(folder: Path, *contents: bytes, train: tuple[bytes, ...] = ()) -> np.ndarray[Any, Any]:
    """The decoded test images of a folder whose test set is these images, of class ant."""
    parts = {f"test/ant/{i}": content for i, content in enumerate(contents)}
    named = {
        f"{name}.{'jpg' if content[:2] == bytes((255, 216)) else 'png'}": content for name, content in parts.items()
    }
    more = {f"train/ant/more{i}.png": content for i, content in enumerate(train)}
    return images(found(tree(folder, TRAIN, named, more, base=False)), "test")


def rows(num: int, start: int = 0, num_classes: int = 2) -> list[tuple[Any, Any]]:
    return [(png(start + i), i % num_classes) for i in range(num)]


def table(folder: Path, name: str, content: list[tuple[Any, Any]], **options: Any) -> None:
    write_parquet(folder / name, content, **{"names": ("ant", "bee"), **options})


def tables(
    folder: Path, train: str = "train-00000-of-00001", test: str = "test-00000-of-00001", **options: Any
) -> Path:
    table(folder, f"{train}.parquet", rows(6), **options)
    table(folder, f"{test}.parquet", rows(4, 100), **options)
    return folder


def columns(path: Path, **content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(content), path)


# -- checks


def found(folder: Path, kind: str = "folder", **layout: Any) -> Source:
    return prepare(find(f"{kind}:{folder}", layout=Layout(**layout)))


def summary(source: Source) -> Summary:
    assert source.summary is not None
    return source.summary


def images(source: Source, split: str = "train") -> np.ndarray[Any, Any]:
    folder, manifest = decoded(source, source.native_size)
    shape = (manifest[f"num_{split}"], source.in_channels, source.native_size, source.native_size)
    return np.fromfile(folder / f"{split}-images", np.uint8).reshape(shape)


def sizes(source: Source) -> tuple[int, int, int]:
    return source.num_train, source.num_test, source.num_val


def refused(folder: Path, words: str, kind: str = "folder", **layout: Any) -> None:
    with pytest.raises(DataError) as caught:
        found(folder, kind, **layout)
    assert words in str(caught.value), str(caught.value)
    assert str(caught.value).isprintable()


def noted(source: Source, words: str) -> None:
    assert any(words in note for note in summary(source).notes), summary(source).notes


# -- classes


@case("train/CLASS, test/CLASS", "read")
def _(folder: Path) -> None:
    source = found(tree(folder))
    assert (sizes(source), source.class_names) == ((6, 4, 0), ("ant", "bee"))


@case("an empty class folder in train", "no class", "refused by name")
def _(folder: Path) -> None:
    tree(folder)
    (folder / "train" / "wasp").mkdir()
    refused(folder, "1 of 3 class folders have no image that is read here, first 'wasp'")


@case("a class folder with HEIC photographs alone", "an error that names the format", "refused, with format and count")
def _(folder: Path) -> None:
    refused(tree(folder, {"train/wasp/1.heic": b"x", "train/wasp/2.HEIC": b"x"}), ".heic: 2)")


@case("a class whose images are all corrupt", "an error", "refused by name, with the first file and reason")
def _(folder: Path) -> None:
    refused(tree(folder, {"train/wasp/1.png": b"junk"}), "no training image of 1 of 3 classes can be decoded, 'wasp'")


for system in ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found", "System Volume Information", "__pycache__"):

    def _system(folder: Path, system: str = system) -> None:
        source = found(tree(folder, {f"train/{system}/x.png": png(50), f"train/ant/{system}/y.png": png(51)}))
        assert (source.class_names, source.num_train) == (("ant", "bee"), 6)
        noted(source, f"system files and folders {system!r}: 2 left out")

    case(f"a folder {system}", "ignored", "left out, named and counted")(_system)


@case("a folder .ipynb_checkpoints beside the classes and within one", "ignored", "left out, counted")
def _(folder: Path) -> None:
    files = {"train/.ipynb_checkpoints/0.png": png(50), "train/ant/.ipynb_checkpoints/0.png": png(51)}
    source = found(tree(folder, files))
    assert (source.class_names, source.num_train) == (("ant", "bee"), 6)
    noted(source, "hidden files and folders: 2 left out")


@case("AppleDouble files ._0.png", "ignored", "left out, counted")
def _(folder: Path) -> None:
    source = found(tree(folder, {"train/ant/._0.png": b"\0\5\x16\7"}))
    assert (source.num_train, summary(source).num_broken) == (6, 0)
    noted(source, "hidden files and folders: 1 left out")


@case("Thumbs.db and desktop.ini in a class", "ignored")
def _(folder: Path) -> None:
    assert found(tree(folder, {"train/ant/Thumbs.db": b"x", "train/bee/desktop.ini": b"x"})).num_train == 6


@case("one class only", "an error", "refused")
def _(folder: Path) -> None:
    refused(tree(folder, split_files("train", classes=("ant",)), base=False), "1 class (ant) is not allowed; 2 or more")


@case("some images of a format that is not read (.avif, .jxl)", "a warning", "left out, counted by format")
def _(folder: Path) -> None:
    source = found(tree(folder, {"train/ant/a.avif": b"x", "train/bee/b.avif": b"x", "test/bee/c.jxl": b"x"}))
    noted(source, "suffix that is not read here, .avif: 2 left out")
    noted(source, "suffix that is not read here, .jxl: 1 left out")


@case("images in folders below the class folder", "read")
def _(folder: Path) -> None:
    assert found(tree(folder, {"train/ant/2020/may/x.png": png(50)})).num_train == 7


@case("a class folder that is a link", "read")
def _(folder: Path) -> None:
    tree(folder / "set", split_files("elsewhere", 60, classes=("wasp",)))
    (folder / "set" / "train" / "wasp").symlink_to(folder / "set" / "elsewhere" / "wasp")
    assert found(folder / "set").class_names == ("ant", "bee", "wasp")


@case("a link to a folder below a class", "read")
def _(folder: Path) -> None:
    tree(folder / "set")
    tree(folder, {"more/x.png": png(50)}, base=False)
    (folder / "set" / "train" / "ant" / "more").symlink_to(folder / "more")
    assert found(folder / "set").num_train == 7


@case("a link to a folder around it", "no endless loop", "left out, counted")
def _(folder: Path) -> None:
    tree(folder)
    (folder / "train" / "ant" / "again").symlink_to(folder / "train" / "ant")
    source = found(folder)
    assert source.num_train == 6
    noted(source, "links to a folder around them: 1")


@case("a link to a file that is gone", "ignored", "left out, counted")
def _(folder: Path) -> None:
    tree(folder)
    (folder / "train" / "ant" / "x.png").symlink_to(folder / "nowhere.png")
    noted(found(folder), "links to nothing: 1")


@case("a class of the test set that training lacks", "an error", "refused by name")
def _(folder: Path) -> None:
    refused(tree(folder, {"test/wasp/x.png": png(50)}), "class 'wasp' is not allowed")


@case("a class without test images", "fine", "read, with 0 test images of it in the summary")
def _(folder: Path) -> None:
    files = split_files("train", 60, classes=("wasp",))
    assert summary(found(tree(folder, files))).counts["test"] == (2, 2, 0)


@case("Parquet with 1-based labels", "an error", "refused: class 0 has no training image")
def _(folder: Path) -> None:
    for name in ("train", "test"):
        table(folder, f"{name}.parquet", [(png(i), 1 + i % 2) for i in range(4)], names=None)
    refused(folder, "1 of 3 classes have no training image ('0')", "parquet")


@case("Parquet whose schema names a class that no row has", "an error", "refused by name")
def _(folder: Path) -> None:
    refused(tables(folder, names=("ant", "bee", "wasp")), "1 of 3 classes have no training image ('wasp')", "parquet")


# -- broken files


@case("3 corrupt files among 144", "trained on the others", "left out before anything is planned, named once")
def _(folder: Path) -> None:
    tree(folder, split_files("train", num=6), {f"train/ant/bad{i}.png": b"\x89PNG junk" for i in range(3)})
    source = found(folder)
    assert (source.num_train, summary(source).num_broken) == (12, 3)
    assert "bad0.png: no image of a format read here" in summary(source).broken[0]
    assert source.config(val_size=6, train_size=6).train_size == 6


@case("an empty file and half a file", "left out", "left out and named")
def _(folder: Path) -> None:
    source = found(tree(folder, {"train/ant/a.png": b"", "train/ant/b.png": png(1)[:60]}))
    assert (source.num_train, summary(source).num_broken) == (6, 2)
    assert "at 0x" not in " ".join(summary(source).broken)
    assert "a.png: an empty file" in summary(source).broken[0]


@case("images that are Git LFS pointers", "an error that says so", "broken, named for what they are")
def _(folder: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    assert "a Git LFS pointer" in summary(found(tree(folder, {"train/ant/x.png": pointer}))).broken[0]


@case("a Parquet file that is a Git LFS pointer", "an error that says so", "refused: git lfs pull")
def _(folder: Path) -> None:
    tables(folder)
    (folder / "train-00000-of-00001.parquet").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid\n")
    refused(folder, "a Git LFS pointer, not the data; git lfs pull", "parquet")


# -- splits

for train, test in (
    ("Train", "Test"),
    ("TRAINING", "Testing"),
    ("training", "dev"),
    ("train", "valid"),
    ("train", "val"),
):

    def _words(folder: Path, train: str = train, test: str = test) -> None:
        assert sizes(found(tree(folder, split_files(train), split_files(test, 100, 2), base=False))) == (6, 4, 0)

    case(f"splits called {train} and {test}", "read")(_words)


@case("labelled train, val and test", "val for validation", "val for validation, in the fingerprint")
def _(folder: Path) -> None:
    without = found(tree(folder))
    source = found(tree(folder, split_files("val", 200, 1)))
    assert sizes(source) == (6, 4, 2)
    assert source.fingerprint != without.fingerprint
    assert source.config(val_size=2).validation == "separate"
    assert source.config(val_size=2, train_size=6).train_size == 6


@case("ImageNet: labelled val, flat unlabelled test", "val as the test set", "val as the test set, and says so")
def _(folder: Path) -> None:
    files = split_files("val", 100, 2)
    source = found(tree(folder, TRAIN, files, {f"test/{i}.png": png(300 + i) for i in range(3)}, base=False))
    assert sizes(source) == (6, 4, 0)
    noted(source, "'test' has no labels and is left out")
    noted(source, "'val' serves as the test set")


@case("an unlabelled test set in one folder (test/unknown)", "val as the test set", "val as the test set, and says so")
def _(folder: Path) -> None:
    source = found(tree(folder, TRAIN, split_files("val", 100, 2), {"test/unknown/x.png": png(300)}, base=False))
    assert sizes(source) == (6, 4, 0)


@case("Tiny ImageNet: train/CLASS/images, val/images with annotations", "read")
def _(folder: Path) -> None:
    train = {name.replace("/ant/", "/n01/images/").replace("/bee/", "/n02/images/"): c for name, c in TRAIN.items()}
    val = {f"val/images/val_{i}.png": png(100 + i) for i in range(4)}
    lines = "".join(f"val_{i}.png\tn0{1 + i % 2}\t0\t0\t9\t9\n" for i in range(4))
    test = {"test/images/test_0.png": png(200)}
    source = found(tree(folder, train, val, test, {"val/val_annotations.txt": lines.encode()}, base=False))
    assert (sizes(source), source.class_names) == ((6, 4, 0), ("n01", "n02"))
    assert summary(source).counts["test"] == (2, 2)


@case("annotations that name a file which is not there", "an error", "refused, with the line")
def _(folder: Path) -> None:
    files = {"val/images/a.png": png(100), "val/val_annotations.txt": b"a.png\tant\nb.png\tbee\n"}
    refused(tree(folder, TRAIN, files, base=False), "line 2: 'b.png")


@case("one split only", "a test set held out", "a fifth of each class by a fixed seed, and says so")
def _(folder: Path) -> None:
    source = found(tree(folder, split_files("train", num=10), base=False))
    assert sizes(source) == (16, 4, 0)
    assert summary(source).counts["test"] == (2, 2)
    noted(source, "held out by a fixed seed")
    assert not summary(source).leaked


@case("class folders without any split", "a test set held out", "a fifth of each class by a fixed seed, and says so")
def _(folder: Path) -> None:
    files = {name.removeprefix("train/"): content for name, content in split_files("train", num=5).items()}
    assert sizes(found(tree(folder, files, base=False))) == (8, 2, 0)


@case("one split with a single image of a class", "an error", "refused by name")
def _(folder: Path) -> None:
    files = {"train/ant/0.png": png(0), "train/bee/0.png": png(1), "train/bee/1.png": png(2)}
    refused(tree(folder, files, base=False), "class 'ant': 1 image is not allowed where a test set is held out")


@case("test and val without train", "an error", "refused, with the flag that names them")
def _(folder: Path) -> None:
    refused(tree(folder, TEST, split_files("val"), base=False), "--splits train=")


@case("folders of other names, --splits train=a,test=b", "read as named")
def _(folder: Path) -> None:
    tree(folder, split_files("a"), split_files("b", 100, 2), base=False)
    assert sizes(found(folder, splits=Layout.parse_splits("train=a,test=b"))) == (6, 4, 0)


@case("--splits train=train,test=val with a labelled test split there", "val is the test set")
def _(folder: Path) -> None:
    tree(folder, split_files("val", 200, 1))
    assert sizes(found(folder, splits=Layout.parse_splits("train=train,test=val"))) == (6, 2, 0)


@case("--splits names a folder that is not there", "an error", "refused, with those that are")
def _(folder: Path) -> None:
    refused(tree(folder), "train=x is not in", splits=Layout.parse_splits("train=x,test=test"))


@case("Parquet files of other names, --splits train=first,test=second", "read as named")
def _(folder: Path) -> None:
    tables(folder, train="first-00000-of-00001", test="second")
    assert sizes(found(folder, "parquet", splits=Layout.parse_splits("train=first,test=second"))) == (6, 4, 0)


@case("a folder beside train and test (extra)", "ignored, visibly", "left out and named")
def _(folder: Path) -> None:
    noted(found(tree(folder, split_files("extra", 300))), "'extra' is not a split and is left out")


@case("Parquet: test labels all -1", "validation as the test set", "validation as the test set, and says so")
def _(folder: Path) -> None:
    tables(folder, test="validation-00000-of-00001")
    table(folder, "test-00000-of-00001.parquet", [(png(300), -1), (png(301), -1)])
    source = found(folder, "parquet")
    assert sizes(source) == (6, 4, 0)
    noted(source, "'test' has no labels and is left out")


@case("Parquet: some test labels -1", "an error", "refused, with the row")
def _(folder: Path) -> None:
    tables(folder)
    table(folder, "test-00000-of-00001.parquet", [(png(300), 0), (png(301), -1)])
    refused(folder, "test-00000-of-00001.parquet[1] 1.png: label -1 is not allowed", "parquet")


# -- Parquet


@case("train-00000-of-00003 alone", "an error", "refused, with the part that is missing")
def _(folder: Path) -> None:
    refused(tables(folder, train="train-00000-of-00003"), "train-00001-of-00003.parquet is missing", "parquet")


@case("three parts of three", "read in order")
def _(folder: Path) -> None:
    whole = found(tables(folder / "whole"), "parquet")
    for i in range(3):
        table(folder / "parts", f"train-{i:05}-of-00003.parquet", rows(6)[2 * i : 2 * i + 2])
    table(folder / "parts", "test-00000-of-00001.parquet", rows(4, 100))
    assert found(folder / "parts", "parquet").fingerprint == whole.fingerprint


@case("parts of two versions (-of-00001 and -of-00002)", "an error", "refused")
def _(folder: Path) -> None:
    tables(folder)
    for i in range(2):
        table(folder, f"train-{i:05}-of-00002.parquet", rows(4))
    refused(folder, "-of-00001 and -of-00002", "parquet")


@case("two configurations in one folder", "never mixed", "refused, with both names")
def _(folder: Path) -> None:
    tables(folder / "small")
    tables(folder / "large")
    refused(folder, "2 configurations are not allowed at once (large, small)", "parquet")


@case("parquet:PATH#CONFIG", "that configuration")
def _(folder: Path) -> None:
    tables(folder / "small")
    table(folder / "large", "train.parquet", rows(8))
    table(folder / "large", "test.parquet", rows(2, 100))
    assert sizes(prepare(find(f"parquet:{folder}#large"))) == (8, 2, 0)


@case("data/train-00000-of-00001-0123abcd.parquet", "read")
def _(folder: Path) -> None:
    tables(folder / "data", train="train-00000-of-00001-0123abcd", test="test-00000-of-00001-89ef")
    assert sizes(found(folder, "parquet")) == (6, 4, 0)


@case("a folder for each split (train/0000.parquet)", "read")
def _(folder: Path) -> None:
    assert sizes(found(tables(folder, train="train/0000", test="test/0000"), "parquet")) == (6, 4, 0)


@case("insects-train.parquet and insects-test.parquet", "read")
def _(folder: Path) -> None:
    assert sizes(found(tables(folder, train="insects-train", test="insects-test"), "parquet")) == (6, 4, 0)


@case("a single Parquet file", "a test set held out", "a fifth of each class by a fixed seed, and says so")
def _(folder: Path) -> None:
    table(folder, "insects.parquet", rows(10))
    source = found(folder / "insects.parquet", "parquet")
    assert sizes(source) == (8, 2, 0)
    noted(source, "held out by a fixed seed")


@case("a Parquet file named by no split beside others", "ignored, visibly", "left out and named")
def _(folder: Path) -> None:
    tables(folder)
    table(folder, "statistics.parquet", rows(2, 300))
    noted(found(folder, "parquet"), "statistics.parquet names no split and is left out")


@case("columns of other names that the schema describes", "read")
def _(folder: Path) -> None:
    assert sizes(found(tables(folder, image="photo", label="species"), "parquet")) == (6, 4, 0)


@case("columns of other names without a schema", "an error", "refused, with the flags")
def _(folder: Path) -> None:
    refused(tables(folder, image="photo", label="species", names=None), "--label-column", "parquet")


@case("--image-column and --label-column", "read")
def _(folder: Path) -> None:
    tables(folder, image="photo", label="species", names=None)
    assert sizes(found(folder, "parquet", image_column="photo", label_column="species")) == (6, 4, 0)


@case("--label-column that is not there", "an error", "refused, with those that are")
def _(folder: Path) -> None:
    refused(tables(folder), "--label-column: 'x' is not a column of classes", "parquet", label_column="x")


@case("labels as text", "classes by name", "classes in alphabetical order")
def _(folder: Path) -> None:
    for split, start in (("train", 0), ("test", 100)):
        names = ["bee", "ant"] * 2
        columns(folder / f"{split}.parquet", image=[png(start + i) for i in range(4)], label=names)
    source = found(folder, "parquet")
    assert (source.class_names, summary(source).counts["train"]) == (("ant", "bee"), (2, 2))


@case("a test label as text that training lacks", "an error", "refused, with the row")
def _(folder: Path) -> None:
    columns(folder / "train.parquet", image=[png(0), png(1)], label=["ant", "bee"])
    columns(folder / "test.parquet", image=[png(2)], label=["wasp"])
    refused(folder, "test.parquet[0]: class 'wasp' is not allowed", "parquet")


@case("labels as dictionary-encoded text", "classes by name")
def _(folder: Path) -> None:
    for split, start in (("train", 0), ("test", 100)):
        labels = pa.array(["bee", "ant"] * 2).dictionary_encode()
        columns(folder / f"{split}.parquet", image=[png(start + i) for i in range(4)], label=labels)
    assert found(folder, "parquet").class_names == ("ant", "bee")


@case("labels true and false", "two classes", "classes False and True")
def _(folder: Path) -> None:
    for split, start in (("train", 0), ("test", 100)):
        columns(folder / f"{split}.parquet", image=[png(start + i) for i in range(4)], label=[True, False] * 2)
    assert found(folder, "parquet").class_names == ("False", "True")


@case("two columns of one name", "an error, no traceback", "refused")
def _(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    content = pa.table(
        [pa.array([png(0), png(1)]), pa.array([0, 1]), pa.array([1, 0])], names=["image", "label", "label"]
    )
    for split in ("train", "test"):
        pq.write_table(content, folder / f"{split}.parquet")
    refused(folder, "two columns are called 'label'", "parquet")


@case("rows with a path and no bytes", "the file beside the table")
def _(folder: Path) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    for split, start in (("train", 0), ("test", 100)):
        tree(folder, {f"img/{split}{i}.png": png(start + i) for i in range(4)}, base=False)
        cells = [{"bytes": None, "path": f"img/{split}{i}.png"} for i in range(4)]
        columns(folder / f"{split}.parquet", image=pa.array(cells, kind), label=[0, 1] * 2)
    source = found(folder, "parquet")
    assert (images(source)[0] == pixels(1, 0, (SIDE, SIDE))[0].transpose(2, 0, 1)).all()
    (folder / "img" / "train0.png").write_bytes(png(999))
    assert found(folder, "parquet").fingerprint != source.fingerprint


@case("a row whose path leads out of the folder", "not read", "refused")
def _(folder: Path) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = pa.array([{"bytes": None, "path": "../x.png"}] * 2, kind)
    for split in ("train", "test"):
        columns(folder / f"{split}.parquet", image=cells, label=[0, 1])
    refused(folder, "relative paths below", "parquet")


# -- pixels


def turned(image: np.ndarray[Any, Any], orientation: int, kind: str = "PNG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(Image.fromarray(image), kind, exif=exif.tobytes())


@case("EXIF orientation 6", "turned upright", "turned upright; --set dataset.orientation=ignored keeps the old way")
def _(folder: Path) -> None:
    image = pixels(1, 7, (SIDE, SIDE))[0]
    (seen,) = with_test_images(folder, turned(image, 6))
    assert (seen == np.rot90(image, -1).transpose(2, 0, 1)).all()
    source = found(folder)
    assert source.config().orientation == "applied"
    (old,) = images(source.seen_by(source.config().replace(orientation="ignored")), "test")
    assert (old == image.transpose(2, 0, 1)).all()


@case("no image with an orientation", "nothing changes", "the config keeps its default, and the key with it")
def _(folder: Path) -> None:
    with_test_images(folder, turned(pixels(1, 7, (SIDE, SIDE))[0], 1))
    assert found(folder).config().orientation == "ignored"


@case("broken EXIF", "the image as it is")
def _(folder: Path) -> None:
    image = pixels(1, 7, (SIDE, SIDE))[0]
    broken = saved(Image.fromarray(image), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    (first, _) = with_test_images(folder, broken, turned(image, 3))
    assert (first == image.transpose(2, 0, 1)).all()


def deep(values: np.ndarray[Any, Any]) -> bytes:
    return saved(Image.fromarray(values.astype(np.uint16)))


RAMP = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)


@case("16-bit PNG that uses 12 bits", "scaled by 12 bits", "scaled by the bits in use over the data set")
def _(folder: Path) -> None:
    (seen,) = with_test_images(folder, deep(RAMP * 65))
    assert found(folder).config().deep_bits == 12
    assert (seen[0] == (RAMP * 65) >> 4).all()


@case("16-bit PNG that uses 16 bits", "the upper byte")
def _(folder: Path) -> None:
    (seen,) = with_test_images(folder, deep(RAMP * 1040))
    assert found(folder).config().deep_bits == 16
    assert (seen[0] == (RAMP * 1040) >> 8).all()


@case("16-bit TIFF that uses 10 bits", "scaled by 10 bits")
def _(folder: Path) -> None:
    tree(folder, TRAIN, {"test/ant/x.tif": saved(Image.fromarray((RAMP * 16).astype(np.uint16)), "TIFF")}, base=False)
    source = found(folder)
    assert source.config().deep_bits == 10
    assert (images(source, "test")[0][0] == (RAMP * 16) >> 2).all()


def deep_colour(values: np.ndarray[Any, Any]) -> bytes:
    """A PNG of 16 bits a channel, which Pillow does not write."""
    import struct
    import zlib

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@case("16-bit colour PNG that uses 12 bits", "scaled, or an error", "refused: it would come out dark")
def _(folder: Path) -> None:
    tree(folder, {"train/ant/x.png": deep_colour(np.stack([RAMP * 65] * 3, -1))})
    refused(folder, "16-bit colour images that use 12 of their 16 bits")


@case("16-bit colour PNG that uses 16 bits", "the upper bytes")
def _(folder: Path) -> None:
    (seen,) = with_test_images(folder, deep_colour(np.stack([RAMP * 1040] * 3, -1)))
    assert (seen[0] == (RAMP * 1040) >> 8).all()


@case("grayscale images, --channels 1", "one channel to the network", "one channel, to the bit")
def _(folder: Path) -> None:
    gray = {
        name: saved(Image.fromarray(pixels(1, i, (SIDE, SIDE))[0][..., 0])) for i, name in enumerate([*TRAIN, *TEST])
    }
    source = found(tree(folder, gray, base=False), channels=1)
    assert (source.in_channels, source.config().channels) == (1, 1)
    assert (images(source)[0][0] == pixels(1, 0, (SIDE, SIDE))[0][..., 0]).all()


@case("grayscale images without the flag", "three equal channels")
def _(folder: Path) -> None:
    (seen,) = with_test_images(folder, saved(Image.fromarray(pixels(1, 3, (SIDE, SIDE))[0][..., 0])))
    assert (seen[0] == seen[1]).all()
    assert (seen[0] == seen[2]).all()


@case("transparent images", "laid on white")
def _(folder: Path) -> None:
    (seen,) = with_test_images(folder, saved(Image.new("RGBA", (SIDE, SIDE), (10, 20, 30, 0))))
    assert (seen == 255).all()


@case("CMYK JPEG", "RGB of the same picture")
def _(folder: Path) -> None:
    (seen,) = with_test_images(folder, saved(Image.new("RGB", (SIDE, SIDE), (200, 60, 20)).convert("CMYK"), "JPEG"))
    assert np.abs(seen[:, 0, 0].astype(int) - (200, 60, 20)).max() <= 4


# -- names


@case("one class in NFC in train and NFD in test", "one class")
def _(folder: Path) -> None:
    composed, apart = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
    train, test = split_files("train", classes=("ant", composed)), split_files("test", 100, 2, ("ant", apart))
    assert summary(found(tree(folder, train, test, base=False))).counts["test"] == (2, 2)


@case("one class in both forms in train", "one class", "refused: merge the folders")
def _(folder: Path) -> None:
    composed, apart = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
    refused(tree(folder, split_files("train", classes=(composed, apart)), base=False), "in different Unicode forms")


@case("folder:~/PATH", "the home folder")
def _(folder: Path) -> None:
    home = os.environ.get("HOME")
    os.environ["HOME"] = str(folder)
    try:
        tree(folder / "insects")
        assert prepare(find("folder:~/insects")).title == "folder:insects"
    finally:
        os.environ["HOME"] = home or ""


# -- leakage


@case("the same image in train and test", "a warning", "counted, with its name")
def _(folder: Path) -> None:
    source = found(tree(folder, {"test/ant/copy.png": TRAIN[os.path.join("train", "ant", "0.png")]}))
    assert summary(source).leaked == {"test in train": 1}
    assert summary(source).leaks == (f"test {os.path.join('ant', 'copy.png')}",)
    assert any(
        "1 image of the test set, the same pixels as in the training set" in line for line in summary(source).warnings
    )


@case("the same pixels in train and test, encoded otherwise", "a warning", "counted: pixels are compared, not files")
def _(folder: Path) -> None:
    copy = saved(Image.fromarray(pixels(1, 0, (SIDE, SIDE))[0]), "BMP")
    assert summary(found(tree(folder, {"test/ant/copy.bmp": copy}))).leaked == {"test in train": 1}


@case("one image with two labels", "a warning", "counted")
def _(folder: Path) -> None:
    source = found(tree(folder, {"train/bee/copy.png": TRAIN[os.path.join("train", "ant", "0.png")]}))
    assert (summary(source).num_conflicting, summary(source).repeated) == (1, {"train": 1})


@case("an image twice in train", "a remark", "counted")
def _(folder: Path) -> None:
    source = found(tree(folder, {"train/ant/copy.png": TRAIN[os.path.join("train", "ant", "0.png")]}))
    assert (summary(source).num_conflicting, summary(source).repeated) == (0, {"train": 1})


def markdown() -> str:
    rows = [f"| {one.input} | {one.expected} | {one.ours} |" for one in CASES]
    return "\n".join(["| input | what users expect | what we do |", "| --- | --- | --- |", *rows])


if __name__ == "__main__":
    print(markdown())
