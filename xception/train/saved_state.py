"""Saving the state of a training in a checkpoint, and continuing from its own checkpoint or its parent's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from xception.train.checkpoint import Checkpoint, CheckpointError, CheckpointFolder, difference
from xception.train.optimiser import optimiser_state, restore_optimiser

if TYPE_CHECKING:
    from xception.train.trainer import Trainer

__all__ = ["continue_from", "resume", "save"]

_CHECKPOINT_FORMAT = 1
_FORMERLY = {"members": 1}  # conditions that older checkpoints lack
# Where a parent may differ from the training that continues it: in how many epochs there are.
_PARENTS_MAY_DIFFER = ("recipe.epochs ", "recipe.schedule.decay_epochs ", "recipe.continues ", "recipe.continues.")


def save(trainer: Trainer, to: CheckpointFolder | None = None) -> None:
    """Write a checkpoint to the given folder, else to the training's own; without a folder do nothing."""
    folder = to or trainer.checkpoints
    if folder is None:
        return
    state = {
        "format": _CHECKPOINT_FORMAT,
        "training": trainer.identity,
        "conditions": trainer.conditions,
        "changed": trainer.changed,
        "epoch": trainer.epoch,
        "step": trainer.step,
        "curves": trainer.curves,
        "train_seconds": trainer.stopwatch.seconds,
        "num_updates": trainer.average.num_updates if trainer.average else 0,
        "scaler": trainer.compute.scaler.state_dict(),
    }
    if trainer.continued_from is not None:
        state["continued_from"] = trainer.continued_from
    tensors = _fixed_tensors(trainer)
    tensors |= {f"optimiser.{name}": value for name, value in optimiser_state(trainer.optimiser).items()}
    folder.save(trainer.num_steps_done, tensors, state)


def resume(trainer: Trainer) -> None:
    """Continue from the newest intact checkpoint, if there is one.

    Raises:
        CheckpointError: it belongs to another training.
    """
    checkpoints = trainer.checkpoints
    found = trainer.group.from_first(
        lambda: None if checkpoints is None else checkpoints.newest(lambda found: _complaint(trainer, found))
    )
    if found is not None:
        _take_over(trainer, found)


def continue_from(trainer: Trainer, parent: CheckpointFolder) -> None:
    """Continue from the state that the recipe's parent kept; if that is not available, begin at the start.

    Raises:
        CheckpointError: it belongs to another training than the recipe's parent.
    """
    continues = trainer.recipe.continues
    found = trainer.group.from_first(
        lambda: parent.newest(lambda found: _complaint(trainer, found, _PARENTS_MAY_DIFFER))
    )
    if found is not None and continues is not None and found.state["epoch"] == continues.epoch:
        _take_over(trainer, found)
        trainer.continued_from = continues.epoch


def _take_over(trainer: Trainer, found: Checkpoint) -> None:
    checkpoints = trainer.checkpoints
    with torch.no_grad():
        for name, tensor in _fixed_tensors(trainer).items():
            tensor.copy_(found.tensors[name])
    state = {name: tensor for name, tensor in found.tensors.items() if name.startswith("optimiser.")}
    restore_optimiser(trainer.optimiser, {name.removeprefix("optimiser."): tensor for name, tensor in state.items()})
    trainer.compute.scaler.load_state_dict(found.state["scaler"])
    if trainer.average is not None:
        trainer.average.num_updates = found.state["num_updates"]
    trainer.epoch, trainer.step, trainer.curves = found.state["epoch"], found.state["step"], found.state["curves"]
    trainer.stopwatch.seconds = found.state["train_seconds"]
    trainer.changed, trainer.continued_from = found.state["changed"], found.state.get("continued_from")
    for name, now in trainer.conditions.items():
        before = found.state["conditions"].get(name, _FORMERLY.get(name))
        is_unknown = name not in found.state["conditions"] and name not in _FORMERLY
        if before != now and not is_unknown:
            trainer.changed[name] = [*trainer.changed.get(name, [before]), now]
            if checkpoints is not None:
                checkpoints.say(
                    f"continued under other conditions, so the last bits may differ: {name} was {before}, is {now}"
                )


def _complaint(trainer: Trainer, checkpoint: Checkpoint, may_differ: tuple[str, ...] = ()) -> str | None:
    """Return why a checkpoint cannot be used, or None; raise if it belongs to another training, apart from fields that
    may differ.
    """
    state = checkpoint.state
    if state.get("format") != _CHECKPOINT_FORMAT:
        return f"its format is {state.get('format')!r}, and {_CHECKPOINT_FORMAT} is read"
    lines = [line for line in difference(state.get("training"), trainer.identity) if not line.startswith(may_differ)]
    if lines:
        raise CheckpointError(
            f"{str(checkpoint.path.parent)!r}: its checkpoint belongs to another training ({'; '.join(lines)}); "
            "remove the folder to start again"
        )
    fixed = {name: tensor.shape for name, tensor in _fixed_tensors(trainer).items()}
    found = {name: tensor.shape for name, tensor in checkpoint.tensors.items() if not name.startswith("optimiser.")}
    return None if fixed == found else "its tensors are not those of this network"


def _fixed_tensors(trainer: Trainer) -> dict[str, Tensor]:
    """The tensors that every training of this network has, by name: weights, their average, losses."""
    out = {f"model.{name}": tensor for name, tensor in trainer.model.state_dict().items()}
    out |= {f"average.{i}": tensor for i, tensor in enumerate(trainer.average.average if trainer.average else ())}
    return out | {"losses": trainer.losses}
