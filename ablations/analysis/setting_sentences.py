"""What a study found over several settings, in one sentence per variant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ablations.statistics.decisions import HELPS, HURTS, VERDICTS
from ablations.statistics.settings import DEPENDS, HOLDS, REVERSES, Field

__all__ = ["answer_text", "trend_text"]


def answer_text(
    labels: Sequence[str],
    fields: Sequence[Field],
    verdict: NDArray[np.int8],
    exists: NDArray[np.bool_],
    kind: int,
    named: Sequence[str],
) -> str:
    """Return whether a variant's verdicts (S,) hold, reverse or depend on the `named` fields; `labels` name the S
    settings, `exists` those in which the variant is possible.
    """
    total = int(exists.sum())
    if kind == HOLDS:
        text = f"{VERDICTS[verdict[exists][0]]} in all {total} settings"
        return f"{text}; its size depends on {' and '.join(named)}" if named else text
    if kind == REVERSES:
        return _reversal(labels, fields, verdict, exists)
    counts = [(VERDICTS[v], int(((verdict == v) & exists).sum())) for v in np.unique(verdict[exists])]
    parts = ", ".join(f"{name} in {count}" for name, count in counts)
    if kind == DEPENDS:
        return f"depends on {' and '.join(named)}: {parts} of {total} settings"
    return f"undetermined: {parts} of {total} settings"


def _reversal(
    labels: Sequence[str], fields: Sequence[Field], verdict: NDArray[np.int8], exists: NDArray[np.bool_]
) -> str:
    """Name the one value at which the sign differs from all others; if there is none, name the settings."""
    helps, hurts = (verdict == HELPS) & exists, (verdict == HURTS) & exists
    for field in fields:
        level = np.asarray(field.level)
        for at, value in enumerate(field.values):
            for inside, outside, word in ((helps, hurts, "helps"), (hurts, helps, "hurts")):
                here = level == at
                if inside[here].any() and not outside[here].any() and not inside[~here].any():
                    other = "hurts" if word == "helps" else "helps"
                    if outside[~here].sum() >= inside[here].sum():
                        return f"reverses on {field.name}={value}: {word} there, {other} elsewhere"
    first = "; ".join(labels[i] for i in np.flatnonzero(helps).tolist())
    second = "; ".join(labels[i] for i in np.flatnonzero(hurts).tolist())
    return f"reverses: helps in ({first}), hurts in ({second})"


def trend_text(rows: pd.DataFrame) -> str:
    """Return how the effect of one variant changes with each budget, from its rows of trends."""
    parts = []
    for row in rows.to_dict("records"):
        if row["trend"] == "undetermined":
            continue
        word = "persists but shrinks" if row["shrinks"] else row["trend"]
        ends = f"{_points(row['effect_at_smallest'])} at {row['smallest']}, {_points(row['effect_at_largest'])} at"
        parts.append(f"; {word} with {row['field']} ({ends} {row['largest']})")
    return "".join(parts)


def _points(value: float) -> str:
    return f"{100 * value:+.1f} pp".replace("-", "−")
