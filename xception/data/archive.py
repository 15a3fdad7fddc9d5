"""Unpack an archive that may be malicious: plain files and folders below one folder, or nothing at all."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from xception.base.errors import DataError
from xception.base.files import reason, sync_dir

__all__ = ["extract"]

MAX_MEMBERS = 1_000_000
BLOCK = 1 << 20


def extract(archive: Path, top: str, into: Path, *, max_bytes: int) -> Path:
    """Unpack a gzipped tar whose members are all below the folder `top`, to `into / top`, which appears whole or not at
    all.

    Members are only ever written as new plain files; owners, modes, times and links of the archive are ignored.

    Raises:
        DataError: a member is absolute, has `..`, is a link or a device, occurs twice or is outside `top`; the archive
            is damaged or larger than `max_bytes` unpacked; the folder cannot be written.
    """
    target = into / top
    aside = into / f".{top}.{os.getpid()}.tmp"
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        with gzip.open(archive) as stream:
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                tar.extractall(aside, filter=_check(archive, top, max_bytes))
            while stream.read(BLOCK):  # to the end, where the checksum is
                pass
        if not (aside / top).is_dir():
            raise DataError(f"{str(archive)!r}: no folder {top!r} in it; an archive of that folder")
        os.replace(aside / top, target)
        sync_dir(into)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{str(archive)!r}: not a whole archive ({error}); a gzipped tar") from None
    except OSError as error:
        raise DataError(f"{str(archive)!r}: cannot be unpacked into {str(into)!r} ({reason(error)})") from None
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(aside, ignore_errors=True)
    return target


def _check(archive: Path, top: str, max_bytes: int) -> Callable[[tarfile.TarInfo, str], tarfile.TarInfo]:
    """A filter for `extractall` that is stricter than tarfile's own: no links, nothing twice, nothing outside `top`."""
    seen: set[str] = set()
    total = 0

    def check(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo:
        nonlocal total
        parts = PurePosixPath(member.name).parts
        if not parts or parts[0] != top or ".." in parts or "\\" in member.name or "\0" in member.name:
            raise DataError(
                f"{str(archive)!r}: member {member.name!r} is not allowed; relative names below {top!r}, without '..'"
            )
        if not (member.isreg() or member.isdir()):
            raise DataError(
                f"{str(archive)!r}: member {member.name!r} is a link or a device; plain files and folders are allowed"
            )
        if member.isreg() and member.name in seen:
            raise DataError(f"{str(archive)!r}: member {member.name!r} is there twice; each once")
        seen.add(member.name)
        total += member.size
        if total > max_bytes or len(seen) > MAX_MEMBERS:
            raise DataError(
                f"{str(archive)!r}: unpacks to more than {max_bytes} bytes or {MAX_MEMBERS} members; refused"
            )
        return tarfile.data_filter(member, path)

    return check
