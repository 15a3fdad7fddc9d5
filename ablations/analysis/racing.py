"""Seeds as needed: which variants of a study continue, to how many seeds, why, and the trials saved."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from ablations.analysis.measurements import measure
from ablations.statistics import LOOKS, VERDICTS, race
from ablations.statistics.sequential import FUTILE, FUTILITY, RUNNING, SETTLED

__all__ = ["FIRST_SEEDS", "MOST_SEEDS", "Saving", "Step", "next_step"]

FIRST_SEEDS, MOST_SEEDS = LOOKS[0].seeds, LOOKS[-1].seeds


@dataclass(frozen=True, kw_only=True)
class Saving:
    """Trials that the study needs, against training every variant with the most seeds."""

    trials: int
    fixed_trials: int

    @property
    def fraction(self) -> float:
        """The fraction of the fixed trials that are not needed, 0 to 1."""
        return 1 - self.trials / self.fixed_trials

    def __str__(self) -> str:
        return (
            f"{self.trials} trials instead of {self.fixed_trials} with {MOST_SEEDS} seeds each: "
            f"{self.fixed_trials - self.trials} saved ({100 * self.fraction:.0f} %)"
        )


@dataclass(frozen=True, kw_only=True)
class Step:
    """What to do after the trials so far: the target number of seeds of each variant, the baseline included, with the
    reason.

    `is_finished` is true when all have reached it and none continues. `saving` assumes that no variant continues after
    this step.
    """

    num_seeds: dict[str, int]
    reasons: dict[str, str]
    is_finished: bool
    saving: Saving


def next_step(frame: pd.DataFrame) -> Step:
    """Return the next step of one study with sequential seeds, from the frame of its records so far.

    Every variant needs a row: train FIRST_SEEDS seeds of each first. Failed trials count as ended; missing ones are
    pending.

    Raises:
        ValueError: the frame is not that of one comparison.
    """
    measured = measure(frame, "auto")
    baselines = sorted(set(measured.references))
    raced = race(measured.differences, measured.margin, measured.ended_pairs, grid=measured.grid)
    num_seeds = {measured.variants[index]: FIRST_SEEDS for index in baselines}
    role = "is what all others are compared with" if len(baselines) == 1 else "is a baseline"
    reasons = dict.fromkeys(num_seeds, role)
    for k, variant in enumerate(measured.variants[index] for index in measured.compared):
        state, taken = int(raced.state[k]), int(raced.looks[k])
        verdict, chance = VERDICTS[int(raced.decisions.verdict[k])], float(raced.chance[k])
        look = LOOKS[taken] if state == RUNNING else LOOKS[taken - 1]
        num_seeds[variant] = look.seeds
        if state == SETTLED:
            reasons[variant] = f"settled at {look.seeds} seeds: {verdict}"
        elif state == FUTILE:
            reasons[variant] = (
                f"stopped at {look.seeds} seeds: the chance of a verdict by {MOST_SEEDS} is {100 * chance:.0f} %, "
                f"below {100 * FUTILITY:.0f} %"
            )
        elif state == RUNNING and taken:
            hope = "" if math.isnan(chance) else f"; the chance of a verdict by {MOST_SEEDS} is {100 * chance:.0f} %"
            reasons[variant] = f"continues to {look.seeds} seeds: inconclusive at {LOOKS[taken - 1].seeds}{hope}"
        elif state == RUNNING:
            reasons[variant] = f"continues to the first look at {look.seeds} seeds"
        else:
            reasons[variant] = f"has used all {MOST_SEEDS} seeds: inconclusive"
    waiting = bool((raced.state == RUNNING).any())
    for index in baselines:
        own = measured.variants[index]
        num_seeds[own] = max(
            num_seeds[measured.variants[k]] for k, reference in enumerate(measured.references) if reference == index
        )
        waiting |= not measured.ended[index, : num_seeds[own]].all()
    saving = Saving(trials=sum(num_seeds.values()), fixed_trials=MOST_SEEDS * len(num_seeds))
    return Step(num_seeds=num_seeds, reasons=reasons, is_finished=not waiting, saving=saving)
