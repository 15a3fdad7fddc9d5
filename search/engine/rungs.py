"""Candidates trained for more and more epochs, each rung continued from the one below, and the choice of those that
continue.

A rung is a whole training: its rate warms up, stays and decays, so that accuracies of one rung are comparable
(warm-up, stable, decay). The next rung continues from the state before the decay. The extra cost of a chain of rungs
over one long training is the decay phases of the lower ones.

Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934, Algorithm 2): a free worker takes the best candidate
that is among the top third of its rung and has not been promoted yet, else a new one. With several objectives
candidates are ranked by the fronts on which they lie.
"""

from __future__ import annotations

from collections.abc import Sequence

from ablations.design.study import Design
from ablations.design.trial import Trial
from ablations.statistics.pareto import front
from search.design.definition import Definition
from search.engine.ledger import Row
from xception.network.config import XceptionConfig
from xception.train.recipe import Continues, Stable

__all__ = ["REDUCTION", "chain", "decay_epochs", "next_promotion", "ranked", "rungs", "trainings", "with_stable_rate"]

REDUCTION = 3  # of epochs from one rung to the one below, and of candidates from one rung to the one above
_FALL = 5  # fraction of epochs with a decaying rate, as its inverse


def rungs(epochs: int) -> tuple[int, ...]:
    """Return the epochs of a candidate's successive trainings under a pruner."""
    lowest = max(1, epochs // REDUCTION**2)
    below = [lowest * REDUCTION**k for k in range(3) if 2 * lowest * REDUCTION**k <= epochs]
    return (*below, epochs)


def decay_epochs(epochs: int) -> int:
    """Return the number of epochs of rate decay at the end of a training."""
    return max(1, epochs // _FALL)


def with_stable_rate(design: Design) -> Design:
    """Return the design with a schedule that a longer training can continue from."""
    recipe = design.recipe
    return design.replace(recipe=recipe.replace(schedule=Stable(decay_epochs=decay_epochs(recipe.epochs))))


def chain(design: Design, network: XceptionConfig, seed: int) -> list[tuple[Trial, int | None]]:
    """Return the trainings of a candidate, one for each rung, with the epoch whose state each keeps for the next."""
    out: list[tuple[Trial, int | None]] = []
    parent: Continues | None = None
    epochs = rungs(design.recipe.epochs)
    for steps in epochs:
        recipe = design.recipe.replace(
            epochs=steps, schedule=Stable(decay_epochs=decay_epochs(steps)), continues=parent
        )
        trial = design.replace(model=network, recipe=recipe).trial(seed)
        kept = steps - decay_epochs(steps)
        parent = Continues(parent=trial.key, epoch=kept) if kept else None
        out.append((trial, kept if kept and steps != epochs[-1] else None))
    return out


def trainings(trial: Trial, epochs: int, continued_from: int | None = None) -> float:
    """Return the cost of a training, in whole trainings of a number of epochs."""
    return (trial.recipe.epochs - (continued_from or 0)) / epochs


def next_promotion(rows: Sequence[Row], definition: Definition, *, is_last: bool) -> Row | None:
    """Return the candidate to promote to the next rung; None if there is none.

    `is_last` means that no new candidates follow: then, if nothing was or is trained to the end, the best on the
    highest rung is promoted even if its rung has fewer than three.
    """
    epochs = rungs(definition.design.recipe.epochs)
    seen = [row for row in rows if row.steps and row.state in ("asked", "pruned", "complete")]
    for place in reversed(range(len(epochs) - 1)):
        rung = [row for row in seen if len(row.steps) > place]
        for row in ranked(rung, definition, place)[: len(rung) // REDUCTION]:
            if row.state == "pruned" and len(row.steps) == place + 1:
                return row
    if not is_last or any(row.state in ("asked", "complete") for row in rows):
        return None
    waiting = [row for row in seen if row.state == "pruned"]
    if not waiting:
        return None
    highest = max(len(row.steps) for row in waiting)
    return ranked([row for row in waiting if len(row.steps) == highest], definition, highest - 1)[0]


def ranked(rows: Sequence[Row], definition: Definition, place: int) -> list[Row]:
    """Return candidates by their results on a rung, the best first: by front, then by the first objective."""
    points = {row.number: _losses(row, definition, place) for row in rows}
    if len(definition.objectives) == 1:
        return sorted(rows, key=lambda row: (points[row.number], row.number))
    left, out = list(rows), []
    while left:
        best = {left[i].number for i in front([points[row.number] for row in left])}
        layer = [row for row in left if row.number in best]
        out += sorted(layer, key=lambda row: (points[row.number], row.number))
        left = [row for row in left if row.number not in best]
    return out


def _losses(row: Row, definition: Definition, place: int) -> tuple[float, ...]:
    values = (row.steps[place][1] if name == "val_accuracy" else row.costs[name] for name in definition.objectives)
    return tuple(sign * value for sign, value in zip(definition.signs, values, strict=True))
