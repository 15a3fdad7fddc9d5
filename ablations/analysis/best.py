"""Which variants are best: by paired contrasts with the variant of the largest effect, not by overlapping intervals."""

from __future__ import annotations

import numpy as np

from ablations import statistics as st
from ablations.analysis.measurements import Measurements

__all__ = ["best_variants"]


def best_variants(measured: Measurements, decisions: st.Decisions) -> set[str]:
    """Return the best variants of a comparison; none if the statistics do not show one.

    Of the variants that help, these are the one of the largest effect and those that no paired contrast shows to be
    worse, at 95 % simultaneous over all pairs of them, since the largest was selected from the data. Where every
    variant hurts, the baseline is best. Effects relative to several baselines are not comparable, so then no variant is
    best.
    """
    verdicts = decisions.verdict
    if not len(verdicts) or len(set(measured.references)) > 1:
        return set()
    if (verdicts == st.HURTS).all():
        return {measured.variants[measured.references[0]]}
    helping = np.flatnonzero(verdicts == st.HELPS)
    if not len(helping):
        return set()
    top = helping[np.argmax(decisions.mean[helping])]
    names = [measured.variants[measured.compared[k]] for k in helping]
    rows = measured.accuracy[[measured.compared[k] for k in helping]]
    contrasts = rows - measured.accuracy[measured.compared[top]]
    others = helping != top
    if not others.any():
        return set(names)
    # `decide` divides by the contrasts with the top; there are m/2 times as many among m variants
    found = st.decide(contrasts[others], None, st.ALPHA * 2 / len(helping), grid=measured.grid)
    worse = dict(zip(np.array(names)[others].tolist(), (found.high < 0).tolist(), strict=True))
    return {name for name in names if not worse.get(name, False)}
