"""Candidates trained for more and more epochs, each rung continued from the one below, and which of them go on.

A rung is a whole training: its rate rises, stays and falls to its end, so that accuracies of one rung are comparable
(warm-up, stable, decay). The next rung goes on from the state before the fall. What a chain of rungs costs beyond one
long training are the falls of the lower ones.

Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934, Algorithm 2): a free worker takes the best candidate
that is among the first third of its rung and has not gone on yet, else a new one. With several objectives candidates
are ranked by the fronts on which they lie.
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
_FALL = 5  # the rate falls over one epoch in so many


def rungs(epochs: int) -> tuple[int, ...]:
    """Return the epochs that a candidate is trained for, one training after the other, while a pruner looks on."""
    lowest = max(1, epochs // REDUCTION**2)
    below = [lowest * REDUCTION**k for k in range(3) if 2 * lowest * REDUCTION**k <= epochs]
    return (*below, epochs)


def decay_epochs(epochs: int) -> int:
    """Return the epochs over which the rate falls at the end of a training."""
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
    """Return what a training cost, in whole trainings of so many epochs."""
    return (trial.recipe.epochs - (continued_from or 0)) / epochs


def next_promotion(rows: Sequence[Row], definition: Definition, *, is_last: bool) -> Row | None:
    """Return the candidate that goes on to the next rung; None where none does.

    `is_last` says that no new candidates follow: then, if nothing was or is trained to the end, the best on the highest
    rung goes on even where its rung has not three.
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
    """Return candidates by what was known of them on a rung, the best first: by front, then by the first objective."""
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
