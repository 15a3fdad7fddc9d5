"""Images are decoded once, by one process, into files that are used only while their checksums match."""

from __future__ import annotations

import concurrent.futures
import hashlib
import multiprocessing
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.xception.data.data_builders import (
    NAMES,
    decoded_checksum,
    encoded,
    image_folder,
    parquet_folder,
    pixels,
    write_parquet,
)
from xception.base.files import cache_dir, lock, read_json, write_atomic, write_json
from xception.data import DataError, Dataset, Source, find, load


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return find(f"parquet:{parquet_folder(tmp_path / 'set')}")


def decoded_folder(cache: Path) -> Path:
    (folder,) = [path for path in (cache / "decoded").iterdir() if path.is_dir()]
    return folder


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows by a name with every decoding of a whole set."""
    from xception.data import decoded

    calls: list[str] = []
    build = decoded.build_decoded

    def counted(source: Any, *rest: Any) -> Any:
        calls.append(source.name)
        return build(source, *rest)

    monkeypatch.setattr(decoded, "build_decoded", counted)
    return calls


def same(a: Dataset, b: Dataset) -> bool:
    return all(
        torch.equal(x.images, y.images) and torch.equal(x.labels, y.labels)
        for x, y in ((a.train, b.train), (a.test, b.test))
    ) and ((a.statistics, a.num_broken, a.broken) == (b.statistics, b.num_broken, b.broken))


def test_a_data_set_is_decoded_in_order(source: Source) -> None:
    dataset = load(source)
    order = sorted(range(12), key=lambda i: i % 3)
    assert (dataset.train.images.numpy().transpose(0, 2, 3, 1) == pixels(12)[order]).all()
    assert dataset.train.labels.tolist() == [i % 3 for i in order]
    assert dataset.train.images.dtype == torch.uint8
    assert dataset.train.labels.dtype == torch.int64
    assert (len(dataset.test), dataset.test.num_bytes) == (6, 6 * 3 * 32 * 32)


def test_statistics_are_those_of_the_training_set(source: Source) -> None:
    dataset = load(source)
    values = dataset.train.images.double() / 255
    assert dataset.statistics.mean == pytest.approx(values.mean((0, 2, 3)).tolist(), abs=1e-12)
    assert dataset.statistics.std == pytest.approx(values.std((0, 2, 3), unbiased=False).tolist(), abs=1e-12)


def test_a_set_without_variance_can_be_normalised(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path / "flat")
    write_parquet(
        folder / "train-00000-of-00001.parquet", [(encoded(np.full((8, 8, 3), 51, np.uint8)), i) for i in range(3)]
    )
    statistics = load(find(f"parquet:{folder}")).statistics
    assert statistics.mean == pytest.approx([0.2] * 3)
    assert statistics.std == pytest.approx([1 / 255] * 3)


def test_the_second_time_nothing_is_decoded_and_another_size_is_another_cache(source: Source, count: list[str]) -> None:
    first = load(source)
    assert same(load(source), first)
    assert len(count) == 1
    assert load(source, 16).train.images.shape == (12, 3, 16, 16)
    assert len(count) == 2


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("name", ["train-images", "train-labels", "test-images", "test-labels", "manifest.json"])
@pytest.mark.parametrize("damage", [flip, cut, Path.unlink], ids=["a bit flipped", "cut short", "gone"])
def test_a_damaged_cache_is_noticed_and_decoded_again(
    source: Source, cache: Path, count: list[str], name: str, damage: Callable[[Path], None]
) -> None:
    images = load(source).train.images.clone()
    damage(decoded_folder(cache) / name)
    assert torch.equal(load(source).train.images, images)
    assert len(count) == 2
    assert sorted(p.name for p in decoded_folder(cache).iterdir()) == [
        "manifest.json",
        "test-images",
        "test-labels",
        "train-images",
        "train-labels",
    ]


def test_what_a_killed_process_left_is_cleared_away(source: Source, cache: Path) -> None:
    load(source)
    folder = decoded_folder(cache)
    folder.rename(folder.with_name(f"{folder.name}.tmp"))
    (folder.with_name(f"{folder.name}.tmp") / "manifest.json").unlink()
    assert len(load(source).train) == 12
    assert decoded_folder(cache) == folder


def test_writing_to_the_images_never_reaches_the_cache(source: Source) -> None:
    first = load(source)
    before = first.train.images.clone()
    first.train.storage.zero_()
    assert torch.equal(load(source).train.images, before)


def test_processes_that_start_at_once_decode_once(source: Source, cache: Path) -> None:
    with concurrent.futures.ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        sums = list(pool.map(decoded_checksum, [source] * 3))
    assert sums == [hashlib.sha256(load(source).train.images.numpy().tobytes()).hexdigest()] * 3
    assert decoded_folder(cache).is_dir()


def test_files_that_change_between_finding_and_decoding_are_refused(
    source: Source, tmp_path: Path, cache: Path
) -> None:
    parquet_folder(tmp_path / "set", num_train=13)
    with pytest.raises(DataError, match="the files changed since they were found"):
        load(source)
    assert not [path for path in (cache / "decoded").iterdir() if path.is_dir()]


def test_broken_images_are_listed_counted_and_left_out(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "set")
    (folder / "train" / "bee" / "broken.jpg").write_bytes(b"\xff\xd8 no more")
    (folder / "test" / "cat" / "empty.png").write_bytes(b"")
    (folder / "test" / "cat" / "notes.txt").write_text("no image, not counted")
    dataset = load(find(f"folder:{folder}"))
    assert (len(dataset.train), len(dataset.test), dataset.num_broken) == (12, 6, 2)
    assert dataset.broken[0].startswith(f"train {os.path.join('bee', 'broken.jpg')}: ")
    assert dataset.broken[1].startswith(f"test {os.path.join('cat', 'empty.png')}: ")
    assert same(load(dataset.source), dataset)


def test_a_split_of_broken_images_alone_is_an_error(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "set")
    shutil.rmtree(folder / "test")
    (folder / "test" / NAMES[0]).mkdir(parents=True)
    (folder / "test" / NAMES[0] / "x.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"no image of the test split can be decoded \(first: test ant.x.png"):
        load(find(f"folder:{folder}"))


@pytest.mark.parametrize("size", [0, -1, 4097])
def test_sizes_out_of_range(source: Source, size: int) -> None:
    with pytest.raises(DataError, match=f"image_size: {size} is not allowed; 1 to 4096"):
        load(source, size)


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("XCEPTION_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(
        DataError, match=r"cannot be made \(not a directory\); name a folder that can in \$XCEPTION_CACHE"
    ):
        load(find("synthetic"))


def test_a_full_disk_is_foreseen(source: Source, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    usage = type(shutil.disk_usage(cache))(total=10**9, used=10**9 - 10, free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"0.0 GB free, 0.0 GB are needed"):
        load(source)
    assert not [path for path in (cache / "decoded").iterdir() if path.is_dir()]


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XCEPTION_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "xception"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_dir() == tmp_path / "home" / ".cache" / "xception"


def test_an_atomic_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), write_atomic(path) as file:
        file.writelines([b"half", None])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_on_disk_before_it_has_its_name_and_the_name_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    fsync, replace = os.fsync, os.replace

    def sync(descriptor: int) -> None:
        calls.append(
            "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else f"file of {os.fstat(descriptor).st_size} bytes"
        )
        fsync(descriptor)

    def rename(source: Path, target: Path) -> None:
        calls.append(f"rename to {target.name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", rename)
    with write_atomic(tmp_path / "x") as file:
        file.write(b"whole")
    assert calls == ["file of 5 bytes", "rename to x", "folder"]


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"[]", b"null", b'{"sha256": "0", "content": {}}', b"\xff", b"[" * 100_000]
)
def test_documents_that_were_damaged_count_as_missing(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(raw)
    assert read_json(path) is None
    write_json(path, {"a": [1, 2.5, None]})
    assert read_json(path) == {"a": [1, 2.5, None]}


def test_a_lock_names_its_holder_and_is_freed_by_its_death(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    program = (
        "import sys, pathlib, xception.base.files as c\n"
        "with c.lock(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(DataError, match=f"still held by process {holder.pid} after 0.1 s"),
            lock(path, timeout_seconds=0.1),
        ):
            pass
        holder.kill()
        holder.wait()
        with lock(path, timeout_seconds=10):
            assert path.read_text() == f"{os.getpid()}\n"


@pytest.mark.long
def test_real_cifar_decodes_to_known_statistics(real_data: Path) -> None:
    dataset = load(find("cifar10", real_data))
    assert dataset.num_broken == 0
    assert dataset.train.labels.bincount().tolist() == [5000] * 10
    # The usual means and deviations of CIFAR-10; JPEG changes them in the third digit.
    assert dataset.statistics.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=2e-3)
    assert dataset.statistics.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=3e-3)
