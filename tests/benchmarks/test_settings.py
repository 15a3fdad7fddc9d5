"""The simulation of the sentences about several settings: its promises hold, and a broken promise is named."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import settings


def test_the_short_form_keeps_its_promises(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SHORT", 400)
    monkeypatch.setattr(settings, "FAMILIES", (1, 3))
    assert settings.main(["--short", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["broken"] == []
    assert {row["layout"] for row in found["sentences"]} == set(settings.LAYOUTS)
    power = {row["truth"]: row["per_variant"] for row in found["sentences"] if row["variants"] == 1}
    assert power["first +6δ to 0"]["depends_on_any"]["rate"] > 0.9
    assert power["first +6δ everywhere"]["holds"]["rate"] > 0.9
    assert power["first +4δ to −4δ"]["reverses"]["rate"] > 0.9


def test_settings_of_one_seed_have_the_requested_correlation() -> None:
    effects = settings.draw(np.random.default_rng(0), 4000, np.zeros((1, 2)), 0.6)
    first, second = effects[:, 0, 0].ravel(), effects[:, 0, 1].ravel()
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0.6, abs=0.03)
    assert effects.std() == pytest.approx(settings.SD, rel=0.02)


def test_a_broken_promise_is_named() -> None:
    outcome = {"rate": 0.09, "low": 0.08, "high": 0.1, "studies": 2000}
    row = {"layout": "4 budgets", "variants": 3, "correlation": 0.0, "truth": "no effect", "noise": "normal"}
    (line,) = settings.broken([{**row, "per_study": {"dependent": outcome}}])
    assert line == "dependent 9.0 %: 4 budgets, K = 3, ρ = 0.0, no effect, normal"
    assert not settings.broken([{**row, "truth": "first +6δ to 0", "per_study": {"dependent": outcome}}])
