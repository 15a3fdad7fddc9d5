"""What all tests share: a cache of their own, one thread per operator, and the real data where the machine has it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# One thread per operator, before torch is imported: the machine's cores are the test runner's to share.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest


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
