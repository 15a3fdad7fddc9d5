"""Verdicts and numbers as people read them: percentage points, one sentence, a reason where there is no number."""

from __future__ import annotations

import math

from ablations.statistics.paired import ROUNDING

__all__ = ["points", "probability", "sentence", "verdict_words"]

MINUS = "−"


def points(fraction: float, *, signed: bool = False, decimals: int = 1) -> str:
    """Return a fraction as percentage points without the unit: 0.018 → `1.8`, signed `+1.8`; `not measured` for NaN."""
    if math.isnan(fraction):
        return "not measured"
    text = f"{100 * abs(fraction):.{decimals}f}"
    zero = float(text) == 0
    return ("" if zero else MINUS if fraction < 0 else "+" if signed else "") + text


def probability(p: float) -> str:
    """Return a p with its sign: `= 0.01`, `< 0.001`, of two significant digits."""
    return "< 0.001" if p < 0.001 else "> 0.99" if 0.99 < p < 1 else f"= {p:.2g}"


def verdict_words(
    verdict: str, *, margin: float | None = None, at_least_margin: bool = False, more_seeds: int | None = None
) -> str:
    """Return the verdict with what qualifies it: `helps by at least 0.5 pp`, `inconclusive: about 4 more seeds`."""
    if verdict in ("helps", "hurts") and at_least_margin and margin is not None:
        return f"{verdict} by at least {100 * margin:.3g} pp"
    if verdict == "no meaningful effect" and margin is not None:
        return f"{verdict} (within ±{100 * margin:.3g} pp)"
    if verdict == "inconclusive" and more_seeds is not None:
        return f"{verdict}: about {more_seeds} more seed{'s' if more_seeds != 1 else ''}"
    return verdict


def sentence(
    *,
    n: int,
    mean: float,
    low: float,
    high: float,
    p: float,
    sd: float,
    equivalence_p: float = math.nan,
    verdict: str = "",
    over_looks: bool = False,
) -> str:
    """Return the numbers behind a verdict: `+1.8 pp [0.9, 2.7], n = 5 paired seeds, Holm p = 0.01`.

    Where there is no interval, the sentence says why: no pair, one pair, identical results, differences without
    variance.
    """
    if n == 0:
        return "no paired seeds: nothing to compare"
    if n == 1:
        return f"{points(mean, signed=True)} pp, n = 1 paired seed: one pair gives no interval"
    if sd == 0 and abs(mean) < ROUNDING:
        return f"identical results in all {n} paired seeds: no interval; does the variant change anything?"
    if sd == 0:
        return f"{points(mean, signed=True, decimals=2)} pp in each of {n} paired seeds: no variance, so no interval"
    decimals = _decimals((high - low) / 2)
    numbers = (
        f"{points(mean, signed=True, decimals=decimals)} pp [{points(low, decimals=decimals)},"
        f" {points(high, decimals=decimals)}], n = {n} paired seeds"
    )
    if verdict == "no meaningful effect":
        return f"{numbers}, Holm p of equivalence {probability(equivalence_p)}" + (
            " over the looks" if over_looks else ""
        )
    if math.isnan(p):
        return f"{numbers}, before the first look"
    return f"{numbers}, Holm p {probability(p)}" + (" over the looks" if over_looks else "")


def _decimals(fraction: float) -> int:
    """Two significant digits below 0.2 pp, else one decimal of a percentage point."""
    return 1 if fraction >= 0.002 else 2 if fraction >= 0.0002 else 3
