"""`--resume-from`: the plan of a trial that continues for more epochs, together with its parent.

The longer training is a trial of its own, whose recipe names the parent's key and the epoch from which it continues. It
is bit-identical to the whole training from its start, which needs a schedule whose rate does not depend on the number
of remaining epochs: warm-up, stable rate, decay. It continues from the state before the parent's rate decayed.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from typing import Any

from ablations.design.fixed_plan import FixedPlan, fixed_plan
from ablations.design.options import BackendOptions, FolderOptions, Options, PresentationOptions
from ablations.design.plan_study import plan_study
from ablations.design.study import Design, Study, Variant
from ablations.design.trial import SEMANTICS, Trial, read_trial
from xception.train.recipe import Continues, Stable

__all__ = ["epoch_to_continue_from", "plan_resumed"]

# The options that name the data; the rest of the design is the parent's.
_DATA = ("dataset", "splits", "image_column", "label_column", "channels", "classes")
_DATA_OPTIONS = (*_DATA, "scale", "preset")
_ALLOWED = {
    *(
        field.name
        for kind in (BackendOptions, FolderOptions, PresentationOptions)
        for field in dataclasses.fields(kind)
    ),
    *(*_DATA_OPTIONS, "epochs", "keep_weights", "live", "name", "tensorboard", "wandb", "margin"),
}


def epoch_to_continue_from(trial: Trial) -> int | None:
    """Return the epoch after which a longer training can continue a trial; None if none can."""
    schedule, epochs = trial.recipe.schedule, trial.recipe.epochs
    if not isinstance(schedule, Stable) or trial.recipe.transfer is not None:
        return None
    return epochs - schedule.decay_epochs or None


def plan_resumed(trial_text: str, options: Options, asked_by: str, command: str) -> FixedPlan:
    """Return the plan of a trial and its continuation.

    `asked_by` is the command of the run that trained the parent; it names the data, unless the options do.

    Raises:
        ValueError: the trial cannot be continued, an option would have no effect, or the data is not the trial's.
    """
    parent = read_trial(trial_text)
    key = parent.key[:12]
    epoch = _epoch(parent, key)
    epochs = options.epochs
    if epochs is None or epochs <= parent.recipe.epochs:
        given = "missing" if epochs is None else f"{epochs} is not allowed"
        raise ValueError(f"--epochs: {given}; more than the {parent.recipe.epochs} epochs of {key}")
    for field in dataclasses.fields(Options):
        if field.name not in _ALLOWED and getattr(options, field.name) != field.default:
            name = field.name.replace("_", "-")
            raise ValueError(f"--{name}: has no effect with --resume-from, which keeps what {key} was trained with")
    options = options.replace(
        **{n: v for n, v in _options_in(asked_by).items() if getattr(options, n) is None}, epochs=None
    )
    first, longer = f"{parent.recipe.epochs} epochs", f"{epochs} epochs"
    changes = {"recipe.epochs": epochs, "recipe.continues": Continues(parent=parent.key, epoch=epoch)}
    study = Study(
        name="continued",
        question=f"What do {epochs} epochs bring where the trial {key} had {parent.recipe.epochs}?",
        variants=(Variant(name=first), Variant(name=longer, changes=changes)),
        baseline=first,
        varies=("recipe",),
        reference=f"the trial {parent.key}",
    )
    base = plan_study(dataclasses.replace(study, variants=study.variants[:1]), options.replace(name=None))
    if parent.dataset.fingerprint not in base.sources:
        raise ValueError(
            f"--dataset: {key} was trained on other data than {base.source.title}; name its data set, with the options"
            " that it was read with"
        )
    design = Design(model=parent.model, recipe=parent.recipe, dataset=parent.dataset, stream=parent.stream)
    plan = fixed_plan(base, study, study.designs(design), seeds=range(parent.seed, parent.seed + 1), command=command)
    return dataclasses.replace(plan, run=options.name or f"continued-{key}-epochs={epochs}", options=options)


def _epoch(parent: Trial, key: str) -> int:
    if parent.semantics != SEMANTICS:
        raise ValueError(f"--resume-from: {key} is of semantics {parent.semantics}; allowed: {SEMANTICS}")
    epoch = epoch_to_continue_from(parent)
    if epoch is not None:
        return epoch
    schedule = type(parent.recipe.schedule).__name__
    if parent.recipe.transfer is not None:
        reason = "started from the weights of another network"
    elif isinstance(parent.recipe.schedule, Stable):
        reason = "has a rate that decays from its first epoch"
    else:
        reason = f"was trained with the schedule {schedule}, whose rate depends on the number of epochs"
    raise ValueError(
        f"--resume-from: {key} {reason}; allowed: a trial whose rate was constant, as --recipe stable has it"
    )


def _options_in(command: str) -> dict[str, Any]:
    """The data, scale and preset in the command of a run."""
    words: Sequence[str] = shlex.split(command)
    found: dict[str, Any] = {}
    for name in _DATA_OPTIONS:
        option = f"--{name.replace('_', '-')}"
        if option in words[:-1]:
            value = words[words.index(option) + 1]
            found[name] = int(value) if name == "channels" else value
    return found
