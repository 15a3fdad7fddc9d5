"""Matplotlib for files alone, whatever backend the environment names."""

from __future__ import annotations

import contextlib
import os
import sys

__all__ = ["load_matplotlib"]


def load_matplotlib() -> None:
    """Import matplotlib without the backend in $MPLBACKEND, which has no effect on files and may not be installed.

    A notebook server sets its own backend in the environment of every process that it starts, where importing
    matplotlib fails if that is not installed. One that is valid is set afterwards, for plots of the user's own.
    """
    if "matplotlib" in sys.modules:
        return
    named = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if named is not None:
            os.environ["MPLBACKEND"] = named
    if named:
        with contextlib.suppress(ValueError):
            matplotlib.rcParams["backend"] = named
