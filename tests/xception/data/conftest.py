"""A separate cache for every test, no data folder from the environment, and no network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REAL_DATA = os.environ.get("XCEPTION_DATA")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cache"
    monkeypatch.setenv("XCEPTION_CACHE", str(path))
    monkeypatch.delenv("XCEPTION_DATA", raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return path


@pytest.fixture
def real_data() -> Path:
    if not REAL_DATA:
        pytest.skip("XCEPTION_DATA names no folder with real data")
    return Path(REAL_DATA)
