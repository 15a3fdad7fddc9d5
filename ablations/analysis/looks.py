"""Optional stopping made visible: the numbers of pairs at which a comparison was analysed are stored and shown with its
verdict.

A fixed run that is extended after an analysis has several chances to err. The store therefore records each analysis of
a comparison (the trials of a variant and its baseline, whatever study they belong to), and a later verdict from more
pairs names the earlier ones. The looks of `--seeds auto` are planned, so they need no such note.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xception.base.canonical import key_of

if TYPE_CHECKING:
    import pandas as pd

    from ablations.records.record import StoredPlan
    from ablations.records.store import Store

__all__ = ["earlier_looks", "looks_by_variant", "record_looks"]

KIND = "look"
FEWEST_PAIRS = 3  # below this number there is no verdict


def looks_by_variant(store: Store, plan: StoredPlan, references: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Return the stored looks at each variant's comparison: `pairs`, `mode` and `margin` of each."""
    pairs = _pairs(plan, references)
    found: dict[str, list[dict[str, Any]]] = {variant: [] for variant in pairs}
    for look in store.measurements(KIND):
        for variant, pair in pairs.items():
            if look["comparison"] == pair:
                found[variant].append({name: look[name] for name in ("pairs", "mode", "margin")})
    return found


def record_looks(store: Store, plan: StoredPlan, references: Mapping[str, str], comparison: pd.DataFrame) -> None:
    """Record in the store that a comparison was analysed."""
    pairs, mode = _pairs(plan, references), plan.description.seeds_mode
    for row in comparison.to_dict("records"):
        variant, n = str(row["variant"]), int(row["n"])
        if variant in pairs and row["verdict"] != "baseline" and n >= FEWEST_PAIRS:
            values = {"comparison": pairs[variant], "pairs": n, "mode": mode, "margin": plan.description.margin}
            key = key_of([KIND, *values.values()])
            if store.measurement(key) is None:
                store.put_measurement(key, KIND, values)


def earlier_looks(looks: Sequence[Mapping[str, Any]], pairs: int, mode: str) -> list[int]:
    """Return the numbers of pairs, below the present one, at which unplanned looks were taken."""
    unplanned = {look["pairs"] for look in looks if not (mode == "auto" and look["mode"] == "auto")}
    return sorted(n for n in unplanned if n < pairs)


def _pairs(plan: StoredPlan, references: Mapping[str, str]) -> dict[str, str]:
    """What identifies each variant's comparison: the keys of both first trials."""
    first: dict[str, str] = {}
    for member in sorted(plan.members, key=lambda member: member.seed):
        first.setdefault(member.variant, member.key)
    return {
        variant: f"{first[baseline]}:{first[variant]}"
        for variant, baseline in references.items()
        if variant != baseline and variant in first and baseline in first
    }
