"""A study in several settings, from frames of records to effects, sentences, trends and decision accuracy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from ablations.analysis.settings import Setting, SettingsComparison, compare_settings, setting_fields

BASELINE = "with residuals"


def frame(effects: Mapping[str, float], *, base: float, seconds: float, seed: int, seeds: int = 5) -> pd.DataFrame:
    """Records of one setting: every variant's accuracy is the baseline's plus its effect and a little noise."""
    generator = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for number in range(seeds):
        own = base + generator.normal(0, 0.004)
        for variant, effect in {BASELINE: 0.0, **effects}.items():
            noise = 0.0 if variant == BASELINE else generator.normal(0, 0.004)
            rows.append(
                {
                    "variant": variant,
                    "is_baseline": variant == BASELINE,
                    "seed": number,
                    "status": "complete",
                    "test_accuracy": own + effect + noise,
                    "num_classes": 10,
                    "num_test": 10_000,
                    "train_seconds": seconds,
                    "margin": 0.01,
                    "position": len(rows),
                }
            )
    return pd.DataFrame(rows)


def two_by_two() -> list[Setting]:
    """`without residuals` hurts everywhere and less with epochs, `ELU` turns with the data, `same` does nothing."""
    out = []
    for number, (epochs, dataset) in enumerate(
        [(6, "cifar10"), (24, "cifar10"), (6, "imagenette"), (24, "imagenette")]
    ):
        effects = {"without residuals": -0.12 if epochs == 6 else -0.05}
        effects |= {"ELU": -0.05 if dataset == "cifar10" else 0.05, "same": 0.0}
        values: dict[str, str | int | float] = {"recipe.epochs": epochs, "dataset": dataset}
        out.append(Setting(values=values, frame=frame(effects, base=0.6, seconds=20 * epochs, seed=number)))
    return out


@pytest.fixture(scope="module")
def result() -> SettingsComparison:
    return compare_settings(two_by_two())


def test_sentences_say_what_holds_and_what_turns(result: SettingsComparison) -> None:
    said = result.answers.set_index("variant")["sentence"]
    assert said["without residuals"] == (
        "hurts in all 4 settings; its size depends on recipe.epochs; persists but shrinks with recipe.epochs"
        f" ({100 * _effect(result, 'without residuals', 6):+.1f} pp at 6,"
        f" {100 * _effect(result, 'without residuals', 24):+.1f} pp at 24)"
    ).replace("-", "−")
    assert said["ELU"] == "reverses on dataset=cifar10: hurts there, helps elsewhere"
    assert result.answers.set_index("variant")["kind"].to_dict() == {
        "without residuals": "holds",
        "ELU": "reverses",
        "same": "undetermined",
    }


def _effect(result: SettingsComparison, variant: str, epochs: int) -> float:
    rows = result.effects
    return float(rows.loc[(rows["variant"] == variant) & (rows["recipe.epochs"] == epochs), "delta_mean"].mean())


def test_every_setting_has_the_paired_difference_of_its_own_records(result: SettingsComparison) -> None:
    assert len(result.effects) == 12
    for setting in two_by_two():
        wide = setting.frame.pivot(index="seed", columns="variant", values="test_accuracy")
        rows = result.effects[result.effects["setting"] == setting.label].set_index("variant")
        for variant in ("without residuals", "ELU", "same"):
            delta = wide[variant] - wide[BASELINE]
            assert rows["delta_mean"].to_dict()[variant] == pytest.approx(delta.mean())
    assert (result.effects["delta_ci_low"] < result.effects["equivalence_ci_low"]).all()


def test_a_ratio_of_effects_has_an_interval(result: SettingsComparison) -> None:
    row = result.trends.set_index("variant").loc["without residuals"]
    assert row["ratio"] == pytest.approx(5 / 12, abs=0.05)
    assert row["ratio_ci_low"] < row["ratio"] < row["ratio_ci_high"] < 0.6
    assert result.trends.set_index("variant").loc["same", "ratio_ci_high"] == np.inf


def test_small_budgets_are_judged_against_the_largest(result: SettingsComparison) -> None:
    rows = result.decisions
    assert rows["where"].unique().tolist() == ["dataset=cifar10", "dataset=imagenette"]
    assert rows["num_decisions"].unique().tolist() == [6 * 5]
    assert (rows["accuracy"] > 0.75).all()
    assert (rows.loc[rows["value"] == 24, "gap"] == 0).all()


def test_exchangeable_settings_are_pooled_and_budgets_are_not(result: SettingsComparison) -> None:
    assert result.answers["pooled_mean"].isna().all()
    three = [
        Setting(values={"dataset": name}, frame=frame({"v": effect}, base=0.6, seconds=9, seed=number))
        for number, (name, effect) in enumerate([("a", 0.04), ("b", 0.05), ("c", 0.06)])
    ]
    row = compare_settings(three).answers.iloc[0]
    assert row["sentence"].startswith("helps in all 3 settings")
    assert row["pooled_mean"] == pytest.approx(0.05, abs=0.005)
    assert row["new_ci_low"] < row["pooled_ci_low"] < row["pooled_ci_high"] < row["new_ci_high"]


def test_a_variant_that_a_setting_lacks_is_named_and_the_others_are_compared() -> None:
    settings = two_by_two()
    first = settings[0]
    lacking = Setting(values=first.values, frame=first.frame[first.frame["variant"] != "same"])
    found = compare_settings([lacking, *settings[1:]])
    row = found.effects[(found.effects["variant"] == "same") & (found.effects["setting"] == first.label)].iloc[0]
    assert (row["verdict"], bool(row["exists"])) == ("not possible here", False)
    assert found.answers.set_index("variant").loc["same", "num_settings"] == 3


def test_settings_that_cannot_be_compared_are_refused() -> None:
    first, second = two_by_two()[:2]
    with pytest.raises(ValueError, match=r"^settings: 1 is not allowed; two or more"):
        compare_settings([first])
    with pytest.raises(ValueError, match="the same setting twice"):
        compare_settings([first, first])
    with pytest.raises(ValueError, match=r"^seeds: "):
        compare_settings([first, Setting(values=second.values, frame=second.frame[second.frame["seed"] > 0])])
    with pytest.raises(ValueError, match=r"^margin: "):
        compare_settings([first, Setting(values=second.values, frame=second.frame.assign(margin=0.02))])
    with pytest.raises(ValueError, match="different fields"):
        setting_fields([{"a": 1}, {"b": 1}])


def test_numbers_are_budgets_in_increasing_order_and_words_are_not() -> None:
    epochs, dataset = setting_fields([{"recipe.epochs": 24, "dataset": "b"}, {"recipe.epochs": 6, "dataset": "a"}])
    assert (epochs.values, epochs.level, epochs.is_numeric) == ((6, 24), (1, 0), True)
    assert (dataset.values, dataset.level, dataset.is_numeric) == (("b", "a"), (0, 1), False)
