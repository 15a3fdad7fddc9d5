"""Verdicts and numbers as they are shown: percentage points, one sentence, a reason where there is no number."""

from __future__ import annotations

import math

from ablations.statistics.decisions import FEWEST_PAIRS
from ablations.statistics.paired import ROUNDING
from ablations.statistics.planning import MoreSeeds

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
    verdict: str, *, margin: float | None = None, at_least_margin: bool = False, more_seeds: MoreSeeds | None = None
) -> str:
    """Return the verdict with its qualification: `helps by at least 0.5 pp`, `inconclusive: about 12 fresh seeds`."""
    if verdict in ("helps", "hurts") and at_least_margin and margin is not None:
        return f"{verdict} by at least {100 * margin:.3g} pp"
    if verdict == "no meaningful effect" and margin is not None:
        return f"{verdict} (within ±{100 * margin:.3g} pp)"
    if verdict == "inconclusive" and more_seeds is not None:
        return f"{verdict}: {more_seeds}"
    return verdict


def sentence(
    *,
    n: int,
    mean: float,
    low: float,
    high: float,
    equivalence_low: float,
    equivalence_high: float,
    p: float,
    sd: float,
    margin: float | None = None,
) -> str:
    """Return the numbers behind a verdict: `+1.8 pp, 95 % [0.9, 2.7], 90 % [1.1, 2.5], n = 5 paired seeds, p = 0.01`.

    Where there is no interval, the sentence has the reason: no pair, one pair, differences without variance.
    """
    if n == 0:
        return "no paired seeds: nothing to compare"
    if n == 1:
        return f"{points(mean, signed=True)} pp, n = 1 paired seed: one pair gives no interval"
    if math.isnan(low):
        if sd == 0 and abs(mean) < ROUNDING:
            return f"identical results in all {n} paired seeds: no interval; does the variant change anything?"
        return f"{points(mean, signed=True, decimals=2)} pp in each of {n} paired seeds: no variance, so no interval"
    decimals = _decimals((low, high, equivalence_low, equivalence_high), margin)
    intervals = [
        f"{level} % [{points(ends[0], decimals=decimals)}, {points(ends[1], decimals=decimals)}]"
        for level, ends in ((95, (low, high)), (90, (equivalence_low, equivalence_high)))
    ]
    text = (
        f"{points(mean, signed=True, decimals=decimals)} pp, {intervals[0]}, {intervals[1]}, n = {n} paired seeds,"
        f" p {probability(p)}"
    )
    if n < FEWEST_PAIRS:
        text += f"; below {FEWEST_PAIRS} pairs there is no verdict"
    if sd == 0 and abs(mean) < ROUNDING:
        text += "; identical results in every pair: does the variant change anything?"
    return text


def _decimals(ends: tuple[float, float, float, float], margin: float | None) -> int:
    """One decimal of a point, two below 0.2 pp of half-width, or as many as keep the verdict readable: the ends of the
    thin bar on their side of 0 and ±δ, those of the thick one on their side of ±δ.
    """
    half = (ends[1] - ends[0]) / 2
    decimals = 1 if half >= 0.002 else 2 if half >= 0.0002 else 3
    limits = () if margin is None else (-margin, margin)
    pairs = [(end, limit) for end in ends for limit in limits] + [(end, 0.0) for end in ends[:2]]
    while decimals < 6 and any(
        round(100 * end, decimals) == round(100 * limit, decimals) and abs(end - limit) > ROUNDING
        for end, limit in pairs
    ):
        decimals += 1
    return decimals
