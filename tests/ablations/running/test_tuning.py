"""Tuning: an equal budget for each variant and replicate, the fixed recipe first, the best by validation accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from ablations.design.options import Options
from ablations.design.plan_study import plan_study
from ablations.design.trial import Trial
from ablations.execution.backend import Backend
from ablations.execution.events import Event, Finished, Started
from ablations.execution.task import Task
from ablations.records.store import Store
from ablations.running.context import Context
from ablations.running.tuning import TUNING_SEED, tune
from ablations.studies import get_study
from tests.search.simulated import Simulated, record_of
from tests.trials import RecordingDisplay

NUM_TRIALS = 6


def accuracy(trial: Trial) -> float:
    """Best at twice the fixed learning rate with residual connections, at half of it without."""
    rate = trial.recipe.optimizer.learning_rate / FIXED
    best = 0.5 if trial.model.residual.kind == "none" else 2.0  # type: ignore[union-attr]
    return 0.8 - 0.1 * abs(math.log2(rate / best))


PLAN = plan_study(get_study("residuals"), Options(scale="smoke", dataset="synthetic"))
FIXED = next(iter(PLAN.designs.values())).recipe.optimizer.learning_rate


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'records.db'}")
    yield opened
    opened.close()


def context(store: Store, executor: Simulated) -> Context:
    backend = Backend(executor=executor, device="cpu", own_device="cpu")
    return Context(plan=PLAN, store=store, backend=backend, display=RecordingDisplay())


class Failing(Simulated):
    """An executor whose every trial fails."""

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        for task in tasks:
            yield Started(task.key)
            yield Finished(record_of(task.trial, 0.0, status="failed"))


def test_every_variant_has_the_same_budget_and_ends_at_its_own_best_recipe(store: Store) -> None:
    executor = Simulated(accuracy)
    opened = context(store, executor)
    tuned = tune(opened, NUM_TRIALS)
    trials = tuned.trials
    places = [(name, seed) for name in PLAN.designs for seed in PLAN.seeds]
    assert trials.groupby(["variant", "seed"]).size().to_dict() == dict.fromkeys(places, NUM_TRIALS)
    assert (tuned.num_trained, tuned.num_stored, tuned.num_failed) == (len(places) * NUM_TRIALS, 0, 0)
    first = trials[trials["trial"] == 0]
    assert first["learning_rate"].to_list() == pytest.approx([FIXED] * len(places))
    for name, seed in places:
        rows = trials[(trials["variant"] == name) & (trials["seed"] == seed)]
        best = rows.sort_values("val_accuracy", ascending=False).iloc[0]
        assert tuned.recipes[name, seed].optimizer.learning_rate == best["learning_rate"]
        assert best["val_accuracy"] >= rows["val_accuracy"].iloc[0]
    planned = tuned.plan(PLAN)
    assert planned.study.name == "residuals@tuned"
    assert {place: trial.recipe for place, trial in planned.trials().items()} == tuned.recipes
    assert all(PLAN.designs[name].model == trial.model for (name, _), trial in planned.trials().items())
    # Each training was announced, and none uses a seed of the comparison.
    assert isinstance(opened.display, RecordingDisplay)
    assert opened.display.finished() == executor.trained
    replicates = range(len(PLAN.seeds))
    assert {label.seed for label in opened.display.labels.values()} == {TUNING_SEED + i for i in replicates}


def test_tuning_again_trains_nothing_and_gives_the_same(store: Store) -> None:
    first = tune(context(store, Simulated(accuracy)), NUM_TRIALS)
    again = Simulated(accuracy)
    second = tune(context(store, again), NUM_TRIALS)
    assert again.trained == []
    assert first.recipes == second.recipes
    assert first.trials.equals(second.trials)


def test_the_fixed_recipe_wins_where_no_other_is_better(store: Store) -> None:
    seeds = range(TUNING_SEED, TUNING_SEED + len(PLAN.seeds))
    fixed = {design.trial(seed).key for design in PLAN.designs.values() for seed in seeds}
    opened = context(store, Simulated(lambda trial: 0.5 if trial.key in fixed else 0.0))
    tuned = tune(opened, 3)
    assert [recipe.optimizer.learning_rate for recipe in tuned.recipes.values()] == pytest.approx([FIXED] * 4)


def test_tuning_trials_that_fail_are_counted_and_tried_again(store: Store) -> None:
    tuned = tune(context(store, Failing()), 2)
    num_trials = len(tuned.trials)
    assert (tuned.num_trained, tuned.num_stored, tuned.num_failed) == (0, 0, num_trials)
    again = tune(context(store, Simulated(accuracy)), 2)
    assert (again.num_stored, again.num_failed) == (0, 0)
    assert again.num_trained == num_trials
