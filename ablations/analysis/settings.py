"""One study in several settings: the effect of each variant per setting, and one sentence for all of them.

The statistics are those of `ablations.statistics.settings`; this module converts frames of records to its arrays, and
its results to tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ablations.analysis.measurements import Measurements, measure
from ablations.analysis.setting_sentences import answer_text, trend_text
from ablations.statistics.decision_accuracy import decision_accuracy
from ablations.statistics.decisions import VERDICTS, Decisions, decide
from ablations.statistics.paired import Array
from ablations.statistics.settings import (
    FEWEST_TO_POOL,
    SENTENCES,
    TRENDS,
    Field,
    depends,
    fieller,
    pool,
    sentences,
    trend,
)

__all__ = ["Setting", "SettingsComparison", "compare_settings", "setting_fields"]

BOOTSTRAP_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of a study: the value of each field that settings differ in, and its records."""

    values: Mapping[str, str | int | float]
    frame: pd.DataFrame

    @property
    def label(self) -> str:
        """The values in words: `recipe.epochs=6, dataset=cifar10`."""
        return ", ".join(f"{name}={value}" for name, value in self.values.items())


@dataclass(frozen=True, kw_only=True)
class SettingsComparison:
    """The results of a study in several settings, as frames; accuracies and differences are fractions.

    `effects` has one row per variant and setting; `answers` one per variant, with its sentence and, where settings are
    exchangeable, the pooled effect; `trends` one per variant and budget; `decisions` one per budget.
    """

    fields: tuple[Field, ...]
    effects: pd.DataFrame
    answers: pd.DataFrame
    trends: pd.DataFrame
    decisions: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class _Arrays:
    """The settings' measurements side by side: effects (K, S, n), scores (1 + K, S, n), baseline first."""

    variants: tuple[str, ...]
    baseline: str
    seeds: tuple[int, ...]
    effects: Array
    scores: Array
    margin: float | None
    grid: Array
    measured: tuple[Measurements, ...]

    @property
    def exists(self) -> NDArray[np.bool_]:
        """The settings in which a variant was planned, (K, S)."""
        rows = [[v in m.variants for m in self.measured] for v in self.variants]
        return np.array(rows, dtype=np.bool_).reshape(len(self.variants), len(self.measured))


def setting_fields(values: Sequence[Mapping[str, str | int | float]]) -> tuple[Field, ...]:
    """Return the fields in which settings differ, numbers in increasing order and other values in order of appearance.

    Raises:
        ValueError: settings name different fields, or two settings are the same.
    """
    names = list(values[0]) if values else []
    if any(list(v) != names for v in values):
        raise ValueError(f"settings: {[list(v) for v in values]} name different fields; all must name the same")
    if len({json.dumps(dict(v), sort_keys=True) for v in values}) < len(values):
        raise ValueError("settings: the same setting twice is not allowed")
    fields = []
    for name in names:
        found = list(dict.fromkeys(v[name] for v in values))
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in found):
            found.sort()
        fields.append(Field(name=name, values=tuple(found), level=tuple(found.index(v[name]) for v in values)))
    return tuple(fields)


def compare_settings(settings: Sequence[Setting]) -> SettingsComparison:
    """Return the comparison of one study's settings, each with the same seeds.

    Raises:
        ValueError: fewer than two settings, or settings that differ in seeds, baseline or margin.
    """
    if len(settings) < 2:
        raise ValueError(f"settings: {len(settings)} is not allowed; two or more (one is an ordinary study)")
    fields = setting_fields([s.values for s in settings])
    arrays = _arrays(settings)
    shape = (len(arrays.variants), len(settings))
    decisions = decide(
        arrays.effects.reshape(-1, len(arrays.seeds)),
        arrays.margin,
        grid=np.broadcast_to(arrays.grid, shape).reshape(-1),
    )
    verdict = decisions.verdict.reshape(shape)
    on = depends(arrays.effects, fields).on
    said = sentences(verdict, arrays.exists, on)
    trends = _trends(arrays, fields)
    return SettingsComparison(
        fields=fields,
        effects=_effects(settings, arrays, decisions),
        answers=_answers(settings, arrays, fields, verdict, on, said, trends),
        trends=trends,
        decisions=_decision_rows(arrays, fields),
    )


