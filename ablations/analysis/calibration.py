"""Calibration of the variants of a study: expected calibration error with paired differences, and reliability curves.

Everything here is post hoc, apart from the verdicts. The intervals of differences are simultaneous over the variants;
with seeds as needed they allow for every look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ablations import statistics as st
from ablations.analysis.effect_rows import possible
from ablations.analysis.measurements import Measurements, measure
from ablations.analysis.seeds_read import decide_as_read, looks_of
from xception.train.confidence import NUM_BINS, ConfidenceHistogram, unpack_confidence

__all__ = ["CalibrationTables", "calibration_tables"]

SUMMARY_COLUMNS = (
    *("variant", "baseline", "n", "num_bins", "calibration_error_mean", "calibration_error_ci_low"),
    *("calibration_error_ci_high", "overconfidence_mean", "delta_mean", "delta_ci_low", "delta_ci_high", "p_adjusted"),
)
_FIELDS = ("count", "correct", "mean")
BIN_COLUMNS = ("variant", "n", "bin_low", "bin_high", "num_images", "confidence_mean", "accuracy")


@dataclass(frozen=True, kw_only=True)
class CalibrationTables:
    """The calibration of one comparison; errors, confidences and accuracies are fractions.

    `summary` has a row for each variant, the baseline included, over the seeds of which it keeps confidences, and its
    paired difference in calibration error from the baseline; `bins` one for each variant and bin with images, counted
    over all of these seeds. `without` are the variants of which no record keeps confidences.
    """

    summary: pd.DataFrame
    bins: pd.DataFrame
    without: tuple[str, ...]


def calibration_tables(frame: pd.DataFrame) -> CalibrationTables:
    """Return the calibration of the variants in a frame of one comparison.

    Raises:
        ValueError: the frame contradicts itself, as in `ablations.compare`.
    """
    measured = measure(frame)
    kept = {variant: _histograms(measured, variant) for variant in measured.variants}
    errors = {variant: _per_seed(measured, own) for variant, own in kept.items()}
    decided = _differences(measured, errors)
    rows = [
        _summary(measured, index, kept[variant], errors[variant], decided)
        for index, variant in enumerate(measured.variants)
        if kept[variant]
    ]
    bins = [row for variant, own in kept.items() if own for row in _bins(variant, own)]
    return CalibrationTables(
        summary=pd.DataFrame(rows, columns=pd.Index(SUMMARY_COLUMNS)),
        bins=pd.DataFrame(bins, columns=pd.Index(BIN_COLUMNS)),
        without=tuple(variant for variant, own in kept.items() if not own),
    )


def _histograms(measured: Measurements, variant: str) -> dict[int, ConfidenceHistogram]:
    """The histograms of a variant's completed trials that keep one, by seed."""
    out = {}
    for seed in measured.seeds:
        row = measured.rows.get((variant, seed))
        packed = None if row is None or row["status"] != "complete" else row.get("confidence")
        if isinstance(packed, bytes):
            out[seed] = unpack_confidence(packed)
    return out


def _per_seed(measured: Measurements, own: dict[int, ConfidenceHistogram]) -> st.Array:
    """The calibration error of each seed of the study, NaN where there is none."""
    out = np.full(len(measured.seeds), np.nan)
    for place, seed in enumerate(measured.seeds):
        if seed in own:
            out[place] = st.calibration_error(own[seed].count, own[seed].correct, own[seed].mean)
    return out


def _differences(measured: Measurements, errors: dict[str, st.Array]) -> dict[str, dict[str, float]]:
    """Mean, interval and p of the paired difference of each variant from its baseline."""
    names = [(measured.variants[i], measured.variants[measured.references[i]]) for i in measured.compared]
    if not names:
        return {}
    differences = np.array([errors[variant] - errors[baseline] for variant, baseline in names])
    decisions = decide_as_read(differences, looks_of(measured))
    return {
        variant: possible({name: float(getattr(decisions, name)[k]) for name in ("mean", "low", "high", "p")})
        for k, (variant, _) in enumerate(names)
    }


def _summary(
    measured: Measurements,
    index: int,
    own: dict[int, ConfidenceHistogram],
    errors: st.Array,
    decided: dict[str, dict[str, float]],
) -> dict[str, Any]:
    variant = measured.variants[index]
    moments = st.moments(errors)
    interval = st.t_interval(moments)
    confident = [float(st.overconfidence(one.count, one.correct, one.mean)) for one in own.values()]
    row: dict[str, Any] = {
        **dict.fromkeys(SUMMARY_COLUMNS),
        "variant": variant,
        "baseline": measured.variants[measured.references[index]],
        "n": int(moments.n),
        "num_bins": NUM_BINS,
        "calibration_error_mean": float(moments.mean),
        "calibration_error_ci_low": float(np.clip(interval.low, 0, 1)),
        "calibration_error_ci_high": float(np.clip(interval.high, 0, 1)),
        "overconfidence_mean": float(np.mean(confident)),
    }
    found = decided.get(variant)
    if found is not None:
        row |= {"delta_mean": found["mean"], "delta_ci_low": found["low"], "delta_ci_high": found["high"]}
        row["p_adjusted"] = found["p"]
    return row


def _bins(variant: str, own: dict[int, ConfidenceHistogram]) -> list[dict[str, Any]]:
    """The bins of a variant with images, counted over its seeds."""
    count, correct, mean = (np.array([getattr(one, name) for one in own.values()]) for name in _FIELDS)
    total, count, correct = (count * mean).sum(axis=0), count.sum(axis=0), correct.sum(axis=0)
    return [
        {
            "variant": variant,
            "n": len(own),
            "bin_low": place / NUM_BINS,
            "bin_high": (place + 1) / NUM_BINS,
            "num_images": int(count[place]),
            "confidence_mean": float(total[place] / count[place]),
            "accuracy": float(correct[place] / count[place]),
        }
        for place in range(NUM_BINS)
        if count[place]
    ]
