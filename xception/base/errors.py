"""The one error that data raises: a sentence that names what was given and what is allowed."""

from __future__ import annotations

import errno
import re

__all__ = ["DataError", "is_system_error", "printable"]

_ADDRESS = re.compile(r"<([\w.]+)(?: object)? at 0x[0-9a-fA-F]+>")


class DataError(ValueError):
    """Data that is missing, damaged, of another layout, or impossible to store; the message is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    """Return a text from outside in one line: `?` for line breaks, control characters and lone surrogates, and objects
    without their address.
    """
    return _ADDRESS.sub(r"<\1>", "".join(c if c.isprintable() else "?" for c in text))


def is_system_error(error: BaseException) -> bool:
    """Return whether the machine failed rather than the file: no memory, no permission, a disk that cannot be read."""
    if isinstance(error, MemoryError):
        return True
    # Pillow reports a codec's failed allocation only in its message.
    return isinstance(error, OSError) and (error.errno not in (None, errno.ENOENT) or "out of memory" in str(error))
