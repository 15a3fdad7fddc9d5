"""Files that can be made again: where they live, how they are written so that a kill leaves no partial file, and locks.

The library filelock would replace `lock` alone: it cannot lock a folder itself, as `lock_folder` does.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xception.base.errors import DataError

__all__ = [
    "cache_dir",
    "lock",
    "lock_folder",
    "read_json",
    "reason",
    "refuse_windows",
    "require_locks",
    "sync_dir",
    "write_atomic",
    "write_atomically",
    "write_json",
]

try:
    import fcntl
except ImportError:  # Windows, which is refused where data or a store is opened
    fcntl = None  # type: ignore[assignment]

LOCK_TIMEOUT_SECONDS = 3600.0


def refuse_windows() -> None:
    """Require a system with POSIX locks.

    Raises:
        DataError: this one has none.
    """
    if fcntl is None or os.name == "nt":
        raise DataError("Windows: not supported; Linux or macOS, or the Windows Subsystem for Linux")


def cache_dir() -> Path:
    """Return the folder for decoded images, made where it is missing: $XCEPTION_CACHE, else `xception` in the user's
    cache.

    Raises:
        DataError: it cannot be made or written.
    """
    refuse_windows()
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
    """Make a rename inside the folder survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def write_atomic(path: Path) -> Iterator[Any]:
    """Open a binary file that appears under its name whole or not at all, and survives a power failure once it is
    there.

    Raises:
        DataError: the folder cannot be written or the disk is full.
    """
    try:
        with _whole(path) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        sync_dir(path.parent)
    except OSError as error:
        raise DataError(
            f"{str(path)!r}: cannot be written ({reason(error)}); a folder that can, with space left"
        ) from None


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file that can be made again, so that a reader sees the old one or the new one, never a part.

    Raises:
        OSError: the folder cannot be written or the disk is full.
    """
    with _whole(path) as file:
        file.write(content if isinstance(content, bytes) else content.encode("utf-8"))


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[Any]:
    """A temporary file, which is renamed at the end and removed on an error."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
        os.replace(temporary, path)
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
    """Return a document that `write_json` wrote; None if it is missing or damaged."""
    try:
        document = json.loads(path.read_bytes())
        text = json.dumps(document["content"], sort_keys=True)
        intact = hashlib.sha256(text.encode()).hexdigest() == document["sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return document["content"] if intact else None


@contextlib.contextmanager
def lock(path: Path, timeout_seconds: float = LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
    """Hold a lock file that the system releases when its holder dies; others wait.

    Raises:
        DataError: the file cannot be made, or another process held it until the timeout.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise DataError(f"{str(path)!r}: cannot be written ({reason(error)}); a folder that can") from None
    try:
        if not _acquire(descriptor, path, timeout_seconds):
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise DataError(
                f"{str(path)!r}: still held by process {holder} after {timeout_seconds:g} s; end that process"
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def lock_folder(folder: Path, timeout_seconds: float = LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
    """Lock a folder itself, which leaves no file behind; others that lock it wait.

    Raises:
        DataError: the folder cannot be opened or locked, or another process held it until the timeout.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise DataError(f"{str(folder)!r}: cannot be opened ({reason(error)}); a folder that can") from None
    try:
        if not _acquire(descriptor, folder, timeout_seconds):
            raise DataError(f"{str(folder)!r}: still held by another process after {timeout_seconds:g} s; end it")
        yield
    finally:
        os.close(descriptor)


def require_locks(folder: Path) -> None:
    """Check that the file system of a folder has locks, without waiting for one.

    Raises:
        DataError: it has none.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _acquire(descriptor, folder, 0.0)
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, timeout_seconds: float) -> bool:
    """Wait for a lock; return False where another process held it until the timeout."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
                raise DataError(
                    f"{str(path)!r}: cannot be locked ({reason(error)}); a folder on a file system with locks"
                ) from None
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
