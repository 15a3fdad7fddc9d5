"""Running the command line as a user does: in a separate process, or in this one if the process does not matter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest


class Printed(NamedTuple):
    """What a command wrote to standard output and to standard error."""

    out: str
    err: str


ROOT = Path(__file__).parent.parent


def call(
    *args: str, expect: int = 0, cwd: Path = ROOT, env: dict[str, str] | None = None, timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """Run `python ARGS` and return what it printed; fail the test if the exit status is not the expected one."""
    done = subprocess.run(
        [sys.executable, *args],
        cwd=cwd,
        env={**os.environ, "PYTHONWARNINGS": "error", **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == expect, f"{args} exits {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


def run_folder(out: Path, study: str) -> Path:
    """Return the folder of the only run of a study below an output folder."""
    (found,) = [path for path in out.iterdir() if path.name == study or path.name.startswith(f"{study}-")]
    return found


def call_here(capsys: pytest.CaptureFixture[str], *args: str, expect: int = 0) -> Printed:
    """Run `run_ablation.py ARGS` in this process and return what it printed; fail the test on another exit status."""
    import run_ablation

    capsys.readouterr()
    try:
        status = run_ablation.main(list(args))
    except SystemExit as end:
        status = int(str(end.code))
    printed = Printed(*capsys.readouterr())
    assert status == expect, f"{args} exits {status}\n{printed.out}\n{printed.err}"
    return printed
