"""A signal ends a run with status 130 and the command that continues, even if its streams are closed."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys

import pytest

from ablations.running.interruption import interruptible
from tests.command import ROOT

SCRIPT = """
import os, signal, sys
from ablations.running.interruption import interruptible
with interruptible(["-m", "nothing"]):
    print("buffered, for a reader that is gone") if sys.stdout else None
    if {close}:
        for number in (0, 1, 2):
            os.close(number)
    for _ in range({times}):
        os.kill(os.getpid(), signal.{name})
"""


@pytest.mark.parametrize(("name", "times"), [("SIGINT", 1), ("SIGTERM", 1), ("SIGTERM", 2)])
@pytest.mark.parametrize("streams", ["closed", "closed later", "pipe without a reader"])
def test_status_130_with_closed_streams(streams: str, name: str, times: int) -> None:
    script = SCRIPT.format(close=streams == "closed later", times=times, name=name)
    command = [sys.executable, "-c", script]
    if streams == "closed":
        command = ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
    reader, writer = os.pipe()
    os.close(reader)
    out = writer if streams.startswith("pipe") else subprocess.DEVNULL
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            timeout=120,
            check=False,
        )
    finally:
        os.close(writer)
    assert done.returncode == 130


@pytest.mark.parametrize("encoding", ["gbk", "euc-jp", "latin-1", "ascii"])
def test_what_a_terminal_cannot_encode_is_replaced(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    from run_ablation import main

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        assert main(["--list"]) == 0
        print("δ ≤ × – é 日本 \N{SNOWMAN}", file=sys.stderr, flush=True)
        sys.stdout.flush()
    assert b"residuals" in out.buffer.getvalue()
    assert b"?" in err.buffer.getvalue()


def test_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible(["x"]):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
