"""What all tests share: a separate cache, one thread per operator, and the real data if the machine has it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

# One thread per operator, set before torch is imported: the test runner distributes the machine's cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

TESTS = Path(__file__).parent
# A shell starts the background commands of a script with interrupts ignored, and the processes that tests interrupt
# would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep decoded data of tests out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("XCEPTION_CACHE")
    os.environ["XCEPTION_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["XCEPTION_CACHE"]
    else:
        os.environ["XCEPTION_CACHE"] = before


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real data sets; the test is skipped where there is none."""
    folder = os.environ.get("XCEPTION_DATA")
    if not folder or not Path(folder, "cifar10").is_dir():
        pytest.skip("real CIFAR-10 is not here: name its folder in XCEPTION_DATA")
    return Path(folder).resolve()


@pytest.fixture(scope="module")
def svg_alone() -> Iterator[None]:
    """Save figures as SVG alone, with empty files in place of PNG and PDF, which take most of the time of results.

    What all three hold is tested where figures are drawn and in a whole run.
    """
    from matplotlib.figure import Figure

    original = Figure.savefig

    def savefig(figure: Figure, target: Any, **options: Any) -> None:
        if options.get("format") not in ("png", "pdf"):
            original(figure, target, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a test that leaves a process running, and end the process.

    Python complains about such a process when it collects the garbage, in whatever test runs then.
    """
    started: list[subprocess.Popen[Any]] = []
    original = subprocess.Popen.__init__

    def noted(process: subprocess.Popen[Any], *args: Any, **options: Any) -> None:
        original(process, *args, **options)
        if Path(sys._getframe(1).f_code.co_filename).is_relative_to(TESTS):
            started.append(process)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", noted)
        try:
            yield
        finally:
            left = [process for process in started if process.poll() is None]
            for process in left:
                process.kill()
                process.communicate()
    assert not left, f"{item.nodeid} leaves {len(left)} of its processes running: {left[0].args!r}"
