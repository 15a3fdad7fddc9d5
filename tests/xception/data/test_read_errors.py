"""A read error is not a broken image: the run stops with the file's name and the reason, and nothing is cached."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.xception.data.data_builders import image_folder, parquet_folder
from xception.base.errors import printable
from xception.data import DataError, Source, find, load
from xception.data.images import BrokenImageError, decode
from xception.data.summary import prepare


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return find(f"folder:{image_folder(tmp_path / 'set')}")


def nothing_cached(cache: Path) -> bool:
    return not [path for path in (cache / "decoded").glob("*") if path.is_dir()]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.EMFILE, errno.ENOMEM, errno.ESTALE])
@pytest.mark.parametrize("step", ["finding", "decoding"])
def test_a_file_that_cannot_be_read_stops_the_run(
    source: Source, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, number: int, step: str
) -> None:
    read = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.suffix == ".png" and path.name == "005.png":
            raise OSError(number, os.strerror(number), str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", fail)
    os.utime(tmp_path / "set" / "train" / "ant" / "000.png")  # earlier findings are not reused
    with pytest.raises(DataError, match=rf"005\.png'.*{os.strerror(number).lower()}"):
        find(f"folder:{tmp_path / 'set'}") if step == "finding" else load(source)
    if step == "finding":
        assert len(list((cache / "sources").glob("*.json"))) == 1  # of the fixture
    assert nothing_cached(cache)


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory"), OSError("out of memory error")]
)
def test_want_of_memory_while_decoding_is_no_broken_image(
    source: Source, cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    from xception.data import images

    calls: list[int] = []

    def fail(image: Any, deep_bits: int) -> Any:
        calls.append(1)
        if len(calls) > 3:
            raise error
        return image

    monkeypatch.setattr(images, "_rgb", fail)
    with pytest.raises(DataError, match=r"\.png: an image cannot be decoded: (out of|cannot allocate) memory"):
        prepare(source)
    assert nothing_cached(cache)


def test_a_table_that_cannot_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet

    folder = parquet_folder(tmp_path / "set")

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(pyarrow.parquet, "ParquetFile", fail)
    with pytest.raises(DataError, match=r"parquet': cannot be read \(input/output error\)"):
        find(f"parquet:{folder}")


@pytest.mark.parametrize("place", ["train/ant", "train", "test/cat", "train/bee/inner"])
def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    folder = image_folder(tmp_path / "set")
    (folder / "train" / "bee" / "inner").mkdir()
    scan = os.scandir

    def fail(path: Any) -> Iterator[os.DirEntry[str]]:
        if Path(path) == folder / place:  # as for chmod 000, which does not affect the superuser
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(DataError, match=rf"{place}: cannot be read \(permission denied\)"):
        find(f"folder:{folder}")


@pytest.fixture
def ordinary_user() -> Iterator[Path]:
    """A folder of an ordinary user, as which the test runs: the superuser may read everything."""
    with tempfile.TemporaryDirectory() as name:
        own = os.geteuid()
        os.chmod(name, 0o777)
        if own == 0:
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            os.seteuid(own)


@pytest.mark.parametrize("place", ["train/ant", "test/bee", "train/cat/002.png"])
def test_chmod_000_is_refused(ordinary_user: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setenv("XCEPTION_CACHE", str(ordinary_user / "cache"))
    folder = image_folder(ordinary_user / "set")
    place = place.replace("002", sorted((folder / "train" / "cat").iterdir())[0].stem)
    mode = (folder / place).stat().st_mode
    (folder / place).chmod(0)
    try:
        with pytest.raises(DataError, match=r"cannot be read \(permission denied\)"):
            find(f"folder:{folder}")
    finally:
        (folder / place).chmod(mode)


def test_messages_never_show_an_address() -> None:
    assert printable("cannot identify image file <_io.BytesIO object at 0x7f12ab>") == (
        "cannot identify image file <_io.BytesIO>"
    )
    with pytest.raises(BrokenImageError) as caught:
        decode(b"\x89PNG\r\n\x1a\n" + bytes(40), 8)
    assert "0x" not in str(caught.value)
    out = io.BytesIO()
    Image.new("RGB", (64, 64)).save(out, "JPEG")
    for end in range(2, len(out.getvalue()), 37):
        with contextlib.suppress(BrokenImageError):
            decode(out.getvalue()[:end], 8)
            continue
        with pytest.raises(BrokenImageError, match=r"^(?!.*0x).*$"):
            decode(out.getvalue()[:end], 8)
