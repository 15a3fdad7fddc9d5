"""Main effects and interactions of a factorial study, from a frame of its records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ablations import statistics as st
from ablations.analysis.effect_rows import effect_row
from ablations.analysis.measurements import measure

__all__ = ["interactions"]


def interactions(
    frame: pd.DataFrame, levels: Mapping[str, Mapping[str, Any]] | None = None, *, order: int = 2
) -> pd.DataFrame:
    """Return one row per main effect and interaction (up to `order` factors) of one full factorial study, as fractions
    of test accuracy.

    `levels` gives the level of each factor for each variant, the frame's column `levels` unless given; the baseline's
    are the reference. Columns: `effect`, `factors`, `levels`, `n` (seeds with a completed trial in every cell), `mean`,
    simultaneous over all rows `low` and `high` (95 %) with `equivalence_low` and `equivalence_high` (90 %) inside them,
    `p_adjusted`, the `verdict` against ±margin, and `sentence`.

    Raises:
        ValueError: the variants are not each combination of the levels once.
    """
    measured = measure(frame, "fixed")
    if levels is None:
        levels = {variant: measured.constant(variant, "levels") for variant in measured.variants}
    cells = []
    for variant in measured.variants:
        cell = levels.get(variant)
        if not isinstance(cell, Mapping) or not cell:
            raise ValueError(f"levels: {cell!r} of {variant!r} is not allowed; the level of each factor")
        cells.append(cell)
    found = st.contrasts(cells, cells[0], order)
    values = np.stack([st.per_seed(contrast, measured.accuracy) for contrast in found])
    decisions = st.decide(values, measured.margin, grid=measured.grid)
    rows = []
    for k, contrast in enumerate(found):
        rows.append(
            {"effect": contrast.name, "factors": contrast.factors, "levels": contrast.levels}
            | effect_row(decisions, k, measured.margin, most=2.0 ** (len(contrast.factors) - 1))
        )
    return pd.DataFrame(rows)
