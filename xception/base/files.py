"""Files that can be made again: where they live, how they are written so that a kill leaves no half of one, and
locks.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xception.base.errors import DataError

__all__ = ["cache_dir", "lock", "read_json", "reason", "sync_dir", "write_atomic", "write_json"]

LOCK_TIMEOUT_SECONDS = 3600.0


def cache_dir() -> Path:
    """Return the folder for decoded images, made where it is missing: $XCEPTION_CACHE, else `xception` in the user's
    cache.

    Raises:
        DataError: it cannot be made or written.
    """
    named = os.environ.get("XCEPTION_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = Path(named) if named else Path(base) / "xception"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cache: {str(path)!r} cannot be made ({reason(error)}); name a folder that can in $XCEPTION_CACHE"
        ) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise DataError(f"cache: {str(path)!r} cannot be written; name a folder that can in $XCEPTION_CACHE")
    return path


def reason(error: OSError) -> str:
    """Return what went wrong in a few words of lower case, without the path."""
    return (error.strerror or str(error) or type(error).__name__).lower()


def sync_dir(path: Path) -> None:
    """Make a rename inside the folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def write_atomic(path: Path) -> Iterator[Any]:
    """Open a binary file that appears under its name whole or not at all: temporary file, fsync, rename, fsync of the
    folder.

    Raises:
        DataError: the folder cannot be written or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_dir(path.parent)
    except OSError as error:
        raise DataError(
            f"{str(path)!r}: cannot be written ({reason(error)}); a folder that can, with space left"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write a small document with its own checksum, atomically."""
    text = json.dumps(content, sort_keys=True)
    with write_atomic(path) as file:
        file.write(
            json.dumps(
                {"sha256": hashlib.sha256(text.encode()).hexdigest(), "content": content}, sort_keys=True
            ).encode()
        )


def read_json(path: Path) -> Any | None:
    """Return a document that `write_json` wrote; None where it is missing or was damaged since."""
    try:
        document = json.loads(path.read_bytes())
        text = json.dumps(document["content"], sort_keys=True)
        intact = hashlib.sha256(text.encode()).hexdigest() == document["sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return document["content"] if intact else None


@contextlib.contextmanager
def lock(path: Path, timeout_seconds: float = LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
    """Hold a lock file that the system lets go when its holder dies; others wait.

    Raises:
        DataError: the file cannot be made, or another process held it until the time was over.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise DataError(f"{str(path)!r}: cannot be written ({reason(error)}); a folder that can") from None
    try:
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
                    raise DataError(f"{str(path)!r}: cannot be locked ({reason(error)})") from None
            if time.monotonic() > deadline:
                holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
                raise DataError(
                    f"{str(path)!r}: still held by process {holder} after {timeout_seconds:g} s; end that process"
                )
            time.sleep(0.05)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
