"""The one error that data raises: a sentence that names what was given and what is allowed."""

from __future__ import annotations

__all__ = ["DataError", "printable"]


class DataError(ValueError):
    """Data that is missing, damaged, of another layout, or not to be stored; the message is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    """Return a text that came from outside with no line break, control character or half of one in it: `?` in their
    place.
    """
    return "".join(c if c.isprintable() else "?" for c in text)
