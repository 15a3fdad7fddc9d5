"""Variants that no width matches in size, by their distance from the baseline's accuracy over MACs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ablations import statistics as st
from ablations.measurements import measure

__all__ = ["distances"]


def distances(frame: pd.DataFrame, widths: Sequence[str]) -> pd.DataFrame:
    """Return how far each variant lies above the curve of the baseline, which was trained at several widths; one row per variant.

    `widths` names the variants that are the baseline at another width; the baseline itself belongs to its curve. Columns:
    `variant`, `macs`, `n` (seeds), `mean` (a fraction of test accuracy), simultaneous `low` and `high`, Holm's `p_adjusted`, `verdict`
    against ±margin, and `sentence`. A diverged trial counts at chance.

    Raises:
        ValueError: a width is not a variant of the frame, or a variant is larger or smaller than all widths.
    """
    measured = measure(frame, "fixed")
    unknown = [name for name in widths if name not in measured.variants]
    if unknown:
        raise ValueError(f"widths: {unknown[0]!r} is not allowed; variants of the frame: {', '.join(measured.variants)}")
    macs = np.array([float(measured.constant(variant, "macs")) for variant in measured.variants])
    on_curve = np.array([index == 0 or variant in widths for index, variant in enumerate(measured.variants)])
    others = np.flatnonzero(~on_curve)
    values = np.array([
        st.vertical_distance(macs[k], measured.accuracy[k], macs[on_curve], measured.accuracy[on_curve]).per_seed for k in others
    ]).reshape(len(others), len(measured.seeds))
    decisions = st.decide(values, measured.margin)
    rows = []
    for row, k in enumerate(others):
        mean, sd, low, high, p, equivalence_p = (
            float(getattr(decisions, name)[row]) for name in ("mean", "sd", "low", "high", "p", "equivalence_p"))
        verdict, n = st.VERDICTS[int(decisions.verdict[row])], int(decisions.n[row])
        rows.append({
            "variant": measured.variants[k], "macs": int(macs[k]), "n": n, "mean": mean, "low": low, "high": high, "p_adjusted": p,
            "verdict": verdict,
            "sentence": st.sentence(n=n, mean=mean, low=low, high=high, p=p, sd=sd, equivalence_p=equivalence_p, verdict=verdict),
        })
    return pd.DataFrame(rows, columns=pd.Index(["variant", "macs", "n", "mean", "low", "high", "p_adjusted", "verdict", "sentence"]))
