"""Learning curves of a comparison, on validation accuracy: the area under them, and the epochs until they reach the
baseline.

A diverged trial stays at chance accuracy from the epoch at which it diverged.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ablations import statistics as st
from ablations.analysis.measurements import Measurements
from ablations.records.record import chance_accuracy

__all__ = ["learning"]


def learning(measured: Measurements) -> list[dict[str, Any]]:
    """Return for each variant the area under its curves and the number of epochs to the baseline's final accuracy."""
    baselines = {index: _baseline(measured, index) for index in set(measured.references)}
    out: list[dict[str, Any]] = []
    for index, variant in enumerate(measured.variants):
        target, base_area = baselines[measured.references[index]]
        epochs, values = _curves(measured, variant)
        if not len(epochs):
            out.append({})
            continue
        area = st.area_under_curve(epochs, values)
        row: dict[str, Any] = {"area_under_curve": float(st.moments(area).mean)}
        if index != measured.references[index]:
            of = st.moments(area - base_area)
            interval = st.t_interval(of)
            row |= {
                "delta_area_mean": float(of.mean),
                "delta_area_ci_low": float(interval.low),
                "delta_area_ci_high": float(interval.high),
            }
        reached = st.epochs_to_reach(epochs, values, target)
        out.append(
            row
            | {
                "epochs_to_baseline": float(st.moments(reached).mean),
                "num_reached_baseline": int(np.isfinite(reached).sum()),
            }
        )
    return out


def _baseline(measured: Measurements, index: int) -> tuple[float, st.Array]:
    """A baseline's mean final accuracy and the area under each seed's curve (seeds,)."""
    epochs, values = _curves(measured, measured.variants[index])
    finals = values[:, -1] if len(epochs) else np.empty(0)
    target = float(np.nanmean(finals)) if np.isfinite(finals).any() else math.nan
    return target, st.area_under_curve(epochs, values) if len(epochs) else np.full(len(measured.seeds), np.nan)


def _curves(measured: Measurements, variant: str) -> tuple[st.Array, st.Array]:
    """Epochs (epochs,) and curves (seeds, epochs) of a variant, NaN for missing values."""
    points = {seed: _points(measured.rows.get((variant, seed))) for seed in measured.seeds}
    epochs = sorted({epoch for own in points.values() for epoch in own})
    values = np.array([[own.get(epoch, math.nan) for epoch in epochs] for own in points.values()], dtype=np.float64)
    values = values.reshape(len(measured.seeds), len(epochs))
    for index, seed in enumerate(measured.seeds):
        row = measured.rows.get((variant, seed))
        if row is not None and row["status"] == "diverged":
            values[index, np.isnan(values[index])] = chance_accuracy(float(row["num_classes"]))
    return np.array(epochs, dtype=np.float64), values


def _points(row: dict[str, Any] | None) -> dict[float, float]:
    curves = None if row is None else row.get("curves")
    if not isinstance(curves, list):
        return {}
    accuracies = {float(point["epoch"]): point.get("val_accuracy") for point in curves}
    return {epoch: math.nan if accuracy is None else float(accuracy) for epoch, accuracy in accuracies.items()}
