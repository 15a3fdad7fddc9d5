"""From differences to verdicts: one implementation for studies and for the simulations that check it.

A variant *helps* or *hurts* where the paired t test against the baseline rejects under Holm's correction over the K
comparisons of the study; it has *no meaningful effect* where two one-sided tests put it within ±margin under Holm's
correction of their own, and that takes precedence. Either kind of error is held at α over the study; as a true effect
is not both nothing and as large as the margin, a single variant can only fall to one of them. Intervals are
simultaneous, at 1 − α/K.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ablations.statistics.multiplicity import holm
from ablations.statistics.paired import Array, difference_p, equivalence_p, moments, t_interval

__all__ = ["ALPHA", "EQUIVALENT", "HELPS", "HURTS", "INCONCLUSIVE", "VERDICTS", "Decisions", "decide"]

ALPHA = 0.05

VERDICTS = ("inconclusive", "helps", "hurts", "no meaningful effect")
INCONCLUSIVE, HELPS, HURTS, EQUIVALENT = range(4)


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """What K comparisons with one baseline come to; every field has shape (..., K).

    `p` and `equivalence_p` are Holm-adjusted, `verdict` indexes VERDICTS, `at_least_margin` says that the whole
    simultaneous interval is beyond the margin. NaN where there was nothing to test.
    """

    n: NDArray[np.int64]
    mean: Array
    sd: Array
    low: Array
    high: Array
    p: Array
    equivalence_p: Array
    verdict: NDArray[np.int8]
    at_least_margin: NDArray[np.bool_]


def decide(differences: ArrayLike, margin: float | None, alpha: float = ALPHA) -> Decisions:
    """Return the decisions on differences (..., K, n) at family-wise level α, against ±margin where one is given.

    A comparison without data (all NaN) counts in K and is inconclusive.
    """
    values = np.asarray(differences, dtype=np.float64)
    of = moments(values)
    interval = t_interval(of, 1 - alpha / max(1, values.shape[-2]))
    p = holm(difference_p(of))
    equivalence = np.full_like(p, np.nan) if margin is None else holm(equivalence_p(of, margin))
    verdict = np.where(p <= alpha, np.where(of.mean > 0, HELPS, HURTS), INCONCLUSIVE)
    verdict = np.where(equivalence <= alpha, EQUIVALENT, verdict).astype(np.int8)
    beyond = np.zeros(p.shape, dtype=np.bool_)
    if margin is not None:
        beyond = ((verdict == HELPS) & (interval.low >= margin)) | ((verdict == HURTS) & (interval.high <= -margin))
    return Decisions(
        n=of.n,
        mean=of.mean,
        sd=of.sd,
        low=interval.low,
        high=interval.high,
        p=p,
        equivalence_p=equivalence,
        verdict=verdict,
        at_least_margin=beyond,
    )
