"""Nothing read from disk or network executes code or writes outside its folder."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import random
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.xception.data.data_builders import TINY_CIFAR, cifar_files, python2_pickle
from xception.data import DataError, cifar, find
from xception.data.archive import extract
from xception.data.cifar import CIFAR10, open_cifar, read_pickle
from xception.data.download import DownloadError, Remote, fetch

# -- pickles
# ---------------------------------------------------------------------------------------------------------------


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.mark.parametrize("where", ["value", "key", "in place of the dict"])
def test_a_pickle_that_would_run_a_command_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(cifar, "CIFAR10", TINY_CIFAR)
    folder = cifar_files(tmp_path)
    bomb = Bomb(f"touch {tmp_path / 'burnt'}")
    content: Any = {"value": {"data": bomb, "labels": [0]}, "key": {(bomb, "x"): 1}, "in place of the dict": bomb}[
        where
    ]
    (folder / "data_batch_2").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=r"needs (posix|nt)\.system, which is refused"):
        find("cifar10", tmp_path)
    assert not (tmp_path / "burnt").exists()


@pytest.mark.parametrize(
    "raw",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"c__builtin__\neval\n(S'1'\ntR.",
        b"cbuiltins\ngetattr\n(I1\nS'real'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"\x80\x02cnumpy.core.multiarray\nscalar\n.",
        b"c_codecs\ndecode\n(S'x'\ntR.",
        b"Pwhatever\n.",
        b"\x80\x04\x82\x01.",
        b"\x80\x02Nr\xff\xff\xff\x7f.",
        b"cnumpy\ndtype\n}U\x01xK\x01sb.",
        b"cnumpy\nndarray\n)R.",
        b"\x80\x05\x96\xff\xff\xff\xff\xff\0\0\0.",
        b"(ios\nsystem\n.",
        b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.",
    ],
)
def test_no_other_name_is_called(raw: bytes) -> None:
    with pytest.raises(DataError):
        read_pickle(raw, "file")


def test_arrays_of_a_pickle_never_reach_numpy_unless_they_are_bytes() -> None:
    for array in (
        np.zeros((2, 3072), np.float32),
        np.asfortranarray(np.zeros((2, 3072), np.uint8)),
        np.array([print, len], dtype=object),
    ):
        loaded: Any
        try:
            loaded = read_pickle(pickle.dumps({"data": array}, protocol=2), "file")
        except DataError:
            continue  # the functions in it have names
        assert loaded["data"].content() is None
    assert read_pickle(pickle.dumps(np.arange(4, dtype=np.uint8), protocol=2), "file").content() == bytes(range(4))


# Python's own readers of pickles warn of invalid escapes in names.
ESCAPES = pytest.mark.filterwarnings("ignore:invalid .*escape sequence:DeprecationWarning")


def message_of(raw: bytes) -> str:
    try:
        read_pickle(raw, "file")
    except DataError as error:
        return str(error)
    return ""


@ESCAPES
@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200))
@example(b"\x80\x02" + b"(" * 5000 + b".")
@example(b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.")
def test_any_bytes_are_plain_values_or_a_clean_error(raw: bytes) -> None:
    assert message_of(raw).isprintable()


def damaged_pickles(rounds: int) -> int:
    """Damage a valid pickle at random; return how often it was refused."""
    rng = random.Random(0)
    good = python2_pickle({"data": np.arange(24, dtype=np.uint8).reshape(2, 12), "labels": [1, 2]})
    refusals = 0
    for _ in range(rounds):
        content = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        message = message_of(bytes(content))
        assert message.isprintable()
        refusals += message != ""
    return refusals


@ESCAPES
def test_damaged_pickles_are_plain_values_or_a_clean_error() -> None:
    assert damaged_pickles(2000) > 500


@ESCAPES
@pytest.mark.long
def test_many_damaged_pickles() -> None:
    assert damaged_pickles(50_000) > 10_000


def test_known_files_are_checked_against_their_checksums(tmp_path: Path) -> None:
    folder = cifar_files(tmp_path)
    with pytest.raises(DataError, match=r"batches.meta': truncated or damaged \(MD5 [0-9a-f]{32}\); 5ff9c542"):
        open_cifar(folder, CIFAR10)


@pytest.mark.parametrize("damage", ["half", "other labels", "list", "missing"])
def test_files_of_another_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    monkeypatch.setattr(cifar, "CIFAR10", TINY_CIFAR)
    file = cifar_files(tmp_path) / "data_batch_3"
    content = pickle.loads(file.read_bytes())  # noqa: S301 - our own file
    if damage == "half":
        file.write_bytes(file.read_bytes()[:1000])
    elif damage == "other labels":
        file.write_bytes(pickle.dumps({**content, "labels": content["labels"][:-1]}, protocol=2))
    elif damage == "list":
        file.write_bytes(pickle.dumps([1, 2]))
    else:
        file.unlink()
    with pytest.raises(DataError, match="data_batch_3"):
        find("cifar10", tmp_path)


# -- archives
# --------------------------------------------------------------------------------------------------------------


def archive(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, 0o7777
    return info


def test_an_honest_archive(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tgz", [(member("top", tarfile.DIRTYPE), b""), (member("top/sub/file"), b"content")])
    out = extract(path, "top", tmp_path / ".", max_bytes=100)
    assert (out / "sub" / "file").read_bytes() == b"content"
    assert not (out / "sub" / "file").stat().st_mode & 0o7000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tgz", "top"]


@pytest.mark.parametrize(
    "bad",
    [
        member("/etc/evil"),
        member("../evil"),
        member("top/../../evil"),
        member("other/file"),
        member("top/link", tarfile.SYMTYPE, "/etc/passwd"),
        member("top/hard", tarfile.LNKTYPE, "top/file"),
        member("top/fifo", tarfile.FIFOTYPE),
        member("top/device", tarfile.CHRTYPE),
        member("top/..\\evil"),
        member("top/block", tarfile.BLKTYPE),
        member("top/file"),
        member("top/file/under"),
    ],
    ids=lambda m: f"{m.name} {m.type.decode('latin1')}",
)
def test_archives_with_members_that_are_not_allowed_leave_nothing(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    into = tmp_path / "deep" / "into"
    into.mkdir(parents=True)
    path = archive(tmp_path / "a.tgz", [(member("top/file"), b"x"), (bad, b"")])
    with pytest.raises(DataError, match=r"a\.tgz"):
        extract(path, "top", into, max_bytes=100)
    assert list(into.iterdir()) == []
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.tgz", "deep", "into"]


def test_archives_that_are_damaged_or_unpack_to_too_much(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tgz", [(member("top/file"), np.random.default_rng(0).bytes(1_000_000))])
    with pytest.raises(DataError, match="unpacks to more than"):
        extract(path, "top", tmp_path, max_bytes=999_999)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"plain text", whole[:100] + b"\0" * 50 + whole[150:]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"a\.tgz"):
            extract(path, "top", tmp_path, max_bytes=2_000_000)
    assert not (tmp_path / "top").exists()


# -- downloads
# -------------------------------------------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """Serves one body, or nothing, and counts the requests."""

    body = b""
    declared: int | None = None
    silent = False
    requests = 0
    released: threading.Event


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        if self.server.silent:
            self.server.released.wait()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.declared or len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.released = threading.Event()
        running.body = archive(tmp_path / "source.tgz", [(member("top/file"), b"content")]).read_bytes()
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.released.set()
        running.shutdown()
        thread.join()


def remote(server: Server, **changes: Any) -> Remote:
    facts = {
        "url": f"http://127.0.0.1:{server.server_port}/top.tgz",
        "algorithm": "sha256",
        "checksum": hashlib.sha256(server.body).hexdigest(),
        "max_bytes": len(server.body),
    }
    return Remote(**{**facts, **changes})


def test_a_download_arrives_whole_and_once(tmp_path: Path, server: Server) -> None:
    data = tmp_path / "new" / "data"
    results: list[Path] = []
    threads = [
        threading.Thread(target=lambda: results.append(fetch(remote(server), "top", data, max_bytes=100)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [data / "top"] * 4
    assert (data / "top" / "file").read_bytes() == b"content"
    assert server.requests == 1
    assert sorted(p.name for p in data.iterdir()) == ["top", "top.tgz"]


def test_an_archive_that_lies_there_is_not_fetched_again_unless_damaged(tmp_path: Path, server: Server) -> None:
    (tmp_path / "top.tgz").write_bytes(server.body)
    fetch(remote(server), "top", tmp_path, max_bytes=100)
    assert server.requests == 0
    (tmp_path / "top" / "file").unlink()
    (tmp_path / "top").rmdir()
    (tmp_path / "top.tgz").write_bytes(server.body[:-1])
    fetch(remote(server), "top", tmp_path, max_bytes=100)
    assert server.requests == 1


def test_a_download_with_another_hash_leaves_nothing(tmp_path: Path, server: Server) -> None:
    data = tmp_path / "data"
    with pytest.raises(DownloadError, match=f"refused, .* {'0' * 64} is allowed"):
        fetch(remote(server, checksum="0" * 64), "top", data, max_bytes=100)
    with pytest.raises(DownloadError, match="refused, more than"):
        fetch(remote(server, max_bytes=10), "top", data, max_bytes=100)
    whole = remote(server)
    server.declared, server.body = len(server.body), server.body[:-10]
    with pytest.raises(DownloadError, match=r"broke off after|refused"):
        fetch(whole, "top", data, max_bytes=100)
    assert list(data.iterdir()) == []


def test_no_answer_is_an_error_and_leaves_not_even_a_folder(tmp_path: Path, server: Server) -> None:
    server.silent = True
    with pytest.raises(DownloadError, match=r"no answer within 0.2 s|timed out"):
        fetch(remote(server), "top", tmp_path / "data", max_bytes=100, timeout_seconds=0.2)
    with pytest.raises(DownloadError, match="cannot be downloaded"):
        fetch(remote(server, url="http://127.0.0.1:1/top.tgz"), "top", tmp_path / "data", max_bytes=100)
    assert not (tmp_path / "data").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path, server: Server) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot be made"):
        fetch(remote(server), "top", tmp_path / "file" / "data", max_bytes=100)
