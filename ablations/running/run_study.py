"""The one service that runs a study: plan → train what is missing → measure costs → write results.

The command line, `ablations.run`, the confirmation of a search's winners and tuning all go through it; training a space
whole uses its first half.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ablations.costs.training_cost import write_speed
from ablations.costs.variant_costs import latency_budget, measure_costs
from ablations.design.study_plan import StudyPlan
from ablations.execution.kept_weights import find_weights
from ablations.records.record import StoredPlan
from ablations.records.store import Store
from ablations.reporting.results import Results
from ablations.running.context import Context
from ablations.running.machine_notices import machine_notices
from ablations.running.training import Training, keys_without_network, train

if TYPE_CHECKING:
    import pandas as pd

    from ablations.running.tuning import Tuned

__all__ = ["Outcome", "first_line", "run_study", "train_and_measure"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of a run: the training, its seconds, and the results."""

    training: Training
    seconds: float
    results: Results


def run_study(context: Context) -> Outcome:
    """Run a study and write its results; with `--tune` at tuned recipes as well."""
    plan, store = context.plan, context.store
    training, seconds, tuned = _train_and_measure(context)
    # Imported only now: pandas, scipy and matplotlib would delay the first trial.
    from ablations.reporting.extras import measure_extras
    from ablations.reporting.presentation import presentation_of
    from ablations.reporting.results_folder import write_results

    measure_extras(plan, store, device=context.backend.own_device)
    written = write_results(
        store, training.plan, context.options.out, tuned=tuned, presentation=presentation_of(plan.options)
    )
    return Outcome(training=training, seconds=seconds, results=written)


def train_and_measure(context: Context) -> Training:
    """Train the missing trials of a plan and measure the costs of its networks; write no results."""
    return _train_and_measure(context)[0]


def _train_and_measure(context: Context) -> tuple[Training, float, tuple[StoredPlan, pd.DataFrame] | None]:
    plan, store, display = context.plan, context.store, context.display
    began = time.monotonic()
    with display:
        for line in plan.remarks:
            display.say(line)
        if _num_to_train(plan, store):
            for line in machine_notices(plan):
                display.say(line)
        display.know(_stored_accuracies(plan, store))
        display.foresee(_num_to_train(plan, store), at_most=plan.is_sequential or plan.options.tune > 0)
        training = train(context, after_look=lambda so_far: _write_so_far(context, so_far))
        tuned = None
        if plan.options.tune:
            found, at_tuned = _tuned(context)
            tuned = (at_tuned.plan, found.trials)
            training = replace(
                training,
                num_trained=training.num_trained + found.num_trained + at_tuned.num_trained,
                num_stored=training.num_stored + found.num_stored + at_tuned.num_stored,
                num_failed=training.num_failed + found.num_failed + at_tuned.num_failed,
                num_tuning=found.num_trained + found.num_stored,
                work=training.work + at_tuned.work,
                seconds=training.seconds + at_tuned.seconds,
            )
    seconds = time.monotonic() - began
    at_a_time = max(1.0, training.seconds / seconds)
    if training.seconds > 0:
        rate = at_a_time * training.work / training.seconds
        write_speed(plan.options.out, work=training.work, work_per_second=rate)
    spent = sum(r.train_seconds or 0.0 for r in store.get(m.key for m in training.plan.members).values())
    measure_costs(
        plan.designs,
        store,
        device=context.backend.own_device,
        time_budget_s=latency_budget(spent / at_a_time),
        counted=context.ahead.counted(),
    )
    return training, seconds, tuned


def _write_so_far(context: Context, plan: StoredPlan) -> None:
    """Write the results of an interim look while variants still train."""
    from ablations.reporting.presentation import presentation_of
    from ablations.reporting.results_folder import write_results

    write_results(context.store, plan, context.options.out, presentation=presentation_of(context.options))


def _num_to_train(plan: StudyPlan, store: Store) -> int:
    """The trials that a run trains: exact without tuning and with given seeds, otherwise an upper bound."""
    trials = {trial.key for trial in plan.trials().values()}
    statuses = store.statuses(trials)
    again = keys_without_network(plan.options, store, statuses)
    missing = sum(key in again or statuses.get(key, "failed") == "failed" for key in trials)
    folder = plan.options.out / "weights"
    sources = {t.key for t in plan.pretraining(list(plan.trials())).values()}
    missing += sum(find_weights(key, folder, store) is None for key in sources) if missing else 0
    return missing + plan.options.tune * len(plan.designs) * len(plan.seeds) + (len(trials) if plan.options.tune else 0)


def _tuned(context: Context) -> tuple[Tuned, Training]:
    from ablations.running.tuning import tune

    plan = context.plan
    context.display.say(
        f"Tuning learning rate and weight decay: {plan.options.tune} trials for each of {len(plan.designs)} variants"
        f" and {len(plan.seeds)} replicates"
    )
    found = tune(context, plan.options.tune)
    return found, train(context.with_plan(found.plan(plan)))


def _stored_accuracies(plan: StudyPlan, store: Store) -> list[tuple[str, float]]:
    """The variant and test accuracy of every trial that is stored already."""
    variants = {trial.key: variant for (variant, _), trial in plan.trials().items()}
    records = store.get(variants).values()
    return [(variants[r.key], r.test_accuracy) for r in records if r.test_accuracy is not None]


def first_line(plan: StudyPlan) -> str:
    """Return the first lines of a run: the study, its data, and a summary of the data."""
    text = f"Study {plan.study.name} on {plan.source.title} at scale {plan.scale.name}: {plan.study.question}"
    notice = [plan.notice] if plan.notice else []
    return "\n".join([*notice, text, *(line for summary in plan.summaries for line in summary.lines)])