def _arrays(settings: Sequence[Setting]) -> _Arrays:
    measured = tuple(measure(s.frame) for s in settings)
    first = measured[0]
    for setting, other in zip(settings[1:], measured[1:], strict=True):
        if other.seeds != first.seeds:
            raise ValueError(f"seeds: {setting.label} has {other.seeds}, and {settings[0].label} {first.seeds}")
        if other.margin != first.margin:
            raise ValueError(f"margin: {setting.label} has {other.margin}, and {settings[0].label} {first.margin}")
    baselines = {m.variants[m.references[i]] for m in measured for i in range(len(m.variants))}
    if len(baselines) != 1:
        raise ValueError(f"baseline: {', '.join(sorted(baselines))}; one baseline is needed in all settings")
    baseline = baselines.pop()
    variants = tuple(dict.fromkeys(v for m in measured for v in m.variants if v != baseline))
    missing = np.full(len(first.seeds), np.nan)

    def of(m: Measurements, variant: str) -> Array:
        return m.accuracy[m.variants.index(variant)] if variant in m.variants else missing

    scores = np.array([[of(m, variant) for m in measured] for variant in (baseline, *variants)])
    num_test = [
        next((row["num_test"] for row in m.rows.values() if _is_count(row.get("num_test"))), None) for m in measured
    ]
    return _Arrays(
        variants=variants,
        baseline=baseline,
        seeds=first.seeds,
        effects=scores[1:] - scores[:1],
        scores=scores,
        margin=first.margin,
        grid=np.array([0.0 if n is None else 1 / n for n in num_test]),
        measured=measured,
    )


def _is_count(value: Any) -> bool:
    return value is not None and not pd.isna(value) and value > 0


def _effects(settings: Sequence[Setting], arrays: _Arrays, decisions: Decisions) -> pd.DataFrame:
    rows = []
    exists = arrays.exists
    for k, variant in enumerate(arrays.variants):
        for s, setting in enumerate(settings):
            at = k * len(settings) + s
            row: dict[str, Any] = {"variant": variant, "setting": setting.label, **setting.values}
            row |= {"exists": bool(exists[k, s]), "n": int(decisions.n[at])}
            row |= {"test_accuracy_mean": _mean(arrays.scores[k + 1, s]), "baseline_mean": _mean(arrays.scores[0, s])}
            row |= {
                "delta_mean": decisions.mean[at],
                "delta_ci_low": decisions.low[at],
                "delta_ci_high": decisions.high[at],
                "equivalence_ci_low": decisions.equivalence_low[at],
                "equivalence_ci_high": decisions.equivalence_high[at],
                "p_adjusted": decisions.p[at],
                "verdict": VERDICTS[decisions.verdict[at]] if exists[k, s] else "not possible here",
                "delta_margin": arrays.margin,
            }
            rows.append(row)
    return pd.DataFrame(rows)


def _mean(values: Array) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _trends(arrays: _Arrays, fields: Sequence[Field]) -> pd.DataFrame:
    columns = ["variant", "field", "trend", "shrinks", "slope", "slope_ci_low", "slope_ci_high"]
    columns += ["smallest", "largest", "effect_at_smallest", "effect_at_largest", "largest_ci_low", "largest_ci_high"]
    columns += ["largest_verdict", "ratio", "ratio_ci_low", "ratio_ci_high"]
    rows = []
    numeric = [i for i, field in enumerate(fields) if field.is_numeric and len(field.values) > 1]
    for i in numeric:
        # Simultaneous over variants and over budgets: each budget has its share of α.
        found = trend(arrays.effects, fields, i, arrays.margin or 0.0, 0.05 / len(numeric))
        level = np.asarray(fields[i].level)
        for k, variant in enumerate(arrays.variants):
            ends = [np.nanmean(arrays.effects[k][level == at], axis=0) for at in (0, len(fields[i].values) - 1)]
            ratio, interval = fieller(ends[1], ends[0]) if np.isfinite(ends).all() else (np.nan, None)
            rows.append(
                {
                    "variant": variant,
                    "field": fields[i].name,
                    "trend": TRENDS[found.label[k]],
                    "shrinks": bool(found.shrinks[k]),
                    "slope": found.slope[k],
                    "slope_ci_low": found.slope_low[k],
                    "slope_ci_high": found.slope_high[k],
                    "smallest": fields[i].values[0],
                    "largest": fields[i].values[-1],
                    "effect_at_smallest": found.smallest[k],
                    "effect_at_largest": found.largest.mean[k],
                    "largest_ci_low": found.largest.low[k],
                    "largest_ci_high": found.largest.high[k],
                    "largest_verdict": VERDICTS[found.largest.verdict[k]],
                    "ratio": ratio,
                    "ratio_ci_low": np.nan if interval is None else float(interval.low),
                    "ratio_ci_high": np.nan if interval is None else float(interval.high),
                }
            )
    return pd.DataFrame(rows, columns=pd.Index(columns))


