"""One paired study asked in several settings: where an effect holds, what it depends on, and how it goes with a budget.

A setting is one combination of the fields that a study is repeated over: epochs, training images, data set, network.
Every setting has the same seeds, so the effects of two settings are correlated: methods that take settings for
independent (Cochran's Q, the Hartung–Knapp interval) err. Here every statement rests on per-seed differences. Within a
setting these are a variant's differences from the baseline; between settings, contrasts of those, one value per seed.

Effects have shape (..., K, S, n): variants, settings, seeds. NaN marks a pair that is missing, and a setting in which
a variant does not exist is all NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ablations.statistics.decisions import ALPHA, EQUIVALENT, HELPS, HURTS, Decisions, decide
from ablations.statistics.paired import Array, Interval, moments

__all__ = [
    "GROWS",
    "HOLDS",
    "PERSISTS",
    "REVERSES",
    "SENTENCES",
    "TRENDS",
    "VANISHES",
    "Contrasts",
    "Dependence",
    "Field",
    "Pooled",
    "Trend",
    "contrasts",
    "depends",
    "fieller",
    "pool",
    "sentences",
    "trend",
]

SENTENCES = ("undetermined", "holds", "depends", "reverses")
UNDETERMINED, HOLDS, DEPENDS, REVERSES = range(4)
TRENDS = ("undetermined", "vanishes", "persists", "grows")
VANISHES, PERSISTS, GROWS = 1, 2, 3
FEWEST_TO_POOL = 3  # settings; two say next to nothing about how much a third would differ


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field that settings differ in.

    `level` is the index into `values` of each setting, of shape (S,). A numeric field is a budget: its values are
    numbers above 0, in increasing order, and effects are followed over their logarithm. The values of any other field
    are exchangeable.
    """

    name: str
    values: tuple[str | float | int, ...]
    level: tuple[int, ...]

    @cached_property
    def is_numeric(self) -> bool:
        """Whether every value is a number above 0."""
        return all(isinstance(v, int | float) and not isinstance(v, bool) and v > 0 for v in self.values)

    @cached_property
    def log_values(self) -> Array:
        """The logarithm of each value to the base 2, so that a slope is an effect per doubling."""
        return np.log2(np.asarray(self.values, dtype=np.float64))


@dataclass(frozen=True, kw_only=True)
class Contrasts:
    """Weights (M, S) over settings that sum to zero and have unit length, with the field that each belongs to."""

    weights: Array
    fields: tuple[int, ...]


def contrasts(fields: Sequence[Field], present: ArrayLike | None = None) -> Contrasts:
    """Return the contrasts that show whether an effect depends on a field.

    A numeric field has its slope over the logarithm and, with three values or more, its curvature. Any other field has
    one value against the mean of the others, for each value (one contrast for two values). A contrast is averaged over
    the other fields, and over those of their combinations alone that are present at every value. `present` (S,) marks
    the settings in which the variant exists; by default it exists in all.
    """
    size = len(fields[0].level) if fields else 0
    there = np.ones(size, dtype=np.bool_) if present is None else np.asarray(present, dtype=np.bool_)
    rows: list[Array] = []
    owners: list[int] = []
    for index, field in enumerate(fields):
        others = [f.level for f in fields if f is not field]
        blocks: dict[tuple[int, ...], dict[int, int]] = {}
        for s in range(size):
            if there[s]:
                blocks.setdefault(tuple(level[s] for level in others), {})[field.level[s]] = s
        used = sorted({level for s, level in enumerate(field.level) if there[s]})
        whole = [block for block in blocks.values() if set(block) == set(used)]
        for weights in _level_weights(field, used) if whole and len(used) > 1 else ():
            row = np.zeros(size)
            for block in whole:
                for level, weight in zip(used, weights, strict=True):
                    row[block[level]] += weight
            rows.append(row / np.linalg.norm(row))
            owners.append(index)
    return Contrasts(weights=np.array(rows).reshape(len(rows), size), fields=tuple(owners))


