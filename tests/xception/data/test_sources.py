"""Every layout is found, described and hashed by content; its errors are reported in one line."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.xception.data.data_builders import (
    NAMES,
    TINY_CIFAR,
    cifar_files,
    encoded,
    examples,
    image_folder,
    parquet_folder,
    pixels,
    write_parquet,
)
from xception.data import DataError, Source, cifar, download, find, find_default, load
from xception.data.download import DownloadError


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(remote: object, *_: object, **__: object) -> Path:
        raise DownloadError("no network here")

    monkeypatch.setattr(download, "fetch", fetch)


@pytest.fixture
def tiny_cifar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar, "CIFAR10", TINY_CIFAR)


def test_parquet_is_described(tmp_path: Path) -> None:
    source = find(f"parquet:{parquet_folder(tmp_path / 'insects')}")
    assert (source.name, source.title) == ("parquet:insects", "parquet:insects")
    assert (source.num_train, source.num_test, source.num_classes, source.class_names) == (12, 6, 3, NAMES)
    assert (source.native_size, source.in_channels) == (32, 3)
    assert len(source.fingerprint) == 64


def test_folder_and_parquet_with_the_same_images_have_one_fingerprint(tmp_path: Path) -> None:
    folder = find(f"folder:{image_folder(tmp_path / 'images')}")
    parquet = find(f"parquet:{parquet_folder(tmp_path / 'tables')}")
    assert folder.fingerprint == parquet.fingerprint
    assert folder.class_names == parquet.class_names


def test_fingerprint_ignores_path_and_shards_but_not_content_or_order(tmp_path: Path) -> None:
    whole = find(f"parquet:{parquet_folder(tmp_path / 'whole')}")
    rows = examples(12, 0)
    shards = tmp_path / "elsewhere" / "data"
    parquet_folder(shards)
    (shards / "train-00000-of-00001.parquet").unlink()
    write_parquet(shards / "train-00000-of-00002.parquet", rows[:5])
    write_parquet(shards / "train-00001-of-00002.parquet", rows[5:])
    assert find(f"parquet:{tmp_path / 'elsewhere'}").fingerprint == whole.fingerprint

    seen = {whole.fingerprint}
    for i, changed in enumerate(
        (rows[::-1], rows[:-1], [(rows[0][0], 1), *rows[1:]], [(rows[0][0] + b"\0", rows[0][1]), *rows[1:]])
    ):
        folder = parquet_folder(tmp_path / f"changed{i}")
        write_parquet(folder / "train-00000-of-00001.parquet", changed)
        seen.add(find(f"parquet:{folder}").fingerprint)
    assert len(seen) == 5


def test_a_file_that_changes_in_place_is_hashed_again(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path / "set")
    file = folder / "train-00000-of-00001.parquet"
    before, status = find(f"parquet:{folder}"), file.stat()
    write_parquet(file, examples(12, 7))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert find(f"parquet:{folder}").fingerprint != before.fingerprint


def test_facts_are_remembered_and_a_damaged_memory_is_not_believed(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = parquet_folder(tmp_path / "set")
    first = find(f"parquet:{folder}")
    passes: list[str] = []
    read = type(first.reader).examples

    def counted(reader: Any, split: Any) -> Any:
        passes.append(split)
        return read(reader, split)

    monkeypatch.setattr(type(first.reader), "examples", counted)
    assert find(f"parquet:{folder}") == first
    assert passes == []
    (memo,) = (cache / "sources").glob("*.json")
    memo.write_text(memo.read_text().replace(first.fingerprint, "0" * 64))
    assert find(f"parquet:{folder}") == first
    assert passes == ["train", "test"]


@pytest.mark.parametrize(("protocol", "as_text"), [(2, False), (4, False), (2, True)])
@pytest.mark.usefixtures("tiny_cifar")
def test_torchvision_files_are_read(tmp_path: Path, protocol: int, as_text: bool) -> None:
    cifar_files(tmp_path / "data", protocol=protocol, as_text=as_text)
    source = find("cifar10", tmp_path / "data")
    assert (source.title, source.num_train, source.num_test, source.native_size) == ("CIFAR-10", 20, 4, 32)
    dataset = load(source)
    assert (dataset.train.images[4:8].numpy().transpose(0, 2, 3, 1) == pixels(4, 1)).all()
    assert dataset.train.labels.tolist()[:8] == [0, 1, 2, 3, 2, 3, 4, 5]


@pytest.mark.parametrize(("kind", "title"), [("JPEG", "CIFAR-10 (JPEG)"), ("PNG", "CIFAR-10")])
def test_jpeg_is_in_the_title_of_a_set_that_was_none(tmp_path: Path, kind: str, title: str) -> None:
    parquet_folder(tmp_path / "data" / "cifar10", kind=kind, image="img")
    assert find("cifar10", tmp_path / "data").title == title


def test_image_folders_serve_as_cifar_and_imagenette(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image_folder(tmp_path / "cifar10")
    image_folder(tmp_path / "imagenette2-160", test="val")
    monkeypatch.setenv("XCEPTION_DATA", str(tmp_path))
    assert find("cifar10").num_classes == 3
    assert find("imagenette").title == "Imagenette (32 px)"


def test_wordnet_folders_get_their_names(tmp_path: Path) -> None:
    image_folder(tmp_path / "imagenette")
    for split in ("train", "test"):
        (tmp_path / "imagenette" / split / "ant").rename(tmp_path / "imagenette" / split / "n03888257")
    assert find("imagenette", tmp_path).class_names == ("bee", "cat", "parachute")


@pytest.mark.parametrize("label", ["fine_label", "labels"])
def test_label_columns_of_the_hub_are_known_and_class_names_may_be_missing(tmp_path: Path, label: str) -> None:
    source = find(f"parquet:{parquet_folder(tmp_path / 'set', label=label, names=None)}")
    assert source.class_names == ("0", "1", "2")


@pytest.mark.usefixtures("no_network")
def test_default_is_cifar_if_found_and_reports_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet_folder(tmp_path / "data" / "cifar10", kind="JPEG")
    monkeypatch.chdir(tmp_path)
    source, notice = find_default()
    assert (source.title, notice) == ("CIFAR-10 (JPEG)", None)
    shutil.rmtree(tmp_path / "data")
    source, notice = find_default()
    assert source == find("synthetic")
    assert notice is not None
    assert "synthetic" in notice
    assert "no network here" in notice
    assert not (tmp_path / "data").exists()


@pytest.mark.usefixtures("no_network")
def test_damaged_cifar_is_an_error_and_no_reason_for_another_data_set(tmp_path: Path) -> None:
    (tmp_path / "cifar10").mkdir()
    with pytest.raises(DataError, match="empty or of another layout"):
        find_default(tmp_path)


def test_a_source_is_plain_and_travels_to_other_processes(tmp_path: Path) -> None:
    for name in (
        "synthetic:kappa=0.25",
        f"parquet:{parquet_folder(tmp_path / 'a')}",
        f"folder:{image_folder(tmp_path / 'b')}",
    ):
        source = find(name)
        assert pickle.loads(pickle.dumps(source)) == source  # noqa: S301 - our own object
        assert isinstance(source, Source)


def test_config_of_a_source_holds_sizes_against_it(tmp_path: Path) -> None:
    source = find(f"parquet:{parquet_folder(tmp_path / 'set')}")
    assert source.config(val_size=4, train_size=8).image_size == 32
    refused: tuple[dict[str, Any], ...] = ({"val_size": 4, "train_size": 9}, {"val_size": 12}, {"test_size": 7})
    for sizes in refused:
        with pytest.raises(DataError, match=r"not allowed; the t(raining|est) set has"):
            source.config(**sizes)


def test_finding_imports_no_torch_and_no_numpy() -> None:
    program = (
        "import sys, xception.data as d; d.find('synthetic'); print(sorted({'torch', 'numpy', 'pyarrow', 'PIL'} &"
        " set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- wrong use
# -------------------------------------------------------------------------------------------------------------


def refused(name: str, data_dir: Path | str | None = None) -> str:
    with pytest.raises(DataError) as caught:
        find(name, data_dir)
    message = str(caught.value)
    assert message.isprintable()
    return message


@pytest.mark.parametrize(
    "name", ["cifar11", "", ":", "folder:", "parquet:", "synthetic:", "CIFAR10", "folder", "a\0b", "\n"]
)
def test_errors_for_unknown_names_list_what_is_allowed(name: str) -> None:
    assert "allowed; " in refused(name)


@pytest.mark.parametrize(
    "options", ["kappa=1.01", "kappa=-0.1", "kappa=nan", "kappa=", "kappa=x", "seed=1", "0.5", "kappa=inf"]
)
def test_synthetic_options(options: str) -> None:
    assert f"synthetic:{options} is not allowed; synthetic or synthetic:kappa=K with K from 0 to 1" in refused(
        f"synthetic:{options}"
    )


@pytest.mark.usefixtures("no_network")
def test_folders_that_are_missing_empty_or_of_another_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "file").write_text("x")
    for kind in ("folder", "parquet"):
        assert "no such folder" in refused(f"{kind}:{tmp_path / 'nowhere'}")
    assert "no such folder" in refused(f"folder:{tmp_path / 'file'}")
    assert "not a whole Parquet file" in refused(f"parquet:{tmp_path / 'file'}")
    assert "no training split" in refused(f"folder:{empty}")
    assert "no Parquet file" in refused(f"parquet:{empty}")
    (empty / "train").mkdir()
    (empty / "val").mkdir()
    assert "0 classes" in refused(f"folder:{empty}")
    (empty / "train" / "ant").mkdir()
    assert "1 of 1 class folders have no image that is read here, first 'ant'" in refused(f"folder:{empty}")
    assert "is not a folder" in refused("cifar10", tmp_path / "nowhere")
    monkeypatch.setenv("XCEPTION_DATA", str(tmp_path / "file"))
    assert "XCEPTION_DATA" in refused("cifar10")
    assert "File name too long".lower() in refused(f"folder:{'x' * 300}")


def test_a_class_that_training_does_not_know(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "set")
    shutil.copytree(folder / "test" / "ant", folder / "test" / "wasp")
    assert "class 'wasp' is not allowed" in refused(f"folder:{folder}")


def test_tables_that_are_damaged_empty_or_of_another_layout(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path / "set")
    train = folder / "train-00000-of-00001.parquet"
    good = train.read_bytes()
    for num_bytes in (0, 3, 100, len(good) // 2, len(good) - 1):
        train.write_bytes(good[:num_bytes])
        assert "not a whole Parquet file" in refused(f"parquet:{folder}")
    write_parquet(train, [])
    assert "0 rows are not allowed" in refused(f"parquet:{folder}")
    write_parquet(train, examples(3), label="target")
    assert "columns or class names differ" in refused(f"parquet:{folder}")
    write_parquet(train, examples(3), label="target", names=None)
    assert "columns image, target are not allowed, no column of classes" in refused(f"parquet:{folder}")
    write_parquet(train, examples(3), names=("ant", "bee"))
    assert "differ from those of" in refused(f"parquet:{folder}")
    for label, words in (
        (3, "label 3 is not allowed; 0 to 2"),
        (-1, "label -1 is not allowed"),
        (None, "a row without 'label'"),
    ):
        write_parquet(train, [*examples(3), (encoded(pixels(1)[0]), label)])
        assert words in refused(f"parquet:{folder}")
    write_parquet(train, [(b"no image", 0), (b"no image", 1), (b"", 2)])
    write_parquet(folder / "test-00000-of-00001.parquet", [(b"no image", 0)])
    assert "no image that can be read" in refused(f"parquet:{folder}")


def test_a_table_with_a_damaged_page_is_refused(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path / "set", num_train=60)
    train = folder / "train-00000-of-00001.parquet"
    good = bytearray(train.read_bytes())
    good[4:200] = bytes(196)
    train.write_bytes(good)
    assert "damaged" in refused(f"parquet:{folder}")


def test_names_from_outside_cannot_break_a_line(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "set")
    shutil.copytree(folder / "test" / "ant", folder / "test" / "wasp\n\x1b[31m")
    assert "wasp" in refused(f"folder:{folder}")


def test_names_of_classes_and_folders_from_outside_are_made_harmless(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "set\n\x1b[31m")
    bad = os.fsencode(folder / "train") + b"/wasp\xff\n"
    os.mkdir(bad)
    (Path(os.fsdecode(bad)) / "y.png").write_bytes(encoded(pixels(1, 9)[0]))
    (folder / "train" / "ant" / "x\n\x1b.png").write_bytes(b"no image")
    source = find(f"folder:{folder}")
    assert source.title == source.name == "folder:set??[31m"
    assert source.class_names == (*NAMES, "wasp??")
    dataset = load(source)
    assert dataset.num_broken == 1
    assert dataset.broken[0].isprintable()


def damage_tables(folder: Path, rounds: int) -> int:
    """Damage a table at random; return how often it was refused. Anything but a source or DataError is a failure."""
    train = folder / "train-00000-of-00001.parquet"
    good = train.read_bytes()
    rng = random.Random(0)
    refusals = 0
    for _ in range(rounds):
        content = bytearray(good)
        for _ in range(rng.randint(1, 6)):
            content[rng.randrange(len(content)) if rng.random() < 0.5 else -rng.randint(1, 900)] = rng.randrange(256)
        if rng.random() < 0.1:
            del content[rng.randrange(len(content)) :]
        train.write_bytes(content)
        try:
            assert find(f"parquet:{folder}").num_train > 0
        except DataError:
            refusals += 1
    return refusals


def test_damaged_tables_give_a_source_or_a_clean_error(tmp_path: Path) -> None:
    assert damage_tables(parquet_folder(tmp_path / "set", 3, 3), 150) > 50


@pytest.mark.long
def test_many_damaged_tables(tmp_path: Path) -> None:
    assert damage_tables(parquet_folder(tmp_path / "set", 3, 3), 20_000) > 5000


# -- real data
# -------------------------------------------------------------------------------------------------------------


def test_real_cifar(real_data: Path) -> None:
    source = find("cifar10", real_data)
    assert (source.num_train, source.num_test, source.num_classes, source.native_size) == (50_000, 10_000, 10, 32)
    assert source.class_names[:3] == ("airplane", "automobile", "bird")
    assert source.title in ("CIFAR-10", "CIFAR-10 (JPEG)")
