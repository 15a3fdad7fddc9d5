"""The summary of a data set: made once, kept out of comparisons, and with a bar while images are decoded."""

from __future__ import annotations

import io
import json
import pickle
import sys
from pathlib import Path

import pytest

from tests.xception.data.data_builders import image_folder
from xception.data import Source, find
from xception.data import decoded as cache
from xception.data.summary import prepare


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return find(f"folder:{image_folder(tmp_path / 'set')}")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_shown_on_a_terminal_while_images_are_decoded(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stderr", first)
    prepare(source, 8, show_progress=True)
    assert "Decoding folder:set" in first.getvalue()
    monkeypatch.setattr(sys, "stderr", second)
    prepare(source, 8, show_progress=True)
    assert "Decoding" not in second.getvalue(), "it is in the cache"


def test_no_progress_bar_without_a_terminal(source: Source, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(source, 8, show_progress=True)
    assert capsys.readouterr() == ("", "")


def test_a_prepared_source_is_the_same_source(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare(source, 8)
    assert prepared == source
    assert pickle.loads(pickle.dumps(prepared)).summary == prepared.summary  # noqa: S301 - our own object
    assert prepared.summary is not None
    assert json.loads(json.dumps(prepared.summary.as_plain()))["counts"] == {"train": [4, 4, 4], "test": [2, 2, 2]}
    monkeypatch.setattr(cache, "build_decoded", lambda *_: pytest.fail("decoded twice"))
    assert prepare(source, 8).summary == prepared.summary