def _level_weights(field: Field, used: Sequence[int]) -> list[Array]:
    """Weights over the values of one field, each set summing to zero."""
    count = len(used)
    if field.is_numeric:
        x = field.log_values[list(used)]
        slope = x - x.mean()
        if count == 2:
            return [slope]
        basis = np.stack([np.ones(count), slope])
        bend = slope**2
        bend = bend - basis.T @ np.linalg.solve(basis @ basis.T, basis @ bend)
        return [slope, bend]
    if count == 2:
        return [np.array([-1.0, 1.0])]
    return [np.where(np.arange(count) == k, 1.0, -1.0 / (count - 1)) for k in range(count)]


@dataclass(frozen=True, kw_only=True)
class Dependence:
    """Which fields each variant's effect depends on; `on` has shape (..., K, F)."""

    on: NDArray[np.bool_]
    decisions: Decisions  # of the contrasts, (..., K · M)


def depends(effects: ArrayLike, fields: Sequence[Field], alpha: float = ALPHA) -> Dependence:
    """Return which fields the effects (..., K, S, n) depend on, with family-wise level α over variants × contrasts."""
    values = np.asarray(effects, dtype=np.float64)
    num_variants, _, n = values.shape[-3:]
    present = np.asarray((~np.isnan(values)).any(axis=-1).reshape(-1, *values.shape[-3:-1]).any(axis=0))
    sets = [contrasts(fields, present[k]) for k in range(num_variants)]
    most = max((len(s.fields) for s in sets), default=0)
    lead = values.shape[:-3]
    out = np.full((*lead, num_variants, most, n), np.nan)
    for k, own in enumerate(sets):
        if own.fields:
            zero = np.where(np.isnan(values[..., k, :, :]), 0.0, values[..., k, :, :])
            missing = np.isnan(values[..., k, :, :]).astype(np.float64)
            out[..., k, : len(own.fields), :] = own.weights @ zero
            broken = (np.abs(own.weights) > 0).astype(np.float64) @ missing > 0
            out[..., k, : len(own.fields), :][broken] = np.nan
    decisions = decide(out.reshape(*lead, num_variants * most, n), None, alpha)
    significant = np.isin(decisions.verdict, (HELPS, HURTS)).reshape(*lead, num_variants, most)
    on = np.zeros((*lead, num_variants, len(fields)), dtype=np.bool_)
    for k, own in enumerate(sets):
        for m, field in enumerate(own.fields):
            on[..., k, field] |= significant[..., k, m]
    return Dependence(on=on, decisions=decisions)


def sentences(verdict: ArrayLike, exists: ArrayLike, on: ArrayLike) -> NDArray[np.int8]:
    """Return the index into SENTENCES for each variant, shape (..., K).

    `verdict` (..., K, S) indexes VERDICTS and is read off intervals that hold together over variants × settings;
    `exists` (..., K, S) marks the settings in which a variant exists; `on` (..., K, F) is that of `depends`.

    - *holds*: the same verdict, and not *inconclusive*, in every setting;
    - *reverses*: *helps* in one setting and *hurts* in another;
    - *depends*: neither, and a contrast between settings is not zero;
    - *undetermined*: none of these.
    """
    verdict, exists = np.asarray(verdict), np.asarray(exists, dtype=np.bool_)
    kinds = [((verdict == kind) & exists) for kind in (HELPS, HURTS, EQUIVALENT)]
    total = exists.sum(axis=-1)
    holds = np.any([(kind.sum(axis=-1) == total) & (total > 0) for kind in kinds], axis=0)
    reverses = kinds[0].any(axis=-1) & kinds[1].any(axis=-1)
    dependent = np.asarray(on, dtype=np.bool_).any(axis=-1)
    out = np.where(reverses, REVERSES, np.where(holds, HOLDS, np.where(dependent, DEPENDS, UNDETERMINED)))
    return np.asarray(out, dtype=np.int8)


