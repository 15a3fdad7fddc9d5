"""Studies read together: intervals simultaneous over all comparisons of studies that share a baseline.

Each study controls its own errors. A page of several studies with the same baseline trials makes more comparisons, so a
second table reads its verdicts off intervals that are simultaneous over all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ablations import statistics as st
from ablations.analysis.effect_rows import EFFECT_COLUMNS, effect_row
from ablations.analysis.measurements import Measurements, comparisons, measure

__all__ = ["page_comparisons"]


def page_comparisons(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return one row per distinct comparison of the studies that share a baseline with another study.

    Two comparisons are the same if their trials are; the first study with one keeps it. `baseline` and `family` (the
    number of comparisons) identify intervals that are simultaneous; the other columns are those of `effect_row`. With
    seeds as needed the level is that of the look at which a variant stopped. Empty where no two studies share one.
    """
    shared: dict[str, list[tuple[str, Measurements]]] = {}
    for frame in frames:
        for part in comparisons(frame):
            measured = measure(part)
            for reference in dict.fromkeys(measured.references):
                key = _key(measured, measured.variants[reference])
                if key is not None:
                    shared.setdefault(key, []).append((str(part["study"].iloc[0]), measured))
    rows = [row for group in shared.values() if len({name for name, _ in group}) > 1 for row in _family(group)]
    return pd.DataFrame(rows, columns=pd.Index(["study", "variant", "baseline", "family", *EFFECT_COLUMNS]))


def _family(group: Sequence[tuple[str, Measurements]]) -> list[dict[str, Any]]:
    """The rows of all comparisons with one baseline."""
    first = _key(group[0][1], group[0][1].variants[group[0][1].references[0]])
    found: dict[str, dict[str, Any]] = {}
    for study, measured in group:
        read, alphas = _read(measured)
        for k, index in enumerate(measured.compared):
            variant, baseline = measured.variants[index], measured.variants[measured.against[k]]
            key = _key(measured, variant)
            if key is None or _key(measured, baseline) != first:
                continue
            names: Mapping[str, Any] = {"study": study, "variant": variant, "baseline": baseline}
            found.setdefault(key, {"names": names, "values": read[k], "alpha": alphas[k], "of": measured})
    most = max(len(one["values"]) for one in found.values())
    values = np.array([[*one["values"], *[np.nan] * (most - len(one["values"]))] for one in found.values()])
    rows = []
    for k, one in enumerate(found.values()):
        decisions = st.decide(values, one["of"].margin, one["alpha"], grid=one["of"].grid)
        rows.append({**one["names"], "family": len(found), **effect_row(decisions, k, one["of"].margin)})
    return rows


def _read(measured: Measurements) -> tuple[st.Array, list[float]]:
    """The differences that verdicts are read off, and the level of each."""
    differences = measured.differences
    if not measured.is_sequential:
        return differences, [st.ALPHA] * len(differences)
    raced = st.race(differences, measured.margin, measured.ended_pairs, grid=measured.grid)
    looks = [st.LOOKS[max(0, int(taken) - 1)] for taken in raced.looks]
    within = np.arange(differences.shape[-1]) < np.array([[look.seeds] for look in looks])
    return np.where(within, differences, np.nan), [look.alpha for look in looks]


def _key(measured: Measurements, variant: str) -> str | None:
    """What the variant's trials are, by the key of its first seed; None where the frame has none."""
    rows = measured.of(variant)
    return str(rows[0]["key"]) if rows and rows[0].get("key") is not None else None
