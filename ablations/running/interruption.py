"""Ctrl-C, SIGTERM and a closed terminal: the first saves running trials and ends with the command that continues, the
second ends at once.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from ablations.records.passwords import without_password

__all__ = ["INTERRUPTED", "as_typed", "interruptible"]

INTERRUPTED = 130
_SHOW_CURSOR = "\x1b[?25h"


# The scripts that `pip install .` installs for this package's command lines and those above it.
INSTALLED = ("xception-ablations", "xception-search")


@contextmanager
def interruptible(words: Sequence[str]) -> Iterator[None]:
    """Let a signal raise KeyboardInterrupt in the block, and exit with status 130 and the command that continues.

    `words` are the command line as it was typed. A second signal ends the process at once, with its workers; finished
    trials are stored.
    """
    ending = f"Interrupted; what was finished is stored. Continue with: {as_typed(words)}\n"
    num_signals = 0

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal num_signals
        num_signals += 1
        if num_signals > 1:
            _tell(f"{_SHOW_CURSOR if os.isatty(2) else ''}\n{ending}")
            os._exit(INTERRUPTED)
        _tell("\nStopping: what runs is being saved (once more stops at once)\n")
        raise KeyboardInterrupt

    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, interrupt)
    is_ending = False
    try:
        yield
    except KeyboardInterrupt:
        is_ending = True
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        _flush()
        _tell(ending)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        is_ending = True
        _say_no_more()
        sys.exit(1)
    finally:
        if not is_ending:
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def as_typed(words: Sequence[str]) -> str:
    """Return the command that is to be typed: an installed program's, else with `python` before its file or module."""
    before = [] if words[0] in INSTALLED else ["python"]
    return shlex.join([*before, *(without_password(word) for word in words)])


def _tell(text: str) -> None:
    """Write to standard error directly, bypassing its buffer; ignore a stream that is closed."""
    with suppress(OSError):
        os.write(2, text.encode(errors="replace"))


def _flush() -> None:
    """Flush both streams; on a closed stream Python would fail at exit and change the status."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # so where Python was started without it
                stream.flush()
    except (OSError, ValueError):
        _say_no_more()


def _say_no_more() -> None:
    """Discard further output once its reader is gone (`| head`), at exit too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
