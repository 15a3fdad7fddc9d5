"""One cell of a simulation: many studies with the same true effects, decided by the code that decides real ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ablations.statistics import EQUIVALENT, HELPS, HURTS, INCONCLUSIVE, LOOKS, Array, Decisions, decide, race
from benchmarks.simulated_studies import Distribution, earlier_auto, earlier_fixed, earlier_intervals

__all__ = ["MARGIN", "MOST", "Cell", "decided", "disagrees", "is_wrong", "rate", "simulate", "trials_used"]

CHUNK = 10_000  # studies in memory at once
MARGIN = 1.0  # everything is in units of δ
MOST = LOOKS[-1].seeds

Cell = dict[str, Any]


def rate(hits: int, trials: int) -> dict[str, float]:
    """Return a simulated rate with its 99 % Clopper–Pearson interval."""
    low = float(stats.beta.ppf(0.005, hits, trials - hits + 1)) if hits else 0.0
    high = float(stats.beta.ppf(0.995, hits + 1, trials - hits)) if hits < trials else 1.0
    return {"rate": hits / trials, "low": low, "high": high, "studies": trials}


def decided(data: Array, n: int | None, grid: float | None) -> tuple[Decisions, NDArray[np.int64]]:
    """Return the decisions on differences at n fixed seeds, or with seeds as needed (None), and the seeds used."""
    if n is not None:
        return decide(data, MARGIN, grid=grid), np.full(data.shape[:-1], n)
    raced = race(data, MARGIN, grid=grid)
    return raced.decisions, np.array([0, *(look.seeds for look in LOOKS)])[raced.looks]


def is_wrong(verdict: NDArray[np.int8], effects: Array) -> NDArray[np.bool_]:
    """Return which verdicts are false: a direction although there is none or it is the opposite, or no meaningful
    effect although it is δ or more.
    """
    direction = np.where(effects > 0, verdict == HURTS, np.where(effects < 0, verdict == HELPS, False))
    at_nothing = (effects == 0) & ((verdict == HELPS) | (verdict == HURTS))
    return np.asarray(at_nothing | direction | ((np.abs(effects) >= MARGIN) & (verdict == EQUIVALENT)))


def disagrees(verdict: NDArray[np.int8], thin: tuple[Array, Array], thick: tuple[Array, Array]) -> NDArray[np.bool_]:
    """Return which verdicts contradict their two intervals."""
    inside = (thick[0] > -MARGIN) & (thick[1] < MARGIN)
    shown = np.where(inside, EQUIVALENT, np.where(thin[0] > 0, HELPS, np.where(thin[1] < 0, HURTS, INCONCLUSIVE)))
    return np.asarray(shown != verdict)


def trials_used(seeds: NDArray[np.int64]) -> float:
    """Return the mean number of trials of a study (studies, K): the baseline trains as long as any variant."""
    return float((seeds.sum(axis=-1) + seeds.max(axis=-1)).mean())


def simulate(
    generator: np.random.Generator, studies: int, of: Distribution, effects: Array, n: int | None, sd: float
) -> Cell:
    """Return one cell: its error rate, coverage, contradicting verdicts, trials, and the same by the earlier rule."""
    wrong = covered = 0
    totals = dict.fromkeys(("disagree", "before_wrong", "before_disagree", "decided", "before_decided"), 0)
    trials = before_trials = 0.0
    for start in range(0, studies, CHUNK):
        size = min(CHUNK, studies - start)
        data = of.draw(generator, size, effects, n or MOST, sd)
        found, used = decided(data, n, of.grid)
        wrong += int(is_wrong(found.verdict, effects).any(axis=-1).sum())
        covered += int(((found.low <= effects) & (effects <= found.high)).all(axis=-1).sum())
        thick = found.equivalence_low, found.equivalence_high
        totals["disagree"] += int(disagrees(found.verdict, (found.low, found.high), thick).sum())
        totals["decided"] += int((found.verdict != INCONCLUSIVE).sum())
        trials += size * trials_used(used)
        if n is None:
            before, before_used = earlier_auto(data, MARGIN)
        else:
            before, before_used = earlier_fixed(data, MARGIN), used
            low, high = earlier_intervals(data)
            totals["before_disagree"] += int(
                (disagrees(before, (low, high), (low, high)) & (before != INCONCLUSIVE)).sum()
            )
        totals["before_wrong"] += int(is_wrong(before, effects).any(axis=-1).sum())
        totals["before_decided"] += int((before != INCONCLUSIVE).sum())
        before_trials += size * trials_used(before_used)
    every = studies * len(effects)
    return {
        **rate(wrong, studies),
        "coverage": rate(covered, studies),
        "disagree": totals["disagree"] / every,
        "concluded": totals["decided"] / every,
        "trials": trials / studies,
        "before": {
            "rate": totals["before_wrong"] / studies,
            "concluded": totals["before_decided"] / every,
            "disagree": None if n is None else totals["before_disagree"] / max(1, totals["before_decided"]),
            "trials": before_trials / studies,
        },
    }
