"""The time of a study in addition to training, by part: in `fit`, waiting for the last trial, and after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import study as benchmark


def test_what_is_beyond_fit_is_what_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*words: str) -> benchmark.Run:
        folder = Path(words[words.index("--out") + 1], "residuals")
        folder.mkdir()
        (folder / "runs.csv").write_text("seed,train_seconds\n0,36\n1,36\n2,36\n3,36\n")
        return benchmark.Run(100.0, [45.0, 47.0, 88.0, 92.0])

    monkeypatch.setattr(benchmark, "run_command", run)
    found = benchmark.study(benchmark.Arguments(workers=2), {"steps": 0.9}, ())
    # 144 s of steps were 160 s of fit, 80 s of each worker; one waited for 4 s, so 2 s on average; 18 of 100 s were
    # neither.
    assert found["in_fit"] == pytest.approx(80.0)
    assert found["waiting_for_the_last"] == pytest.approx(2.0)
    assert found["beyond_fit"] == pytest.approx(0.18)
    assert found["after_last_trial"] == pytest.approx(8.0)


def test_the_shares_of_a_training_are_shares() -> None:
    found = benchmark.shares_of_fit("synthetic", 256)
    shares = [found[name] for name in ("steps", "validation", "test")]
    assert min(shares) > 0.0
    assert sum(shares) < 1.0


def test_a_failing_study_is_reported_with_its_output(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"--dataset nowhere .*ended with 2: .*nowhere"):
        benchmark.run_command("--scale", "smoke", "--dataset", "nowhere", "--out", str(tmp_path))
