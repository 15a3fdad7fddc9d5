"""The benchmark of batches: streamed batches equal those from memory, and the output."""

from __future__ import annotations

import json

import pytest

from benchmarks import data, loops
from benchmarks.loops import Loop


class EnoughError(Exception):
    """Enough batches were seen."""


def test_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(
        data, "in_rounds", lambda ways, **_: {name: [100.0, 200.0] for name in ways} | {data.STEP: [1.0, 3.0]}
    )
    assert data.main(["--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["shares"][data.RESIDENT]["low"] == 0.01
    assert report["ratios"]["DataLoader, 2 workers"]["median"] == 1
    assert report["images_per_second"][data.STEP] == 256
    assert data.main(["--short"]) == 0
    assert "1.25% (1.00% to 1.50%)" in capsys.readouterr().out


@pytest.mark.parametrize("loop", [*(way for way in data.WAYS.values() if not way.loader_workers)], ids=str)
def test_every_way_gives_batches(monkeypatch: pytest.MonkeyPatch, loop: Loop) -> None:
    seen = []

    def on_step() -> None:
        seen.append(1)
        if len(seen) == 2:
            raise EnoughError

    monkeypatch.setattr(loops, "prepare_process", lambda threads: None)
    with pytest.raises(EnoughError):
        loops.train(loop, on_step)
