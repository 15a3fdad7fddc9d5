"""From a frame of records to one row per variant: the numbers, the odd cases in words, and seeds as needed.

One module, since every case is a small frame made by the same helper.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import ablations
from ablations.analysis.comparison import COLUMNS
from ablations.analysis.interactions import interactions
from ablations.analysis.racing import FIRST_SEEDS, next_step
from ablations.reporting.distances import distances
from ablations.reporting.tables import TABLE_COLUMNS

MEASURED_ELSEWHERE = {"fvcore_total", "latency_ms", "latency_device"}


def record(variant: str, seed: int, accuracy: float | None, **more: Any) -> dict[str, Any]:
    """One row of a frame; an accuracy of None means that the trial has none."""
    row = {
        "study": "s",
        "variant": variant,
        "is_baseline": variant == "base",
        "seed": seed,
        "stream": 0,
        "status": "complete",
        "test_accuracy": math.nan if accuracy is None else accuracy,
        "num_classes": 10,
        "params": 1000,
        "macs": 2000,
        "train_seconds": 2.0 + seed,
        "dataset": "synthetic",
        "scale": "smoke",
        "margin": 0.01,
        "seeds_mode": "fixed",
        "correct": None,
        "num_test": 100,
        "curves": [],
    }
    return row | more


def frame(results: dict[str, list[Any]], **more: Any) -> pd.DataFrame:
    """Rows from accuracies by variant, seeds in order; a text instead of a number is a status."""
    rows = []
    for variant, accuracies in results.items():
        for seed, value in enumerate(accuracies):
            status = {"status": value} if isinstance(value, str) else {}
            rows.append(record(variant, seed, None if status else value, **status, **more))
    return pd.DataFrame(rows)


def row(table: pd.DataFrame, variant: str) -> Any:
    return table[table.variant == variant].iloc[0]


BASE = [0.70, 0.71, 0.69, 0.72, 0.70]
BETTER = [0.75, 0.77, 0.74, 0.76, 0.76]
SAME = [0.701, 0.710, 0.691, 0.719, 0.701]
NUDGES = [0.001, -0.002, 0.0, 0.002, -0.001]
NOISY = [0.75, 0.66, 0.74, 0.67, 0.71]


def test_columns_of_the_contract() -> None:
    table = ablations.compare(frame({"base": BASE, "better": BETTER}))
    assert set(TABLE_COLUMNS) - MEASURED_ELSEWHERE <= set(table.columns)
    assert list(table.columns) == list(COLUMNS)
    assert callable(ablations.compare)  # still the function after its module was imported


def test_numbers_are_those_of_the_frame() -> None:
    table = ablations.compare(frame({"base": BASE, "better": BETTER, "same": SAME, "noisy": NOISY}))
    # the noise of one variant costs the others power
    assert table.verdict.tolist() == ["baseline", "helps", "inconclusive", "inconclusive"]
    assert ablations.compare(frame({"base": BASE, "same": SAME})).verdict[1] == "no meaningful effect"
    better = row(table, "better")
    differences = np.array(BETTER) - BASE
    assert better.n == 5
    assert better.test_accuracy_mean == pytest.approx(np.mean(BETTER), abs=1e-12)
    assert better.delta_mean == pytest.approx(differences.mean(), abs=1e-12)
    half = 2.7764451051977934 * np.std(BETTER, ddof=1) / math.sqrt(5)
    assert (better.test_accuracy_ci_low, better.test_accuracy_ci_high) == pytest.approx(
        (np.mean(BETTER) - half, np.mean(BETTER) + half)
    )
    # ties on 100 test images have the variance of a coin flip between two scores
    variances: list[float] = [
        max(0.005**2, float(np.var(np.array(values) - BASE, ddof=1))) for values in (BETTER, SAME, NOISY)
    ]
    variance = max(variances[0], (2 * float(np.mean(variances)) + 4 * variances[0]) / 6)
    for name, level in (("delta", 1 - 0.05 / 6), ("equivalence", 1 - 0.05 / 3)):
        half = stats.t.ppf(level, 6) * math.sqrt(variance / 5)
        ends = better[f"{name}_ci_low"], better[f"{name}_ci_high"]
        assert ends == pytest.approx((differences.mean() - half, differences.mean() + half), abs=1e-12)
    assert better.wins == 5
    assert better.verdict_text == "helps by at least 1 pp"
    assert better.at_least_margin
    assert better.delta_margin == 0.01
    assert better.baseline == "base"
    assert better.probability_of_improvement == 1
    assert better.train_seconds == pytest.approx(4.0)
    noisy = row(table, "noisy")
    assert noisy.verdict_text == "inconclusive: not feasible (more than 200 fresh seeds)"
    assert pd.isna(noisy.more_seeds)
    table = ablations.compare(frame({"base": BASE, "drifting": [b + 8 * e for b, e in zip(BASE, NUDGES, strict=True)]}))
    drifting = row(table, "drifting")
    assert 5 < drifting.more_seeds < drifting.more_seeds_limit < 50
    assert drifting.verdict_text == (
        f"inconclusive: about {drifting.more_seeds} to {drifting.more_seeds_limit} fresh seeds"
    )


def test_baseline_has_no_difference() -> None:
    base = row(ablations.compare(frame({"other": BETTER, "base": BASE})), "base")
    assert (base.n, base.verdict) == (5, "baseline")
    empty = [
        "delta_mean",
        "delta_ci_low",
        "delta_ci_high",
        "p_adjusted",
        "delta_margin",
        "at_least_margin",
        "more_seeds",
        "g_z",
        "wins",
    ]
    assert base[empty].isna().all()
    assert list(ablations.compare(frame({"other": BETTER, "base": BASE})).variant) == ["base", "other"]


def test_the_effect_is_among_completed_pairs_with_divergence_as_a_second_line() -> None:
    table = ablations.compare(frame({"base": BASE, "fragile": [*BETTER[:4], "diverged"]}))
    fragile = row(table, "fragile")
    assert (fragile.n, fragile.n_at_chance, fragile.num_diverged, fragile.num_failed) == (4, 5, 1, 0)
    assert fragile.test_accuracy_mean == pytest.approx(np.mean(BETTER[:4]))
    assert fragile.test_accuracy_mean_at_chance == pytest.approx((sum(BETTER[:4]) + 0.1) / 5)
    assert fragile.delta_mean == pytest.approx(np.mean(np.array(BETTER[:4]) - BASE[:4]))
    assert fragile.delta_mean_at_chance == pytest.approx((sum(BETTER[:4]) + 0.1 - sum(BASE)) / 5)
    assert fragile.delta_ci_low_at_chance < 0 < fragile.delta_ci_high_at_chance
    assert fragile.verdict == "helps"
    assert (fragile.success_rate, row(table, "base").success_rate) == (0.8, 1.0)
    assert (fragile.success_ci_low, fragile.success_ci_high) == pytest.approx((0.283582, 0.994949), abs=1e-6)
    assert "1 pair with a diverged trial left out (−8.0 pp with diverged trials at chance accuracy)" in fragile.sentence


def test_one_diverged_baseline_seed_does_not_hide_what_the_others_show() -> None:
    results = {"base": [*BASE[:4], "diverged"]}
    results |= {
        name: [b + d + e for b, e in zip(BASE, NUDGES, strict=True)]
        for name, d in {"a": -0.12, "b": -0.05, "c": 0.0}.items()
    }
    assert ablations.compare(frame(results)).verdict.tolist() == ["baseline", "hurts", "hurts", "no meaningful effect"]


def test_all_diverged() -> None:
    broken = row(ablations.compare(frame({"base": BASE, "broken": ["diverged"] * 5})), "broken")
    assert (broken.verdict, broken.n, broken.success_rate) == ("inconclusive", 0, 0)
    assert math.isnan(broken.test_accuracy_mean)
    assert broken.test_accuracy_mean_at_chance == pytest.approx(0.1)
    assert broken.delta_ci_high_at_chance < 0
    assert "5 pairs with a diverged trial left out" in broken.sentence


@pytest.mark.parametrize(("accuracy", "collapsed"), [(0.10, 5), (0.132, 5), (0.134, 0), (0.15, 0)])
def test_a_run_at_chance_has_collapsed_and_counts_as_it_is(accuracy: float, collapsed: int) -> None:
    rows = frame({"base": BASE, "flat": [0.1] * 5}, num_val=500)
    rows["val_accuracy"] = np.where(rows.variant == "flat", accuracy, 0.7)
    flat = row(ablations.compare(rows), "flat")  # 0.132 is 66 of 500, the 99 % quantile of guessing
    assert flat.num_collapsed == collapsed
    assert flat.success_rate == 1 - collapsed / 5
    assert flat.verdict == "hurts"


@pytest.mark.parametrize("outcome", ["failed", "missing"])
def test_a_pair_that_is_out(outcome: Any) -> None:
    table = ablations.compare(frame({"base": BASE, "better": [*BETTER[:2], outcome, *BETTER[3:]], "same": SAME}))
    better = row(table, "better")
    pairs = [0, 1, 3, 4]
    assert better.n == 4
    assert better.delta_mean == pytest.approx(np.mean([BETTER[i] - BASE[i] for i in pairs]))
    assert (better.num_failed, better.num_missing) == ((1, 0) if outcome == "failed" else (0, 1))
    assert better.sentence.endswith("; 1 pair dropped, as a trial failed or is missing")
    assert row(table, "same").n == 5


def test_a_failed_baseline_takes_every_pair_out() -> None:
    table = ablations.compare(frame({"base": ["failed", *BASE[1:]], "better": BETTER}))
    assert (row(table, "better").n, row(table, "base").n, row(table, "base").num_failed) == (4, 4, 1)


def test_a_seed_that_is_absent_from_one_variant() -> None:
    rows = frame({"base": BASE, "better": BETTER})
    table = ablations.compare(rows[~((rows.variant == "better") & (rows.seed == 1))])
    assert row(table, "better").n == 4
    assert row(table, "better").test_accuracy_mean == pytest.approx(np.mean([BETTER[i] for i in (0, 2, 3, 4)]))
    assert "1 pair dropped" in row(table, "better").sentence


def test_nan_in_a_completed_trial_is_a_pair_out() -> None:
    table = ablations.compare(frame({"base": BASE, "better": [math.nan, *BETTER[1:]]}))
    assert row(table, "better").n == 4
    assert "1 pair dropped" in row(table, "better").sentence


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.75], "n = 1 paired seed: one pair gives no interval"),
        (["failed"], "no paired seeds: nothing to compare"),
        ([b + 0.02 for b in BASE], "+2.00 pp in each of 5 paired seeds: no variance, so no interval"),
        (BASE, "identical results in all 5 paired seeds"),
    ],
)
def test_no_variance_no_verdict(values: Any, words: str) -> None:
    table = ablations.compare(frame({"base": BASE[: len(values)], "odd": values}, num_test=None))
    odd = row(table, "odd")
    assert (odd.verdict, odd.verdict_text) == ("inconclusive", "inconclusive")
    assert words in odd.sentence
    assert odd[["delta_ci_low", "delta_ci_high", "p_adjusted", "more_seeds"]].isna().all()


def test_only_the_baseline() -> None:
    table = ablations.compare(frame({"base": BASE}))
    assert table.verdict.tolist() == ["baseline"]
    assert table.test_accuracy_mean[0] == pytest.approx(np.mean(BASE))


def test_an_empty_frame_gives_an_empty_table() -> None:
    table = ablations.compare(frame({"base": BASE}).iloc[:0])
    assert table.empty
    assert list(table.columns) == list(COLUMNS)


def test_studies_are_families_of_their_own() -> None:
    one, two = frame({"base": BASE, "better": BETTER}), frame({"base": BASE, "better": BETTER, "same": SAME})
    two["study"] = "t"
    table = ablations.compare(pd.concat([one, two], ignore_index=True))
    assert table.study.tolist() == ["s", "s", "t", "t", "t"]
    alone = ablations.compare(two)
    assert table.p_adjusted[3] == alone.p_adjusted[1] > table.p_adjusted[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="seed"), "columns seed are missing"),
        (lambda f: f.assign(is_baseline=False), "exactly one baseline"),
        (lambda f: f.assign(is_baseline=True), "exactly one baseline"),
        (lambda f: pd.concat([f, f.iloc[:1]]), "two trials of 'base' with seed 0"),
        (
            lambda f: f.assign(test_accuracy=70.0),
            "test_accuracy: 70.0 of base, seed 0 is not allowed; a fraction, 0 to 1",
        ),
        (lambda f: f.assign(status="paused"), "status: 'paused'"),
        (lambda f: f.assign(status="diverged", num_classes=None), "num_classes"),
        (lambda f: f.assign(margin=[0.01] * 5 + [0.02] * 5), "margin: 0.01, 0.02 in one comparison"),
        (lambda f: f.assign(margin=5.0), "margin: 5.0 is not allowed"),
        (lambda f: f.assign(seeds_mode="often"), "seeds_mode: 'often' is not allowed; fixed or auto"),
    ],
)
def test_contradictions_are_refused(change: Callable[[pd.DataFrame], pd.DataFrame], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ablations.compare(change(frame({"base": BASE, "better": BETTER})))


def test_without_a_margin() -> None:
    table = ablations.compare(frame({"base": BASE, "better": BETTER, "same": SAME}).drop(columns="margin"))
    assert table.verdict.tolist() == ["baseline", "helps", "inconclusive"]
    assert table.more_seeds.isna().all()
    assert table.delta_margin.isna().all()


def with_answers(results: dict[str, list[Any]], num_test: int = 200) -> pd.DataFrame:
    rows = frame(results, num_test=num_test)
    generator = np.random.default_rng(0)
    order = generator.permutation(num_test)  # the same examples are hard for all networks
    packed, accuracies = [], []
    for accuracy in rows.test_accuracy:
        correct = np.zeros(num_test, dtype=bool)
        correct[order[: round(accuracy * num_test)]] = True
        packed.append(np.packbits(correct).tobytes())
        accuracies.append(correct.mean())
    return rows.assign(correct=packed, test_accuracy=accuracies)


def test_examples_give_the_second_interval_and_the_disagreement() -> None:
    table = ablations.compare(with_answers({"base": BASE, "better": BETTER}))
    better = row(table, "better")
    assert better.example_ci_low <= better.delta_ci_low + 1e-12
    assert better.example_ci_high >= better.delta_ci_high - 1e-12
    assert better.only_variant_correct - better.only_baseline_correct == pytest.approx(better.delta_mean)
    assert better.disagreement == pytest.approx(better.only_variant_correct + better.only_baseline_correct)
    assert 0 < better.seed_disagreement < 0.1
    assert (
        row(ablations.compare(frame({"base": BASE, "better": BETTER})), "better")[["example_ci_low", "disagreement"]]
        .isna()
        .all()
    )


def curves(*values: Any) -> list[dict[str, float]]:
    return [{"epoch": e + 1, "train_loss": 1.0, "val_loss": 1.0, "val_accuracy": v} for e, v in enumerate(values)]


def test_learning_curves() -> None:
    rows = frame({"base": [0.7, 0.7], "fast": [0.7, 0.7], "lost": [0.7, "diverged"]})
    rows["curves"] = pd.Series(
        [
            curves(0.2, 0.4, 0.6),
            curves(0.2, 0.4, 0.8),
            curves(0.5, 0.7, 0.7),
            curves(0.6, 0.6, 0.8),
            curves(0.2, 0.4, 0.6),
            curves(0.3),
        ]
    )
    table = ablations.compare(rows)
    assert row(table, "base").area_under_curve == pytest.approx((0.4 + 0.45) / 2)
    assert row(table, "fast").delta_area_mean == pytest.approx((0.65 + 0.65) / 2 - 0.425)
    assert (row(table, "fast").epochs_to_baseline, row(table, "fast").num_reached_baseline) == (
        2.5,
        2,
    )  # 0.7 at epochs 2 and 3
    assert row(table, "lost").num_reached_baseline == 0
    assert row(table, "lost").area_under_curve == pytest.approx((0.25 + 0.3) / 2)  # chance after it was lost


def test_interactions_of_a_factorial_study() -> None:
    levels = {
        "base": {"a": "0", "b": "0"},
        "A": {"a": "1", "b": "0"},
        "B": {"a": "0", "b": "1"},
        "AB": {"a": "1", "b": "1"},
    }
    generator = np.random.default_rng(0)
    base = np.array(BASE)
    results = {"base": base, "A": base + 0.05, "B": base + 0.02, "AB": base + 0.03}
    rows = frame({k: (v + generator.normal(0, 0.001, 5)).tolist() for k, v in results.items()})
    table = interactions(rows, levels).set_index("effect")
    assert table["mean"].to_dict() == pytest.approx({"a=1": 0.03, "b=1": 0.0, "a=1 × b=1": -0.04}, abs=0.002)
    assert table.verdict.to_dict() == {"a=1": "helps", "b=1": "no meaningful effect", "a=1 × b=1": "hurts"}
    assert (table["low"] <= table["mean"]).all()
    carried = rows.assign(levels=rows.variant.map(levels.__getitem__))
    pd.testing.assert_frame_equal(interactions(carried), table.reset_index())
    with pytest.raises(ValueError, match="the level of each factor"):
        interactions(rows, {"base": levels["base"]})


def draws(seed: int = 0, seeds: int = 10, sd: float = 0.004) -> Any:
    generator = np.random.default_rng(seed)
    base = 0.7 + generator.normal(0, 0.005, seeds)
    return {
        name: (base + effect + generator.normal(0, sd, seeds) * (name != "base")).tolist()
        for name, effect in {"base": 0, "huge": 0.25, "small": 0.006, "none": 0.0}.items()
    }


def test_seeds_as_needed_from_first_look_to_last() -> None:
    """Run a study step by step, and compare its decisions with those from all trials."""
    results = draws()
    seeds = dict.fromkeys(results, FIRST_SEEDS)
    for _ in range(10):
        rows = frame({name: values[: seeds[name]] for name, values in results.items()}, seeds_mode="auto")
        step = next_step(rows)
        if step.num_seeds == seeds:
            break
        assert all(step.num_seeds[name] >= seeds[name] for name in seeds)
        assert not step.is_finished
        seeds = step.num_seeds
    assert step.is_finished
    assert seeds["huge"] == 3
    assert seeds["base"] == max(seeds.values())
    assert step.reasons["huge"] == "settled at 3 seeds: helps"
    assert step.saving.trials == sum(seeds.values())
    assert step.saving.fixed_trials == 40
    assert str(step.saving).startswith(f"{sum(seeds.values())} trials instead of 40")
    table, whole = ablations.compare(rows), ablations.compare(frame(results, seeds_mode="auto"))
    columns = [
        "variant",
        "delta_mean",
        "delta_ci_low",
        "delta_ci_high",
        "p_adjusted",
        "verdict",
        "stopped",
        "example_ci_low",
    ]
    pd.testing.assert_frame_equal(table[columns], whole[columns])  # seeds beyond the stop are not read
    huge = row(table, "huge")
    assert huge.n == 3
    assert huge.stopped == "settled at 3 seeds"
    assert "stopped early, so the effect is likely overestimated" in huge.sentence
    assert "dropped" not in huge.sentence


def test_auto_before_its_first_look_and_between_looks() -> None:
    results = draws(seeds=10)
    rows = frame({name: values[:2] for name, values in results.items()}, seeds_mode="auto")
    table = ablations.compare(rows)
    assert (table.verdict[1:] == "inconclusive").all()
    assert row(table, "huge").n == 2
    assert row(table, "huge").stopped == "waits for the look at 3 seeds"
    assert "below 3 pairs there is no verdict" in row(table, "huge").sentence
    assert next_step(rows).num_seeds == dict.fromkeys(results, 3)
    rows = frame({name: values[: 3 if name == "huge" else 4] for name, values in results.items()}, seeds_mode="auto")
    table = ablations.compare(rows)
    assert row(table, "huge").verdict == "helps"
    assert row(table, "none").stopped == "waits for the look at 5 seeds"
    assert row(table, "none").n == 4
    assert row(table, "none").delta_mean == pytest.approx(np.mean(np.array(results["none"][:4]) - results["base"][:4]))


def test_a_failed_trial_does_not_hold_up_a_look_but_a_missing_one_does() -> None:
    results = {name: values[:3] for name, values in draws().items()}
    failed = next_step(frame(results | {"none": [*results["none"][:2], "failed"]}, seeds_mode="auto"))
    assert failed.num_seeds["none"] == 5
    missing = next_step(frame(results | {"none": [*results["none"][:2], "missing"]}, seeds_mode="auto"))
    assert missing.num_seeds == dict.fromkeys(results, 3)
    assert not missing.is_finished


def test_auto_with_only_the_baseline_has_nothing_to_decide() -> None:
    step = next_step(frame({"base": BASE[:3]}, seeds_mode="auto"))
    assert step.is_finished
    assert step.num_seeds == {"base": 3}
    assert len(ablations.compare(frame({"base": BASE[:3]}, seeds_mode="auto"))) == 1


def test_distance_from_the_baselines_curve() -> None:
    results = {
        "base": BASE,
        "base@x2": [b + 0.04 for b in BASE],
        "odd": [b + 0.02 + e for b, e in zip(BASE, NUDGES, strict=True)],
        "good": [b + 0.07 + e for b, e in zip(BASE, NUDGES, strict=True)],
    }
    rows = frame(results)
    rows["macs"] = rows.variant.map({"base": 1_000_000, "base@x2": 4_000_000, "odd": 2_000_000, "good": 2_000_000})
    table = distances(rows, ["base@x2"])
    assert table.variant.tolist() == ["odd", "good"]
    assert table["mean"].tolist() == pytest.approx([0.0, 0.05], abs=1e-12)  # half way over log MACs
    assert table.verdict.tolist() == ["no meaningful effect", "helps"]
    with pytest.raises(ValueError, match="widths: 'base@x3' is not allowed"):
        distances(rows, ["base@x3"])
    with pytest.raises(ValueError, match="at least 2"):
        distances(rows, [])