@dataclass(frozen=True, kw_only=True)
class Trend:
    """How each variant's effect goes with one budget; every field has shape (..., K), in the unit of the effects.

    `slope` is per doubling. `label` indexes TRENDS; `shrinks` marks an effect that persists and becomes smaller.
    """

    slope: Array
    slope_low: Array
    slope_high: Array
    smallest: Array
    largest: Decisions
    label: NDArray[np.int8]
    shrinks: NDArray[np.bool_]


def trend(effects: ArrayLike, fields: Sequence[Field], index: int, margin: float, alpha: float = ALPHA) -> Trend:
    """Return the trend of effects (..., K, S, n) over the numeric field of that index, simultaneous over variants.

    Effects are averaged over the other fields' combinations within each seed. *Vanishes*: at the largest budget the
    effect is within ±margin, and the slope leads there from the effect at the smallest. *Grows*: the slope leads away
    from zero and the effect at the largest budget is not zero. *Persists*: that effect has the sign of the one at the
    smallest budget, and the slope does not lead away from zero.

    Raises:
        ValueError: the field is not numeric or has one value.
    """
    field = fields[index]
    if not field.is_numeric or len(field.values) < 2:
        raise ValueError(f"{field.name}: {field.values} is not allowed; two numbers above 0 or more")
    values = np.asarray(effects, dtype=np.float64)
    level = np.asarray(field.level)
    per_level = np.stack([_mean(values[..., level == i, :], axis=-2) for i in range(len(field.values))], axis=-2)
    x = field.log_values - field.log_values.mean()
    slopes = np.einsum("l,...ln->...n", x / (x @ x), per_level)
    slope = decide(slopes, None, alpha)
    largest = decide(per_level[..., -1, :], margin, alpha)
    smallest = moments(per_level[..., 0, :]).mean
    falls = (slope.verdict == HURTS) & (smallest > 0) | (slope.verdict == HELPS) & (smallest < 0)
    rises = (slope.verdict == HELPS) & (largest.verdict == HELPS) | (slope.verdict == HURTS) & (
        largest.verdict == HURTS
    )
    same = (largest.verdict == HELPS) & (smallest > 0) | (largest.verdict == HURTS) & (smallest < 0)
    vanishes = (largest.verdict == EQUIVALENT) & falls
    label = np.where(vanishes, VANISHES, np.where(rises, GROWS, np.where(same, PERSISTS, 0))).astype(np.int8)
    return Trend(
        slope=slope.mean,
        slope_low=slope.low,
        slope_high=slope.high,
        smallest=smallest,
        largest=largest,
        label=label,
        shrinks=(label == PERSISTS) & falls,
    )


def _mean(values: Array, axis: int) -> Array:
    """The mean over an axis; NaN where nothing is there, without a warning."""
    present = ~np.isnan(values)
    count = present.sum(axis=axis)
    return np.asarray(np.where(present, values, 0.0).sum(axis=axis) / np.where(count > 0, count, np.nan))


def fieller(numerator: ArrayLike, denominator: ArrayLike, level: float = 0.95) -> tuple[float, Interval]:
    """Return the ratio of two paired means and its interval (Fieller 1954), from values (n,) of the same seeds.

    The interval is all ratios θ for which the mean of numerator − θ · denominator could be zero. It is unbounded
    (−inf, inf) where the denominator could be zero too.

    Raises:
        ValueError: fewer than two seeds have both values.
    """
    y, x = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    both = ~(np.isnan(y) | np.isnan(x))
    y, x = y[both], x[both]
    if len(y) < 2:
        raise ValueError(f"numerator, denominator: {len(y)} seeds with both values; 2 or more are needed")
    critical = float(special.stdtrit(len(y) - 1, (1 + level) / 2)) ** 2 / len(y)
    (var_y, cov), (_, var_x) = np.cov(y, x)
    a = x.mean() ** 2 - critical * var_x
    b = x.mean() * y.mean() - critical * cov
    c = y.mean() ** 2 - critical * var_y
    ratio = float(y.mean() / x.mean()) if x.mean() else float("nan")
    if a <= 0 or b * b < a * c:
        return ratio, Interval(low=np.array(-np.inf), high=np.array(np.inf))
    half = np.sqrt(b * b - a * c)
    return ratio, Interval(low=np.array((b - half) / a), high=np.array((b + half) / a))


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """The mean effect over exchangeable settings, (..., K), and where a new setting's effect would be expected.

    `low` and `high` bound the mean over settings like these; `new_low` and `new_high` the effect in one more of them.
    """

    mean: Array
    low: Array
    high: Array
    new_low: Array
    new_high: Array
    between_sd: Array


