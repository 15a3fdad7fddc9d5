"""Recipes: schedules at their marks, what is refused, neutral defaults, and transfer as part of a trial's identity."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from xception.base.canonical import canonical_json, from_json
from xception.train.recipe import SGD, AdamW, Constant, Cosine, Exponential, Muon, OneCycle, Recipe, RMSprop, Transfer

STEPS, PER_EPOCH = 40, 10


def factors(schedule: OneCycle | Cosine | Exponential | Constant) -> list[float]:
    return [schedule.factor(step, STEPS, PER_EPOCH) for step in range(STEPS)]


def test_one_cycle_rises_to_the_peak_and_falls_to_nothing() -> None:
    values = factors(OneCycle(warmup_fraction=0.25))
    assert values[9] == max(values) == 1.0
    assert values[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert values[10] == pytest.approx(30 / 31)
    assert values[-1] == pytest.approx(1 / 31)
    assert factors(OneCycle(warmup_fraction=0.0))[0] == pytest.approx(40 / 41)


def test_cosine_is_half_way_down_in_the_middle() -> None:
    assert factors(Cosine())[20] == pytest.approx(0.5)
    warmed = factors(Cosine(warmup_epochs=1))
    assert warmed[9] == pytest.approx(1.0)
    assert warmed[25] == pytest.approx(0.5)
    assert min(factors(Cosine(warmup_epochs=100))) > 0


def test_exponential_falls_in_steps_as_in_the_paper() -> None:
    assert factors(Exponential()) == pytest.approx([1.0] * 20 + [0.94] * 20)
    assert Exponential().factor(45_000, 10**6, 1_000) == pytest.approx(0.94**22)


def test_constant_stays() -> None:
    assert set(factors(Constant())) == {1.0}


def test_defaults_leave_no_trace_in_the_key() -> None:
    assert canonical_json(Recipe(epochs=3)) == '{"epochs":3}'
    assert canonical_json(Recipe(epochs=3, transfer=None, optimizer=SGD())) == '{"epochs":3}'


def test_transfer_round_trips_and_is_part_of_the_key() -> None:
    recipe = Recipe(
        epochs=3, transfer=Transfer(source="trial:" + "ab" * 32, freeze="backbone", thaw_epoch=2, backbone_rate=0.1)
    )
    assert from_json(Recipe, canonical_json(recipe)) == recipe
    assert canonical_json(recipe) != canonical_json(recipe.replace_at("transfer.source", "file:" + "ab" * 32))


@pytest.mark.parametrize("optimizer", [SGD, RMSprop, AdamW, Muon])
def test_a_rate_of_nothing_is_refused(optimizer: type[SGD] | type[RMSprop] | type[AdamW] | type[Muon]) -> None:
    with pytest.raises(ValueError, match=r"learning_rate: 0.0 is not allowed"):
        optimizer(learning_rate=0.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Transfer(source="ab" * 32), "Transfer.source: "),
        (lambda: Transfer(source="trial:" + "AB" * 32), "Transfer.source: "),
        (lambda: Transfer(thaw_epoch=1), "Transfer.thaw_epoch: 1 is not allowed; only where something is frozen"),
        (lambda: Transfer(freeze="norms", thaw_epoch=0), "Transfer.thaw_epoch: 0 is not allowed; 1 or more, or None"),
        (lambda: Transfer(backbone_rate=0.0), "Transfer.backbone_rate: 0.0 is not allowed"),
        (lambda: Transfer(freeze="backbone", backbone_rate=0.1), "Transfer.backbone_rate: 0.1 is not allowed"),
        (
            lambda: Recipe(epochs=2, transfer=Transfer(freeze="norms", thaw_epoch=2)),
            "Transfer.thaw_epoch: 2 is not allowed; below",
        ),
        (lambda: Recipe(epochs=0), "Recipe.epochs: 0 is not allowed"),
        (lambda: Recipe(epochs=1, batch_size=1), "Recipe.batch_size: 1 is not allowed"),
        (lambda: Recipe(epochs=1, decay="all"), "Recipe.decay: 'all' is not allowed; only with a weight decay above 0"),
        (lambda: Recipe(epochs=1, gradient_clip=0.0), "Recipe.gradient_clip: 0.0 is not allowed"),
        (lambda: Recipe(epochs=1, ema_decay=1.0), "Recipe.ema_decay: 1.0 is not allowed"),
        (lambda: SGD(momentum=0.0, nesterov=True), "SGD.nesterov: True is not allowed; only with a momentum above 0"),
        (lambda: Muon(other_learning_rate=0.0), "Muon.other_learning_rate: 0.0 is not allowed; a number above 0"),
        (lambda: OneCycle(warmup_fraction=1.0), "OneCycle.warmup_fraction: 1.0 is not allowed"),
        (lambda: Exponential(every_epochs=0), "Exponential.every_epochs: 0 is not allowed"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_a_short_one_cycle_schedule_reaches_its_peak_where_that_is_asked_for() -> None:
    for num_steps in (1, 2, 3, 10, 234):
        short = [OneCycle().factor(step, num_steps, num_steps) for step in range(num_steps)]
        whole = [OneCycle(reaches_peak=True).factor(step, num_steps, num_steps) for step in range(num_steps)]
        assert max(whole) == 1
        assert max(short) < 1
        assert min(whole) > 0
    assert [round(OneCycle().factor(step, 3, 3), 3) for step in range(3)] == [0.923, 0.615, 0.308]
