"""Download one file of known hash: by one process at a time, and under its name only once it is complete and verified.

A download library such as pooch would spare a third of this module and bring three packages, and the limits that matter
here would still be ours: on the bytes read, and on the time to a response, name resolution included.
"""

from __future__ import annotations

import hashlib
import http.client
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xception.base.errors import DataError
from xception.base.files import cache_dir, lock, reason, write_atomic
from xception.data.archive import extract

__all__ = ["ANSWER_TIMEOUT_SECONDS", "DownloadError", "Remote", "fetch"]

ANSWER_TIMEOUT_SECONDS = 10.0
BLOCK = 1 << 20


class DownloadError(DataError):
    """A file is neither on disk nor could it be downloaded."""


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A file on the network, and its hash."""

    url: str
    algorithm: str  # 'sha256', or 'md5' where no other is published
    checksum: str
    max_bytes: int  # no more than this is read

    @property
    def file_name(self) -> str:
        """The last part of the URL."""
        return self.url.rpartition("/")[2]


def fetch(
    remote: Remote, top: str, folder: Path, *, max_bytes: int, timeout_seconds: float = ANSWER_TIMEOUT_SECONDS
) -> Path:
    """Return `folder / top`, unpacked from an archive that is downloaded if it is not in the folder yet.

    Raises:
        DownloadError: no answer within the timeout, or content that does not match the hash. DataError: the folder
        cannot be written, or the archive unpacks to more than `max_bytes` or to files that are not allowed.
    """
    path = folder / remote.file_name
    # The lock is in the cache: if there is no response, nothing is left in the data folder.
    place = hashlib.sha256(str(path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    with lock(cache_dir() / f"download-{place}.lock"):
        if not (folder / top).is_dir():  # it may have appeared while this process waited
            if not (path.is_file() and _matches(path, remote)):
                _download(remote, path, timeout_seconds)
            extract(path, top, folder, max_bytes=max_bytes)
    return folder / top


def _matches(path: Path, remote: Remote) -> bool:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, remote.algorithm).hexdigest() == remote.checksum


def _download(remote: Remote, path: Path, timeout_seconds: float) -> None:
    digest = hashlib.new(remote.algorithm)
    num = 0
    with _opened(remote.url, timeout_seconds) as answer:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"{str(path.parent)!r}: cannot be made ({reason(error)}); a data folder that can be written"
            ) from None
        with write_atomic(path) as file:
            for block in _blocks(answer, remote):
                digest.update(block)
                file.write(block)
                num += len(block)
            if digest.hexdigest() != remote.checksum:
                raise DownloadError(
                    f"{remote.url}: refused, {num} bytes of {remote.algorithm} {digest.hexdigest()}; "
                    f"{remote.checksum} is allowed"
                )


def _blocks(answer: Any, remote: Remote) -> Iterator[bytes]:
    num = 0
    while True:
        try:
            block = answer.read(BLOCK)
        except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
            raise DownloadError(
                f"{remote.url}: the download broke off after {num} bytes ({type(error).__name__}); run it again"
            ) from None
        if not block:
            return
        num += len(block)
        if num > remote.max_bytes:
            raise DownloadError(f"{remote.url}: refused, more than {remote.max_bytes} bytes")
        yield block


def _opened(url: str, timeout_seconds: float) -> Any:
    """Return the response to a request. The timeout includes name resolution, for which the system has none."""
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(urllib.request.urlopen(url, timeout=timeout_seconds))
        except (OSError, http.client.HTTPException, ValueError) as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True, name="download").start()
    try:
        answer = answers.get(timeout=timeout_seconds)
    except queue.Empty:
        raise DownloadError(
            f"{url}: no answer within {timeout_seconds:g} s; put the files into the data folder by hand"
        ) from None
    if isinstance(answer, urllib.error.HTTPError):
        answer.close()
    if isinstance(answer, Exception):
        cause = answer.reason if isinstance(answer, urllib.error.URLError) else answer
        words = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        raise DownloadError(
            f"{url}: cannot be downloaded ({str(words).lower()}); put the files into the data folder by hand"
        )
    return answer