def pool(effects: ArrayLike, level: float = 0.95) -> Pooled:
    """Return the pooled effects of exchangeable settings, from effects (..., K, S, n) with every seed in every setting.

    Two crossed random effects, settings and seeds, are estimated by analysis of variance (Scheffé 1959, ch. 7), since
    the same seeds in all settings make their effects dependent; degrees of freedom are Satterthwaite's (1946).

    Raises:
        ValueError: fewer than three settings, or fewer than two seeds.
    """
    values = np.asarray(effects, dtype=np.float64)
    settings, seeds = values.shape[-2:]
    if settings < FEWEST_TO_POOL or seeds < 2:
        raise ValueError(f"effects: {settings} settings and {seeds} seeds; at least {FEWEST_TO_POOL} and 2 are pooled")
    grand = values.mean(axis=(-2, -1))
    by_setting, by_seed = values.mean(axis=-1), values.mean(axis=-2)
    of_settings = seeds * ((by_setting - grand[..., None]) ** 2).sum(axis=-1) / (settings - 1)
    of_seeds = settings * ((by_seed - grand[..., None]) ** 2).sum(axis=-1) / (seeds - 1)
    rest = values - by_setting[..., :, None] - by_seed[..., None, :] + grand[..., None, None]
    residual = (rest**2).sum(axis=(-2, -1)) / ((settings - 1) * (seeds - 1))
    total = settings * seeds
    between = np.maximum(0.0, (of_settings - residual) / seeds)
    # The variance of the mean, and of a new setting's effect about it, as sums of mean squares times numbers.
    terms = ((of_settings, 1 / total, settings - 1), (of_seeds, 1 / total, seeds - 1))
    half = _satterthwaite(terms, (residual, -1 / total, (settings - 1) * (seeds - 1)), level)
    new = ((of_settings, 1 / total + 1 / seeds, settings - 1), (of_seeds, 1 / total, seeds - 1))
    new_half = _satterthwaite(new, (residual, -1 / total - 1 / seeds, (settings - 1) * (seeds - 1)), level)
    return Pooled(
        mean=grand,
        low=grand - half,
        high=grand + half,
        new_low=grand - new_half,
        new_high=grand + new_half,
        between_sd=np.sqrt(between),
    )


def _satterthwaite(
    terms: Sequence[tuple[Array, float, int]], subtracted: tuple[Array, float, int], level: float
) -> Array:
    """Half the width of a t interval whose variance is a sum of mean squares (value, weight, degrees of freedom).

    The subtracted mean square lowers the variance, to no less than the largest single term. It is left out of the
    degrees of freedom, and those are rounded down: fractions of few degrees of freedom are where Satterthwaite's
    approximation promises too much.
    """
    parts = np.stack([weight * value for value, weight, _ in terms])
    raw = parts.sum(axis=0)
    variance = np.maximum(raw + subtracted[1] * subtracted[0], parts.max(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        degrees = raw**2 / sum(part**2 / df for part, (_, _, df) in zip(parts, terms, strict=True))
    return np.asarray(special.stdtrit(np.maximum(np.floor(degrees), 1.0), (1 + level) / 2) * np.sqrt(variance))
