"""Unpack an archive that may have been made to do harm: plain files and folders below one folder, or nothing at all."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from xception.base.errors import DataError
from xception.base.files import reason, sync_dir

__all__ = ["extract"]

MAX_MEMBERS = 1_000_000
BLOCK = 1 << 20


def extract(archive: Path, top: str, into: Path, *, max_bytes: int) -> Path:
    """Unpack a gzipped tar whose members all lie below the folder `top`, to `into / top`, which appears whole or not at
    all.

    Members are only ever written as new plain files; owners, modes, times and links of the archive are not taken over.

    Raises:
        DataError: a member is absolute, has `..`, is a link or a device, comes twice or lies elsewhere; the archive is
            damaged or larger than `max_bytes` unpacked; the folder cannot be written.
    """
    target = into / top
    aside = into / f".{top}.{os.getpid()}.tmp"
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        with gzip.open(archive) as stream:
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                _write_members(tar, archive, top, aside, max_bytes)
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


def _write_members(tar: tarfile.TarFile, archive: Path, top: str, aside: Path, max_bytes: int) -> None:
    total = 0
    for count, member in enumerate(tar):
        parts = PurePosixPath(member.name).parts
        if (
            member.name.startswith("/")
            or ".." in parts
            or not parts
            or parts[0] != top
            or "\\" in member.name
            or "\0" in member.name
        ):
            raise DataError(
                f"{str(archive)!r}: member {member.name!r} is not allowed; relative names below {top!r}, without '..'"
            )
        if not (member.isreg() or member.isdir()):
            raise DataError(
                f"{str(archive)!r}: member {member.name!r} is a link or a device; plain files and folders are allowed"
            )
        total += member.size
        if total > max_bytes or count >= MAX_MEMBERS:
            raise DataError(
                f"{str(archive)!r}: unpacks to more than {max_bytes} bytes or {MAX_MEMBERS} members; refused"
            )
        path = aside.joinpath(*parts)
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        content = tar.extractfile(member)
        if content is None:
            raise DataError(
                f"{str(archive)!r}: member {member.name!r} has no content; plain files and folders are allowed"
            )
        with content, open(path, "xb") as file:
            shutil.copyfileobj(content, file, BLOCK)
