"""`--seeds auto` from end to end: rounds of seeds until every variant is settled, with simulated trainings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import pandas as pd
import pytest

import ablations
from ablations import Study, Variant
from ablations.analysis.frame import plan_frame
from ablations.analysis.racing import FIRST_SEEDS, MOST_SEEDS
from ablations.design.options import Options
from ablations.design.plan_study import plan_study
from ablations.design.trial import Trial
from ablations.execution.backend import Backend
from ablations.execution.events import Event, Finished, Started
from ablations.execution.task import Task
from ablations.reporting.results_folder import write_results
from ablations.running.context import open_context
from ablations.running.training import Training, train
from tests.search.simulated import Simulated, record_of
from xception.network.config import XceptionConfig

pytestmark = pytest.mark.usefixtures("svg_alone")

STUDY = Study(
    name="activation",
    question="Which activation?",
    varies=("model.activation",),
    baseline="ReLU",
    variants=(
        Variant(name="ReLU"),
        Variant(name="ELU", changes={"model.activation": "elu"}),
        Variant(name="SiLU", changes={"model.activation": "silu"}),
    ),
)
EFFECTS = {"relu": 0.0, "elu": -0.2, "silu": 0.011}


def accuracy_of(trial: Trial) -> float:
    """A clear effect of ELU, one of SiLU that is about as large as the margin, and noise by seed and variant."""
    activation = cast("XceptionConfig", trial.model).activation
    return 0.7 + EFFECTS[activation] + 0.008 * math.sin(trial.seed * 7.0 + len(activation) * EFFECTS[activation] * 900)


class Noisy(Simulated):
    """An executor whose test accuracies are those of `accuracy_of`."""

    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Yield events until there are no tasks."""
        for task in tasks:
            yield Started(task.key)
            self.trained.append(task.key)
            yield Finished(record_of(task.trial, 0.6, test_accuracy=accuracy_of(task.trial)))


def trained(out: Path, executor: Simulated) -> tuple[Training, pd.DataFrame, Path]:
    """The trials that the service trained, the comparison, and the folder of results."""
    options = Options(scale="quick", dataset="synthetic", seeds="auto", out=out)
    backend = Backend(executor=executor, device="cpu", own_device="cpu")
    with open_context(plan_study(STUDY, options), backend=backend) as context:
        training = train(context)
        frame = plan_frame(context.store, training.plan)
        folder = write_results(context.store, training.plan, out).folder
    return training, ablations.compare(frame), folder


def test_each_variant_gets_the_seeds_that_it_needs(tmp_path: Path) -> None:
    executor = Noisy()
    training, comparison, folder = trained(tmp_path, executor)
    pairs = comparison.set_index("variant")["n"].to_dict()
    assert pairs["ELU"] == FIRST_SEEDS
    assert FIRST_SEEDS < pairs["SiLU"] <= MOST_SEEDS
    assert pairs["ReLU"] == pairs["SiLU"], "the baseline has a pair for every trial"
    assert len(executor.trained) == len(set(executor.trained)) == sum(pairs.values()) == training.num_trained
    verdicts = comparison.set_index("variant")["verdict"].to_dict()
    assert verdicts["ELU"] == "hurts"
    written = pd.read_csv(folder / "table.csv").set_index("variant")
    assert written["verdict"].to_dict() == verdicts
    assert written["n"].to_dict() == pairs

    again = Noisy()
    training, comparison, _ = trained(tmp_path, again)
    assert again.trained == []
    assert (training.num_trained, training.num_stored) == (0, sum(pairs.values()))
    assert comparison.set_index("variant")["n"].to_dict() == pairs
