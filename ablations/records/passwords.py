"""Passwords of database URLs, kept out of everything that users or other processes can read."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["passwords_in", "require_no_password", "without_password"]

# user:PASSWORD@ up to the last @, since a password may hold an @ or a / that should have been written %40 or %2F;
# PASSWORD in the query
_IN_AUTHORITY = re.compile(r"(?<=://)([^:/@\s]*):(\S*)@")
_IN_QUERY = re.compile(r"(?<=[?&])((?:ssl)?password)=([^&#\s]*)&?")


def without_password(text: str) -> str:
    """Return a database URL without its password: it works where $PGPASSWORD or ~/.pgpass has it."""
    return _IN_QUERY.sub("", _IN_AUTHORITY.sub(r"\1@", text)).rstrip("?&")


def passwords_in(text: str) -> set[str]:
    """Return the passwords of the database URLs in a text, as written."""
    return {m[2] for pattern in (_IN_AUTHORITY, _IN_QUERY) for m in pattern.finditer(text)} - {""}


def require_no_password(words: Iterable[str]) -> None:
    """Check that a command line has no password in it.

    Raises:
        ValueError: one of the words is a database URL with a password.
    """
    for word in words:
        if passwords_in(word):
            raise ValueError(
                f"{without_password(word)}: every user of this machine can read a password on a command line; leave it"
                " out of the URL and set PGPASSWORD or write ~/.pgpass"
            )
