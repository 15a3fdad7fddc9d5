"""A test that leaves a process running fails, instead of the test during which Python collects the garbage."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = "pytester"

HERE = Path(__file__).parent
LEAVES_ONE = """
import subprocess, sys

def test_it():
    subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)

def test_next():
    with subprocess.Popen([sys.executable, "-c", ""]):
        pass
"""


def test_a_process_left_running_is_named_and_ended(pytester: pytest.Pytester) -> None:
    (pytester.path / "tests").mkdir()
    (pytester.path / "tests" / "conftest.py").write_text((HERE / "conftest.py").read_text(encoding="utf-8"))
    (pytester.path / "tests" / "test_it.py").write_text(LEAVES_ONE)
    result = pytester.runpytest_subprocess("-p", "no:xdist", "-W", "error")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*test_it.py::test_it leaves 1 of its processes running*"])
