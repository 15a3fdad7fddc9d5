"""Equal-budget tuning: every variant of a study, the baseline included, gets the same number of trials over its recipe.

A comparison at one fixed recipe favours the network that the recipe was made for: the paper calls its own comparison
without residual connections possibly "uncharitable" for that reason. What is tuned are the nuisance parameters alone,
learning rate and weight decay, on validation accuracy, with seeds that the comparison does not use.

Each replicate is tuned separately: replicate i of every variant with seed 10,000 + i. One tuning for all seeds of a
variant would give them all the same luck, which per-seed differences do not show: two identical variants would be found
to differ far more often than in 5 % of studies (`benchmarks.statistics`). So tuning costs `--tune` trials per variant
and replicate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ablations.costs.training_cost import trial_work
from ablations.design.study_plan import StudyPlan
from ablations.design.trial import Trial
from ablations.execution.progress import Label
from ablations.running.context import Context
from ablations.running.training import run_all
from xception.train.recipe import Recipe

if TYPE_CHECKING:
    import optuna
    import pandas as pd

__all__ = ["TUNING_SEED", "Tuned", "tune"]

# Seeds of comparisons are 0 … N − 1; replicate i is tuned with this seed + i, so that no validation split serves both.
TUNING_SEED = 10_000
# A rate or decay is searched within this factor of the fixed recipe's, in both directions.
_REACH = 8.0
_SMALLEST_DECAY = 1e-5


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """The outcome of tuning: the best recipe by (variant, seed), every tuning trial as a row of `trials`, and how many
    were trained, stored already, and failed.
    """

    recipes: dict[tuple[str, int], Recipe]
    trials: pd.DataFrame
    num_trained: int
    num_stored: int
    num_failed: int

    def plan(self, plan: StudyPlan) -> StudyPlan:
        """Return the study's plan with every replicate at its own best recipe, as a study of its own."""
        widths = {
            (name, seed): self.recipes[curve.baseline, seed]
            for curve in plan.curves
            for name in curve.widths
            for seed in plan.seeds
        }
        study = replace(plan.study, name=f"{plan.study.name}@tuned")
        return replace(plan, recipes=self.recipes | widths, study=study)


def tune(context: Context, num_trials: int) -> Tuned:
    """Give each replicate of each variant `num_trials` trials over learning rate and weight decay, and return the best
    by validation accuracy.

    The first trial is the fixed recipe, so tuning never does worse than it on the tuning seed; every search starts with
    the same suggestions. A diverged or failed trial counts as accuracy 0. Stored trials are looked up, not trained
    again.
    """
    import optuna
    import pandas as pd

    plan = context.plan
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    places = [(name, replicate) for replicate in range(len(plan.seeds)) for name in plan.designs]
    searches = {place: _search(plan.designs[place[0]].recipe, num_trials) for place in places}
    rows: list[dict[str, object]] = []
    trained: set[str] = set()
    for number in range(num_trials):
        asked = {place: search.ask() for place, search in searches.items()}
        recipes = {place: _suggested(trial, plan.designs[place[0]].recipe) for place, trial in asked.items()}
        trials = {
            (name, replicate): plan.designs[name].replace(recipe=recipe).trial(TUNING_SEED + replicate)
            for (name, replicate), recipe in recipes.items()
        }
        accuracies = _accuracies(context, trials, number, trained)
        for place, trial in asked.items():
            searches[place].tell(trial, accuracies[place])
            rows.append(
                {
                    "variant": place[0],
                    "seed": plan.seeds[place[1]],
                    "trial": number,
                    "learning_rate": recipes[place].optimizer.learning_rate,
                    "weight_decay": recipes[place].optimizer.weight_decay,
                    "val_accuracy": accuracies[place],
                    "key": trials[place].key,
                }
            )
    best = {
        (name, plan.seeds[replicate]): _suggested(searches[name, replicate].best_trial, plan.designs[name].recipe)
        for name, replicate in places
    }
    statuses = context.store.statuses({str(row["key"]) for row in rows})
    failed = {str(row["key"]) for row in rows if statuses.get(str(row["key"]), "failed") == "failed"}
    return Tuned(
        recipes=best,
        trials=pd.DataFrame(rows),
        num_trained=len(trained - failed),
        num_stored=len(statuses.keys() - trained - failed),
        num_failed=len(failed),
    )


def _search(recipe: Recipe, num_trials: int) -> optuna.Study:
    """An in-memory search that starts with the fixed recipe; only the records are stored."""
    import optuna

    sampler = optuna.samplers.TPESampler(seed=0, n_startup_trials=max(num_trials // 2, 4))
    search = optuna.create_study(direction="maximize", sampler=sampler)
    decay = max(recipe.optimizer.weight_decay, _SMALLEST_DECAY)
    search.enqueue_trial({"learning_rate": recipe.optimizer.learning_rate, "weight_decay": decay})
    return search


def _suggested(trial: optuna.Trial | optuna.trial.FrozenTrial, recipe: Recipe) -> Recipe:
    """The fixed recipe with a trial's rate and decay; a fixed decay of 0 stays within reach as the smallest one."""
    rate, decay = recipe.optimizer.learning_rate, max(recipe.optimizer.weight_decay, _SMALLEST_DECAY)
    learning_rate = trial.suggest_float("learning_rate", rate / _REACH, rate * _REACH, log=True)
    weight_decay = trial.suggest_float("weight_decay", decay / _REACH, decay * _REACH, log=True)
    return recipe.replace(optimizer=recipe.optimizer.replace(learning_rate=learning_rate, weight_decay=weight_decay))


def _accuracies(
    context: Context, trials: Mapping[tuple[str, int], Trial], number: int, trained: set[str]
) -> dict[tuple[str, int], float]:
    """Validation accuracy of the trial of each variant and replicate, trained where it is not stored; the keys of those
    that were join `trained`.
    """
    stored = context.store.get(trial.key for trial in trials.values())
    todo = {
        at: trial
        for at, trial in trials.items()
        if trial.key not in trained and (trial.key not in stored or not stored[trial.key].is_final)
    }
    labels = {
        trial.key: Label(
            variant=f"{name}, tuning trial {number + 1}",
            seed=trial.seed,
            num_epochs=trial.recipe.epochs,
            cost=trial_work(trial, context.plan.source_of(trial)),
            is_tuning=True,
        )
        for (name, _), trial in todo.items()
    }
    run_all(context, [context.task(trial) for trial in todo.values()], labels)
    trained |= {trial.key for trial in todo.values()}
    records = context.store.get(trial.key for trial in trials.values())
    return {at: records[trial.key].val_accuracy or 0.0 if trial.key in records else 0.0 for at, trial in trials.items()}
