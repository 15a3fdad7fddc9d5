"""One decision as the row of a table: the columns that effects, interactions and distances share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ablations import statistics as st

__all__ = ["EFFECT_COLUMNS", "effect_row", "possible"]

EFFECT_COLUMNS = (
    *("n", "mean", "low", "high", "equivalence_low", "equivalence_high", "p_adjusted", "verdict", "sentence"),
)


def possible(numbers: Mapping[str, float], most: float = 1.0) -> dict[str, float]:
    """Return the numbers of a decision with its intervals clipped to possible values: a difference of two accuracies is
    at most `most`. No verdict depends on that, since 0 and ±δ are possible.
    """
    ends = ("low", "high", "equivalence_low", "equivalence_high")
    return {n: min(max(v, -most), most) if n in ends and not math.isnan(v) else v for n, v in numbers.items()}


def effect_row(decisions: st.Decisions, k: int, margin: float | None, *, most: float = 1.0) -> dict[str, Any]:
    """Return decision k with both intervals (fractions, within ±`most`), its p, its verdict and all of it in one
    sentence.
    """
    names = ("mean", "low", "high", "equivalence_low", "equivalence_high", "p", "sd")
    numbers = possible({name: float(getattr(decisions, name)[k]) for name in names}, most)
    n = int(decisions.n[k])
    text = st.sentence(n=n, margin=margin, **numbers)
    del numbers["sd"]
    return {
        "n": n,
        **numbers,
        "p_adjusted": numbers["p"],
        "verdict": st.VERDICTS[int(decisions.verdict[k])],
        "sentence": text,
    }
