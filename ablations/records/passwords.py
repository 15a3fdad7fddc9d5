"""Passwords of database URLs, kept out of whatever people or other processes can read."""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["hide_in_process_list", "passwords_in", "without_password"]

# user:PASSWORD@ up to the last @, since a password may hold an @ or a / that should have been written %40 or %2F;
# PASSWORD in the query
_IN_AUTHORITY = re.compile(r"(?<=://)([^:/@\s]*):(\S*)@")
_IN_QUERY = re.compile(r"(?<=[?&])((?:ssl)?password)=([^&#\s]*)&?")


def without_password(text: str) -> str:
    """Return a database URL without its password: one that works where $PGPASSWORD or ~/.pgpass has it."""
    return _IN_QUERY.sub("", _IN_AUTHORITY.sub(r"\1@", text)).rstrip("?&")


def passwords_in(text: str) -> set[str]:
    """Return the passwords of the database URLs in a text, as they are written there."""
    return {m[2] for pattern in (_IN_AUTHORITY, _IN_QUERY) for m in pattern.finditer(text)} - {""}


def hide_in_process_list(arguments: Iterable[str]) -> None:
    """Overwrite passwords among this process's own arguments, which every user of a Linux machine can list.

    They are seen until then, so $PGPASSWORD and ~/.pgpass remain the better places.
    """
    secrets = {secret.encode() for argument in arguments for secret in passwords_in(argument)}
    if not secrets or not sys.platform.startswith("linux"):
        return
    fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, proc(5)
    memory = ctypes.string_at(start, end - start)
    for secret in secrets:
        for found in re.finditer(re.escape(secret), memory):
            ctypes.memset(start + found.start(), ord("*"), len(secret))
