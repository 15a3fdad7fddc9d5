"""One study in several settings: contrasts, sentences, trends, ratios, pooling and decision accuracy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ablations.statistics.decision_accuracy import decision_accuracy
from ablations.statistics.decisions import EQUIVALENT, HELPS, HURTS, INCONCLUSIVE
from ablations.statistics.settings import (
    DEPENDS,
    GROWS,
    HOLDS,
    PERSISTS,
    REVERSES,
    UNDETERMINED,
    VANISHES,
    Field,
    contrasts,
    depends,
    fieller,
    pool,
    sentences,
    trend,
)

EPOCHS = Field(name="recipe.epochs", values=(3, 6, 12), level=(0, 0, 1, 1, 2, 2))
DATASET = Field(name="dataset", values=("cifar10", "imagenette"), level=(0, 1, 0, 1, 0, 1))


def noise(*shape: int, sd: float = 0.002) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.random.default_rng(0).normal(0.0, sd, shape)


def test_contrasts_sum_to_zero_have_unit_length_and_do_not_see_other_fields() -> None:
    found = contrasts((EPOCHS, DATASET))
    assert found.fields == (0, 0, 1)  # slope and curvature of a budget, one difference between two data sets
    np.testing.assert_allclose(found.weights.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(found.weights @ found.weights.T, np.eye(3), atol=1e-12)
    only_dataset = np.array([0.0, 1.0] * 3)
    only_epochs = np.repeat([0.0, 1.0, 5.0], 2)
    assert found.weights[:2] @ only_dataset == pytest.approx(0)
    assert found.weights[2] @ only_epochs == pytest.approx(0)
    assert found.weights[0] @ np.repeat([0.0, 1.0, 2.0], 2) > 0, "budgets that double stand at equal distances"


def test_each_of_several_exchangeable_values_is_compared_with_the_mean_of_the_others() -> None:
    field = Field(name="dataset", values=("a", "b", "c"), level=(0, 1, 2))
    found = contrasts((field,))
    np.testing.assert_allclose(found.weights, np.sqrt(2 / 3) * (1.5 * np.eye(3) - 0.5), atol=1e-12)


def test_a_setting_in_which_a_variant_does_not_exist_takes_its_combination_out() -> None:
    found = contrasts((EPOCHS, DATASET), present=[True, True, True, False, True, True])
    slope, dataset = found.weights[0], found.weights[-1]
    assert slope[[1, 3, 5]].tolist() == [0, 0, 0], "epochs are compared on the data set that has all three"
    assert dataset[[2, 3]].tolist() == [0, 0]
    np.testing.assert_allclose(found.weights.sum(axis=1), 0, atol=1e-12)


def test_which_field_an_effect_depends_on() -> None:
    by_epochs = np.repeat([0.05, 0.03, 0.01], 2)
    by_dataset = np.array([0.03, -0.03] * 3)
    effects = noise(3, 6, 5)
    effects[0] += by_epochs[:, None]
    effects[1] += by_dataset[:, None]
    on = depends(effects, (EPOCHS, DATASET)).on
    assert on.tolist() == [[True, False], [False, True], [False, False]]
    effects[0, 1] = np.nan
    assert depends(effects, (EPOCHS, DATASET)).on[0].tolist() == [True, False]


def test_sentences_are_read_off_the_verdicts() -> None:
    verdict = [
        [HELPS, HELPS, HELPS],
        [EQUIVALENT] * 3,
        [HELPS, INCONCLUSIVE, HURTS],
        [HELPS, INCONCLUSIVE, HELPS],
        [HELPS, INCONCLUSIVE, HELPS],
        [HELPS, INCONCLUSIVE, HELPS],
    ]
    exists = np.ones((6, 3), dtype=bool)
    exists[5, 1] = False
    on = [[True], [False], [False], [False], [True], [False]]
    assert sentences(verdict, exists, on).tolist() == [HOLDS, HOLDS, REVERSES, UNDETERMINED, DEPENDS, HOLDS]


@pytest.mark.parametrize(
    ("effect", "label", "shrinks"),
    [
        ((0.06, 0.03, 0.0), VANISHES, False),
        ((-0.06, -0.03, 0.0), VANISHES, False),
        ((0.06, 0.05, 0.04), PERSISTS, True),
        ((0.04, 0.04, 0.04), PERSISTS, False),
        ((0.02, 0.04, 0.06), GROWS, False),
        ((-0.02, -0.04, -0.06), GROWS, False),
        ((0.0, 0.0, 0.0), 0, False),
    ],
)
def test_trends_over_a_budget(effect: tuple[float, ...], label: int, shrinks: bool) -> None:
    effects = noise(1, 6, 5, sd=0.001) + np.repeat(effect, 2)[None, :, None]
    found = trend(effects, (EPOCHS, DATASET), 0, margin=0.01)
    assert (found.label[0], found.shrinks[0]) == (label, shrinks)
    assert found.slope[0] == pytest.approx((effect[2] - effect[0]) / 2, abs=0.002), "per doubling"
    assert found.slope_low[0] < found.slope[0] < found.slope_high[0]


def test_a_slope_is_that_of_least_squares_within_each_seed() -> None:
    field = Field(name="recipe.epochs", values=(3, 7, 20), level=(0, 1, 2))
    effects = noise(1, 3, 5, sd=0.02)
    slopes = [np.polyfit(np.log2(field.values), effects[0, :, i], 1)[0] for i in range(5)]
    found = trend(effects, (field,), 0, margin=0.01)
    assert found.slope[0] == pytest.approx(np.mean(slopes))
    half = stats.t.ppf(0.975, 4) * np.std(slopes, ddof=1) / np.sqrt(5)
    assert found.slope_high[0] - found.slope[0] == pytest.approx(half)


def test_a_trend_needs_numbers() -> None:
    with pytest.raises(ValueError, match=r"^dataset: .* is not allowed; two numbers"):
        trend(noise(1, 6, 5), (EPOCHS, DATASET), 1, margin=0.01)


def test_fieller_holds_the_ratios_that_a_paired_test_accepts() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(0.12, 0.01, 6)
    y = 0.4 * x + generator.normal(0, 0.005, 6)
    ratio, interval = fieller(y, x)
    assert interval.low < ratio < interval.high
    for theta, accepted in (
        (interval.low * 1.001, True),
        (interval.low * 0.999, False),
        (interval.high * 1.001, False),
    ):
        assert bool(stats.ttest_1samp(y - theta * x, 0).pvalue > 0.05) is accepted
    _, unbounded = fieller(y, x - x.mean())
    assert not np.isfinite([unbounded.low, unbounded.high]).any()
    with pytest.raises(ValueError, match="2 or more are needed"):
        fieller([1.0, np.nan], [np.nan, 1.0])


def test_pooling_of_independent_settings_is_their_mean_and_widens_with_their_spread() -> None:
    alike = pool(noise(1, 4, 5))
    spread = pool(noise(1, 4, 5) + np.array([-0.03, -0.01, 0.01, 0.03])[None, :, None])
    assert alike.mean == pytest.approx(noise(1, 4, 5).mean())
    assert spread.between_sd[0] == pytest.approx(np.std([-0.03, -0.01, 0.01, 0.03], ddof=1), rel=0.1)
    assert spread.high - spread.low > 5 * (alike.high - alike.low)
    assert (spread.new_high - spread.new_low > 1.5 * (spread.high - spread.low)).all()
    with pytest.raises(ValueError, match="2 settings and 5 seeds"):
        pool(noise(1, 2, 5))


def test_decision_accuracy_is_one_where_orders_agree_and_a_half_where_they_are_noise() -> None:
    means = np.array([0.6, 0.7, 0.8])[:, None]
    generator = np.random.default_rng(0)
    agree = np.stack([means - 0.1 + noise(3, 5), means + noise(3, 5)])
    found = decision_accuracy(agree, generator=np.random.default_rng(0))
    assert found.accuracy.tolist() == found.low.tolist() == [1.0, 1.0]
    assert found.num_decisions == 15
    turned = np.stack([-means + noise(3, 5), means + noise(3, 5)])
    assert decision_accuracy(turned, generator=np.random.default_rng(0)).accuracy.tolist() == [0.0, 1.0]
    random = np.stack([generator.normal(size=(8, 40)), np.arange(8)[:, None] + noise(8, 40)])
    assert decision_accuracy(random, generator=np.random.default_rng(0)).accuracy[0] == pytest.approx(0.5, abs=0.1)
    assert decision_accuracy(random, generator=np.random.default_rng(0)).gap_high[0] < 0


def test_decision_accuracy_needs_every_score() -> None:
    scores = np.zeros((2, 3, 5))
    scores[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="every variant needs a score"):
        decision_accuracy(scores, generator=np.random.default_rng(0))
    with pytest.raises(ValueError, match="3 seeds or more"):
        decision_accuracy(np.zeros((2, 3, 2)), generator=np.random.default_rng(0))
