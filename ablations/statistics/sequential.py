"""Seeds as needed: looks at n = 3, 5, 8 and 10 that share α = .05, each with all K comparisons of the study.

The levels of the looks are nominal: the chance of a first false rejection by a look grows as the cube of its seeds, to
.05 at the last (the spending of Kim and DeMets 1987, ρ = 3), so that little is spent on few seeds. A variant that has
stopped trains no further but stays in the family, K and the mean variance included; its intervals are those of the look
at which it stopped (repeated confidence intervals: Jennison and Turnbull 1984).

A variant is stopped for futility where the chance of any verdict at the last look, given the data so far, is below 10
%: the predictive power of Spiegelhalter et al. 1986, with the standard deviation plugged in.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ablations.statistics.decisions import INCONCLUSIVE, Decisions, decide
from ablations.statistics.paired import Array

__all__ = ["FUTILE", "FUTILITY", "LOOKS", "RUNNING", "SETTLED", "SPENT", "Look", "Race", "chance_of_verdict", "race"]


@dataclass(frozen=True, kw_only=True)
class Look:
    """One look at the data: after a number of seeds, at a level."""

    seeds: int
    alpha: float


LOOKS = (
    Look(seeds=3, alpha=0.0014),
    Look(seeds=5, alpha=0.0050),
    Look(seeds=8, alpha=0.0214),
    Look(seeds=10, alpha=0.0375),
)
FUTILITY = 0.10

RUNNING, SETTLED, FUTILE, SPENT = range(4)  # SPENT: all looks taken, still inconclusive


@dataclass(frozen=True, kw_only=True)
class Race:
    """The state of each comparison; every field, and every field of `decisions`, has shape (..., K).

    `decisions` are those of the last look that included a variant, `looks` counts the looks taken, and `chance` is the
    predicted chance of a verdict by the last look.
    """

    decisions: Decisions
    state: NDArray[np.int8]
    looks: NDArray[np.int64]
    chance: Array


def race(
    differences: ArrayLike,
    margin: float | None,
    resolved: NDArray[np.bool_] | None = None,
    *,
    grid: ArrayLike | None = None,
) -> Race:
    """Return the decisions of the looks on differences (..., K, 10), in the order of seeds.

    NaN is a missing pair. `resolved`, of the same shape, is true for pairs that have ended, however they ended; a look
    is taken once all pairs up to it of all variants that still run have, and only pairs up to a look are read at it.
    """
    values = np.asarray(differences, dtype=np.float64)
    ended = np.ones(values.shape, dtype=np.bool_) if resolved is None else resolved
    shape = values.shape[:-1]
    state = np.full(shape, RUNNING, dtype=np.int8)
    looks, chance = np.zeros(shape, dtype=np.int64), np.full(shape, np.nan)
    decisions = decide(np.full((*shape, 1), np.nan), None)  # before any look
    read = np.full(values.shape, np.nan)  # what the looks so far have read of each variant
    for index, look in enumerate(LOOKS):
        running = state == RUNNING
        ready = (ended[..., : look.seeds].all(axis=-1) | ~running).all(axis=-1, keepdims=True)
        taken = running & ready & (looks == index)
        if not taken.any():
            break
        within = np.arange(values.shape[-1]) < look.seeds
        read = np.where(taken[..., np.newaxis] & within, values, read)
        new = decide(
            read, margin, look.alpha, grid=grid
        )  # a variant that has stopped stays in the family, with the data that were read
        decisions = _merged(taken, new, decisions)
        state = np.where(taken & (new.verdict != INCONCLUSIVE), SETTLED, state).astype(np.int8)
        looks = looks + taken
        open_ = taken & (state == RUNNING)
        if look is LOOKS[-1]:
            state = np.where(open_, SPENT, state).astype(np.int8)
        else:
            predicted = chance_of_verdict(new, LOOKS[-1].seeds - look.seeds, margin, LOOKS[-1].alpha)
            chance = np.where(taken, predicted, chance)
            state = np.where(open_ & (predicted < FUTILITY), FUTILE, state).astype(np.int8)
    return Race(decisions=decisions, state=state, looks=looks, chance=chance)


def chance_of_verdict(now: Decisions, more: int, margin: float | None, alpha: float) -> Array:
    """Return the predicted chance, of shape (..., K), that `more` pairs bring any verdict in one look at level α/K.

    The mean to come is t distributed around the present one; its standard error then is what it is now per pair. NaN
    where nothing can be predicted.
    """
    level = alpha / max(1, now.mean.shape[-1])
    final = now.n + more
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = now.error * np.sqrt(now.n)
        spread, error = sd * np.sqrt(1 / now.n - 1 / final), sd / np.sqrt(final)
        degrees = now.degrees
        different = special.stdtrit(degrees + more, 1 - level / 2) * error
        chance = special.stdtr(degrees, (now.mean - different) / spread) + special.stdtr(
            degrees, -(now.mean + different) / spread
        )
        if margin is not None:
            within = np.maximum(margin - special.stdtrit(degrees + more, 1 - level) * error, 0.0)
            inside = special.stdtr(degrees, (within - now.mean) / spread) - special.stdtr(
                degrees, (-within - now.mean) / spread
            )
            chance = np.where(within >= different, 1.0, chance + inside)
    return np.asarray(np.where(np.isnan(spread), np.nan, chance))


def _merged(where: NDArray[np.bool_], new: Decisions, old: Decisions) -> Decisions:
    return Decisions(
        **{f.name: np.where(where, getattr(new, f.name), getattr(old, f.name)) for f in dataclasses.fields(Decisions)}
    )
