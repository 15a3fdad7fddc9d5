"""A training continued from a shorter one's state gives the bits of the whole training; without that state it is
trained from the start.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.xception.train.test_checkpoint import same
from tests.xception.train.tiny_training import Training, tiny_recipe
from xception.train.checkpoint import CheckpointError, CheckpointFolder
from xception.train.loop import FitResult, KeptState
from xception.train.recipe import Continues, Recipe, Stable

pytestmark = pytest.mark.numeric

PARENT = Continues(parent="a" * 64, epoch=2)


def recipe(epochs: int, continues: Continues | None = None) -> Recipe:
    return tiny_recipe(epochs=epochs, schedule=Stable(decay_epochs=1, warmup_epochs=0.5), continues=continues)


def states(folder: Path) -> CheckpointFolder:
    return CheckpointFolder(path=folder, semantics=1)


def without_origin(result: FitResult) -> FitResult:
    how = {name: value for name, value in result.how.items() if name != "continued_from_epoch"}
    return dataclasses.replace(result, how=how)


def test_continued_training_has_the_bits_of_the_whole_one(tiny_training: Training, tmp_path: Path) -> None:
    whole = tiny_training(recipe=recipe(5))
    kept = KeptState(folder=states(tmp_path / "state"), epoch=2)
    short = tiny_training(recipe=recipe(3), checkpoints=states(tmp_path / "own"), keep=kept)
    continued = tiny_training(
        recipe=recipe(5, PARENT), checkpoints=states(tmp_path / "next"), parent=states(tmp_path / "state")
    )
    assert continued.how["continued_from_epoch"] == 2
    assert same(without_origin(continued), whole)
    assert short.curves[:2] == whole.curves[:2]
    assert short.curves[2] != whole.curves[2]  # its rate falls in its last epoch


def test_without_the_parents_state_it_is_trained_whole(tiny_training: Training, tmp_path: Path) -> None:
    continued = tiny_training(recipe=recipe(4, PARENT), parent=states(tmp_path / "nowhere"))
    assert "continued_from_epoch" not in continued.how
    assert same(continued, tiny_training(recipe=recipe(4)))


def test_another_trainings_state_is_refused(tiny_training: Training, tmp_path: Path) -> None:
    kept = KeptState(folder=states(tmp_path / "state"), epoch=2)
    other = tiny_recipe(epochs=3, schedule=Stable(decay_epochs=1, warmup_epochs=0.5), label_smoothing=0.25)
    tiny_training(recipe=other, checkpoints=states(tmp_path / "own"), keep=kept)
    with pytest.raises(CheckpointError, match=r"label_smoothing was 0\.25"):
        tiny_training(recipe=recipe(5, PARENT), parent=states(tmp_path / "state"))


def test_the_rate_is_the_same_until_it_falls() -> None:
    def rates(epochs: int) -> list[float]:
        schedule = Stable(decay_epochs=1, warmup_epochs=0.5)
        return [schedule.factor(step, 10 * epochs, 10) for step in range(10 * epochs)]

    assert rates(3)[:20] == rates(9)[:20]
    assert rates(9)[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates(9)[5:80] == [1.0] * 75
    assert rates(3)[20:] == rates(9)[80:] == pytest.approx([(10 - i) / 11 for i in range(10)])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Stable(decay_epochs=0), "Stable.decay_epochs: 0 is not allowed"),
        (lambda: recipe(3, Continues(parent="a" * 64, epoch=3)), "Continues.epoch: 3 is not allowed"),
        (
            lambda: Recipe(epochs=3, continues=PARENT),
            "Continues.epoch: 2 is not allowed; only with the schedule",
        ),
        (lambda: Continues(parent="key", epoch=1), "Continues.parent: 'key' is not allowed"),
        (lambda: Recipe(epochs=2, schedule=Stable(decay_epochs=3)), "Stable.decay_epochs: 3 is not allowed"),
    ],
)
def test_what_cannot_be_is_named(wrong: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()  # type: ignore[operator]
