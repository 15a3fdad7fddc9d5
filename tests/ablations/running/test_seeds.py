"""Which seeds a run trains, which looks it stores, and the independent tuning of each replicate.

Runs use the real service; only the training itself is simulated, so that effects are known and nothing is slow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest

import ablations
from ablations import studies
from ablations.analysis.frame import plan_frame
from ablations.analysis.looks import earlier_looks, record_looks
from ablations.design.options import Options
from ablations.design.plan_study import plan_study
from ablations.design.scales import SCALES
from ablations.design.study_plan import FRESH_SEED, MOST_SEEDS, StudyPlan
from ablations.execution.backend import Backend
from ablations.execution.events import Event, Finished
from ablations.execution.task import Task, failed
from ablations.records.store import Store
from ablations.running.context import Context
from ablations.running.training import train
from ablations.running.tuning import TUNING_SEED, tune
from ablations.statistics import LOOKS
from tests.trials import RecordingDisplay
from xception.network.config import XceptionConfig

Accuracy = Callable[[Task], float]


class MadeUp:
    """Gives every trial an accuracy immediately, without training."""

    abilities: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, accuracy: Accuracy) -> None:
        self.accuracy = accuracy
        self.seeds: list[int] = []

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        for task in tasks:
            self.seeds.append(task.trial.seed)
            value = self.accuracy(task)
            about: dict[str, Any] = {
                "test_accuracy": value,
                "val_accuracy": value,
                "num_test": 10_000,
                "num_classes": 10,
            }
            record = replace(failed(task, ""), status="complete", reason=None, **about)
            yield Finished(record)


def residual_effect(effect: float, sd: float) -> Accuracy:
    """Accuracies in which the variant without residuals is better by an effect, with noise that alternates by seed."""

    def accuracy(task: Task) -> float:
        assert isinstance(task.trial.model, XceptionConfig)
        is_without = task.trial.model.residual.kind == "none"
        seed = task.trial.seed
        return 0.6 + float(is_without) * (effect + sd * (1 + seed % 3 / 10) * (-1.0) ** seed)

    return accuracy


def planned(out: Path, **options: Any) -> StudyPlan:
    asked: dict[str, Any] = {"scale": "quick", "dataset": "synthetic", "train_size": 100, "out": out} | options
    return plan_study(studies.get_study("residuals"), Options(**asked))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path / 'records.db'}")) as store:
        yield store


def context(plan: StudyPlan, store: Store, accuracy: Accuracy) -> tuple[Context, MadeUp]:
    executor = MadeUp(accuracy)
    backend = Backend(executor=executor, device="cpu", own_device="cpu")
    return Context(plan=plan, store=store, backend=backend, display=RecordingDisplay()), executor


def read(plan: StudyPlan, store: Store, accuracy: Accuracy) -> pd.DataFrame:
    """Train a plan and read its verdicts, as writing results does."""
    stored = train(context(plan, store, accuracy)[0]).plan
    table = ablations.compare(plan_frame(store, stored))
    record_looks(store, stored, stored.description.references, table)
    return table


def test_seeds_are_as_needed_by_default_but_not_at_smoke(tmp_path: Path) -> None:
    assert planned(tmp_path).is_sequential
    assert not planned(tmp_path, scale="smoke", train_size=None).is_sequential
    assert list(planned(tmp_path, scale="smoke", train_size=None).seeds) == [0, 1]
    assert not planned(tmp_path, seeds=5).is_sequential
    assert list(planned(tmp_path).seeds) == list(range(MOST_SEEDS)) == list(range(LOOKS[-1].seeds))
    assert list(planned(tmp_path, fresh_seeds=4).seeds) == [30_000, 30_001, 30_002, 30_003]
    assert planned(tmp_path).stored_plan().description.seeds_mode == "auto"


def test_the_margin_is_the_users_else_the_studys_else_the_scales(tmp_path: Path) -> None:
    assert planned(tmp_path).margin == SCALES["quick-2"].margin == 0.01
    assert planned(tmp_path, margin=0.5).stored_plan().description.margin == 0.005
    study = replace(studies.get_study("residuals"), margin=0.03)
    options = Options(scale="quick", dataset="synthetic", out=tmp_path)
    assert plan_study(study, options).margin == 0.03
    assert plan_study(study, options.replace(margin=2.0)).margin == 0.02
    margins = [scale.margin for scale in SCALES.values()]
    assert margins == sorted(margins, reverse=True)  # larger scales detect smaller differences
    assert SCALES["smoke"].margin > 3 / 128  # some of its test images
    assert SCALES["paper"].margin < (0.790 - 0.782) / 2  # the paper's own gain is above the margin


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": 0.0}, "--margin: 0 is not allowed; percentage points above 0 and below 100"),
        ({"margin": math.nan}, "--margin: nan is not allowed"),
        ({"fresh_seeds": 0}, "--fresh-seeds: 0 is not allowed; 1 to 10,000"),
        ({"fresh_seeds": 3, "seeds": 3}, "--fresh-seeds: 3 is not allowed with --seeds"),
        ({"tune": 2, "seeds": "auto"}, "--seeds: auto is not allowed with --tune"),
    ],
)
def test_wrong_seeds_and_margins_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        planned(tmp_path, **options)
    assert str(caught.value).startswith(message)


def test_a_table_is_written_after_every_look_but_the_last(tmp_path: Path, store: Store) -> None:
    plan, looks = planned(tmp_path), []
    running, executor = context(plan, store, residual_effect(0.015, sd=0.012))
    training = train(running, after_look=lambda stored: looks.append(len({m.seed for m in stored.members})))
    assert looks[0] == 3
    assert looks == [look.seeds for look in LOOKS[: len(looks)]]
    assert len({m.seed for m in training.plan.members}) == LOOKS[len(looks)].seeds
    assert set(executor.seeds) == set(range(LOOKS[len(looks)].seeds))


def test_an_extended_run_lists_its_earlier_looks(tmp_path: Path, store: Store) -> None:
    noise = residual_effect(0.004, sd=0.012)
    first = read(planned(tmp_path, seeds=5), store, noise).iloc[1]
    assert pd.isna(first["looked_before"])
    assert first["verdict"] == "inconclusive"
    assert f"--fresh-seeds {first['more_seeds']} gives a verdict that stays valid" in first["sentence"]
    again = read(planned(tmp_path, seeds=5), store, noise).iloc[1]
    assert pd.isna(again["looked_before"])  # the same run read twice is one look
    longer = read(planned(tmp_path, seeds=8), store, noise).iloc[1]
    assert longer["looked_before"] == "5"
    assert "looked at before at n = 5: error not controlled" in longer["sentence"]
    assert read(planned(tmp_path), store, noise).iloc[1]["n"] > 5
    assert read(planned(tmp_path, seeds=9), store, noise).iloc[1]["looked_before"].startswith("5, 8")


def test_fresh_seeds_and_planned_looks_stay_valid(tmp_path: Path, store: Store) -> None:
    noise = residual_effect(0.004, sd=0.012)
    read(planned(tmp_path, seeds=5), store, noise)
    fresh = read(planned(tmp_path, fresh_seeds=8), store, noise).iloc[1]
    assert (fresh["n"], pd.isna(fresh["looked_before"])) == (8, True)
    assert {m.seed for m in store.plans()[0].members} == set(range(FRESH_SEED, FRESH_SEED + 8))
    planned_looks = [{"pairs": n, "mode": "auto", "margin": 0.01} for n in (3, 5, 8)]
    assert earlier_looks(planned_looks, 10, "auto") == []
    assert earlier_looks(planned_looks, 10, "fixed") == [3, 5, 8]
    assert earlier_looks([{"pairs": 5, "mode": "fixed", "margin": 0.01}], 10, "auto") == [5]


def test_a_look_at_two_pairs_gives_no_verdict_and_is_none(tmp_path: Path, store: Store) -> None:
    table = read(planned(tmp_path, seeds=2), store, residual_effect(0.2, sd=0.001))
    assert table["verdict"].tolist() == ["baseline", "inconclusive"]
    assert "run it with --seeds auto" in table["sentence"][1]
    assert pd.isna(read(planned(tmp_path, seeds=3), store, residual_effect(0.2, sd=0.001))["looked_before"][1])


def test_each_replicate_is_tuned_by_itself(tmp_path: Path, store: Store) -> None:
    plan = planned(tmp_path, seeds=3, tune=3)

    def accuracy(task: Task) -> float:
        """Even tuning seeds favour large rates, odd ones small rates."""
        rate = math.log(task.trial.recipe.optimizer.learning_rate)
        return 0.5 + 0.01 * rate * (1 if task.trial.seed % 2 == 0 else -1)

    running, executor = context(plan, store, accuracy)
    tuned = tune(running, 3)
    assert set(executor.seeds) == {TUNING_SEED, TUNING_SEED + 1, TUNING_SEED + 2}
    assert len(tuned.trials) == 3 * 2 * 3  # trials × variants × replicates
    assert tuned.trials["key"].nunique() == 18
    assert set(tuned.recipes) == {(name, seed) for name in plan.designs for seed in range(3)}
    rates = {seed: tuned.recipes["with residuals", seed].optimizer.learning_rate for seed in range(3)}
    assert rates[0] == rates[2] != rates[1]  # the same suggestions, evaluated with other seeds
    at_tuned = tuned.plan(plan)
    for (name, seed), trial in at_tuned.trials().items():
        assert trial.recipe == tuned.recipes[name, seed]
        assert trial.seed == seed
    assert at_tuned.stored_plan().plan != plan.stored_plan().plan
    assert at_tuned.study.name == "residuals@tuned"