def _answers(
    settings: Sequence[Setting],
    arrays: _Arrays,
    fields: Sequence[Field],
    verdict: NDArray[np.int8],
    on: NDArray[np.bool_],
    said: NDArray[np.int8],
    trends: pd.DataFrame,
) -> pd.DataFrame:
    # Budgets are not a random sample: effects are pooled only if every field is a data set, a network or similar.
    exchangeable = len(settings) >= FEWEST_TO_POOL and not any(f.is_numeric and len(f.values) > 1 for f in fields)
    rows = []
    for k, variant in enumerate(arrays.variants):
        named = [fields[i].name for i in np.flatnonzero(on[k]).tolist()]
        row: dict[str, Any] = {"variant": variant, "kind": SENTENCES[said[k]], "depends_on": ", ".join(named)}
        exists = arrays.exists[k]
        row |= {"num_settings": int(exists.sum())}
        row |= {f"num_{VERDICTS[v].replace(' ', '_')}": int(((verdict[k] == v) & exists).sum()) for v in range(4)}
        text = answer_text([s.label for s in settings], fields, verdict[k], exists, int(said[k]), named)
        row["sentence"] = text + trend_text(trends[trends["variant"] == variant])
        names = ("pooled_mean", "pooled_ci_low", "pooled_ci_high", "new_ci_low", "new_ci_high", "between_sd")
        row |= dict.fromkeys(names, np.nan)
        own = arrays.effects[k][exists]
        if exchangeable and len(own) >= FEWEST_TO_POOL and np.isfinite(own).all():
            pooled = pool(own)
            figures = (pooled.mean, pooled.low, pooled.high, pooled.new_low, pooled.new_high, pooled.between_sd)
            row |= {name: float(figure) for name, figure in zip(names, figures, strict=True)}
        rows.append(row)
    return pd.DataFrame(rows)


def _decision_rows(arrays: _Arrays, fields: Sequence[Field]) -> pd.DataFrame:
    """Decision accuracy of each value of each budget, without averaging: one row per combination of the others."""
    columns = ["field", "value", "where", "accuracy", "ci_low", "ci_high", "gap", "gap_ci_low", "gap_ci_high"]
    columns += ["num_decisions", "train_seconds", "decides_as_well"]
    rows: list[dict[str, Any]] = []
    for index, field in enumerate(fields):
        if not field.is_numeric or len(field.values) < 2:
            continue
        others = [f for i, f in enumerate(fields) if i != index]
        combinations = sorted({tuple(f.level[s] for f in others) for s in range(len(field.level))})
        for combination in combinations:
            inside = [s for s in range(len(field.level)) if tuple(f.level[s] for f in others) == combination]
            inside.sort(key=lambda s, field=field: field.level[s])  # type: ignore[misc]
            scores = arrays.scores[:, inside]
            whole = np.isfinite(scores).all(axis=(1, 2))
            if len(inside) < 2 or whole.sum() < 2 or scores.shape[-1] < 3:
                continue
            by_budget = np.moveaxis(scores[whole], 1, 0)
            found = decision_accuracy(by_budget, generator=np.random.default_rng(BOOTSTRAP_SEED))
            where = ", ".join(f"{f.name}={f.values[level]}" for f, level in zip(others, combination, strict=True))
            for b, s in enumerate(inside):
                rows.append(
                    {
                        "field": field.name,
                        "value": field.values[field.level[s]],
                        "where": where,
                        "accuracy": found.accuracy[b],
                        "ci_low": found.low[b],
                        "ci_high": found.high[b],
                        "gap": found.gap[b],
                        "gap_ci_low": found.gap_low[b],
                        "gap_ci_high": found.gap_high[b],
                        "num_decisions": found.num_decisions,
                        "train_seconds": _train_seconds(arrays.measured[s]),
                        "decides_as_well": bool(found.gap_low[b] <= 0 <= found.gap_high[b] or found.gap[b] > 0),
                    }
                )
    return pd.DataFrame(rows, columns=pd.Index(columns))


def _train_seconds(measured: Measurements) -> float:
    """The mean training time of one trial, seconds."""
    seconds = [row["train_seconds"] for row in measured.rows.values() if _is_count(row.get("train_seconds"))]
    return float(np.mean(seconds)) if seconds else float("nan")
