"""Analysis of single test examples: packed correctness, an interval over seeds × examples, disagreement between
networks.

A seed interval holds for this test set; one over seeds × examples holds for test sets drawn like it. Both factors are
crossed random effects (Cornfield and Tukey 1956), and the half-widths of their two intervals add in squares (Howe 1974,
*JASA* 69). Counting the examples on which exactly one of two networks is right is McNemar's (1947).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from ablations.statistics.paired import ROUNDING, Array, Interval

__all__ = ["Disagreement", "crossed_interval", "disagreement", "pack_correct", "seed_disagreement", "unpack_correct"]


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """Two architectures on the same examples, seed by seed; rates are fractions of the examples, averaged over seeds.

    `only_variant` and `only_baseline` are right alone; `rate` is their sum and their difference the effect. `p` holds
    McNemar's exact p of each seed, shape (n,): it compares these two networks, not the architectures.
    """

    rate: float
    only_variant: float
    only_baseline: float
    p: Array


def pack_correct(correct: ArrayLike) -> bytes:
    """Return the correctness (examples,) of a trial as bits, eight examples a byte."""
    return np.packbits(np.asarray(correct, dtype=np.bool_)).tobytes()


def unpack_correct(packed: bytes, num_examples: int) -> NDArray[np.bool_]:
    """Return the correctness (examples,) from its bits.

    Raises:
        ValueError: the bytes are not those of that many examples.
    """
    if len(packed) != math.ceil(num_examples / 8):
        raise ValueError(
            f"correct: {len(packed)} bytes are not allowed; {math.ceil(num_examples / 8)} for {num_examples} examples"
        )
    return np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=num_examples).astype(np.bool_)


def crossed_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Return the interval of the mean of (seeds, examples) for new seeds and new examples; NaN below two of either or
    without variance.

    `values` are correctness, or per-example differences of it. Never narrower than the t interval over seeds alone,
    which has the mean square of seeds; what examples add is the mean square of examples beyond that of the rest, if it
    is beyond.
    """
    x = np.asarray(values, dtype=np.float64)
    seeds, examples = x.shape
    if min(x.shape) < 2:
        return Interval(low=np.asarray(np.nan), high=np.asarray(np.nan))
    mean, by_seed, by_example = x.mean(), x.mean(axis=1), x.mean(axis=0)
    square_seeds = examples * by_seed.var(ddof=1)
    square_examples = seeds * by_example.var(ddof=1)
    rest = ((x - mean) ** 2).sum() - (seeds - 1) * square_seeds - (examples - 1) * square_examples
    beyond = max(0.0, square_examples - max(rest, 0.0) / ((seeds - 1) * (examples - 1)))
    if square_seeds < ROUNDING and beyond < ROUNDING:
        return Interval(low=np.asarray(np.nan), high=np.asarray(np.nan))
    quantiles = special.stdtrit([seeds - 1, examples - 1], (1 + level) / 2)
    half = math.sqrt((quantiles[0] ** 2 * square_seeds + quantiles[1] ** 2 * beyond) / x.size)
    return Interval(low=np.asarray(mean - half), high=np.asarray(mean + half))


def disagreement(variant: NDArray[np.bool_], baseline: NDArray[np.bool_]) -> Disagreement:
    """Return how two (seeds, examples) of correctness disagree, paired by seed and example."""
    only_variant, only_baseline = (variant & ~baseline).sum(axis=1), (baseline & ~variant).sum(axis=1)
    examples = variant.shape[1]
    p = [
        stats.binomtest(int(b), int(b + c)).pvalue if b + c else 1.0
        for b, c in zip(only_variant, only_baseline, strict=True)
    ]
    mine, theirs = float(only_variant.mean() / examples), float(only_baseline.mean() / examples)
    return Disagreement(rate=mine + theirs, only_variant=mine, only_baseline=theirs, p=np.array(p))


def seed_disagreement(correct: NDArray[np.bool_]) -> float:
    """Return the fraction of examples on which two seeds of one architecture (seeds, examples) disagree; NaN below two
    seeds.
    """
    rates = [float((a ^ b).mean()) for a, b in combinations(correct, 2)]
    return sum(rates) / len(rates) if rates else math.nan
