"""The one error that data raises: a sentence that names what was given and what is allowed."""

from __future__ import annotations

__all__ = ["DataError"]


class DataError(ValueError):
    """Data that is missing, damaged, of another layout, or not to be stored; the message is one line."""

    def __init__(self, message: str) -> None:
        # Names of files and columns come from outside: no line break and no control character reaches a terminal.
        super().__init__("".join(c if c.isprintable() else "?" for c in message))
