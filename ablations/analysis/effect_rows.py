"""One decision as the row of a table: the columns that effects, interactions and distances share."""

from __future__ import annotations

from typing import Any

from ablations import statistics as st

__all__ = ["EFFECT_COLUMNS", "effect_row"]

EFFECT_COLUMNS = (
    *("n", "mean", "low", "high", "equivalence_low", "equivalence_high", "p_adjusted", "verdict", "sentence"),
)


def effect_row(decisions: st.Decisions, k: int, margin: float | None) -> dict[str, Any]:
    """Return decision k with both intervals (fractions), its p, its verdict and all of it in one sentence."""
    names = ("mean", "low", "high", "equivalence_low", "equivalence_high", "p", "sd")
    numbers = {name: float(getattr(decisions, name)[k]) for name in names}
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
