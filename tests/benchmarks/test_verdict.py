"""Core-seconds to a verdict: shared trials count once, the usual way trains each, and accuracies are by epoch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks import verdict as benchmark
from benchmarks.loops import Loop
from benchmarks.verdict import CountedTrial, Settled, core_seconds, ratio, seconds_to

RATES = {"net": {"ours": [100.0, 200.0], "usual": [50.0, 50.0]}}


def counted(key: str, images: int = 1000) -> CountedTrial:
    return CountedTrial(key=key, network="net", images=images)


def settled(study: str, keys: str, num_usual: int) -> Settled:
    return Settled(
        study=study,
        trials=tuple(counted(key) for key in keys),
        usual=tuple(counted(f"{study} {number}") for number in range(num_usual)),
        reasons={"variant": "settled at 3 seeds: helps"},
    )


def test_a_trial_that_is_shared_costs_once() -> None:
    assert core_seconds([counted("a"), counted("b"), counted("a")], RATES, "ours") == [20.0, 10.0]
    first, second = settled("first", "abc", 20), settled("second", "abd", 20)
    assert ratio([first], RATES).median == pytest.approx((400 / 30 + 400 / 15) / 2)
    together = ratio([first, second], RATES)
    assert (together.low, together.high) == (800 / 40, 800 / 20)


def test_an_accuracy_is_reached_at_the_end_of_an_epoch() -> None:
    curves = [{"epoch": 1, "val_accuracy": 0.5}, {"epoch": 2, "val_accuracy": 0.75}]
    assert seconds_to(curves, 60.0) == {0.6: 60.0, 0.7: 60.0, 0.8: None}


def test_recipes_alone_leave_studies_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(["--recipes-alone", "--study", "aa"])
    assert "leave out --study" in capsys.readouterr().err


def test_a_study_is_matched_and_its_fields_are_set_as_asked(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {}

    def stop_at(plan: Any) -> Any:
        asked[plan.study.name] = {d.recipe.precision for d in plan.designs.values()}, plan.options.match
        raise ValueError("seen")

    monkeypatch.setattr(benchmark, "trained", stop_at)
    monkeypatch.setattr(benchmark, "accuracies", lambda *_: [])
    setting = ["--short", "--set", "recipe.precision=bfloat16", "--out", str(tmp_path)]
    for study in ("operators@params", "aa", "aa@width"):
        with pytest.raises(SystemExit, match="2"):
            benchmark.main([*setting, "--study", study])
    assert asked == {"operators": ({"bfloat16"}, "params"), "aa": ({"bfloat16"}, "none")}
    assert "width" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.long
def test_a_study_is_settled_and_shown(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def rounds(loops: dict[str, Loop], *, num_rounds: int, turn_seconds: float) -> dict[str, list[float]]:
        assert loops["ours"].network == loops["usual"].network
        return {"ours": [4.0] * num_rounds, "usual": [1.0] * num_rounds}

    monkeypatch.setattr(benchmark, "in_rounds", rounds)
    monkeypatch.setattr(benchmark, "SHORT_IMAGES", 64)
    assert benchmark.main(["--short", "--json", "--study", "aa", "--out", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    (study,) = found["studies"]
    assert study["usual_trials"] == 20
    assert 6 <= study["trials"] <= 20
    # Batches of 64 at 4 steps a second against batches of 128 at one: twice as many images.
    assert study["ratio"]["median"] == pytest.approx(2 * 20 / study["trials"])
    assert found["recipes"][0]["recipe"] == "quick-2"
    assert benchmark.main(["--short", "--recipes-alone", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "quick-2    seed 0: 60% not reached" in printed
    assert "settled" not in printed
    assert found["recipes"][0]["seconds_to"].keys() == {"0.6", "0.7", "0.8"}
