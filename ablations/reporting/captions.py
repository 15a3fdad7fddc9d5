"""The sentences below a table and beside a figure: what was trained on which data, what the columns mean, and
warnings.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from xception.base import formatting as f

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["any_above_chance", "busy_sentence", "caption", "data_sentence"]


_DIFFERENCES = {"delta_mean", "delta_ci_low", "equivalence_ci_low", "p_adjusted", "verdict", "delta_mean_at_chance"}
_ON_COSTS = {
    "params": "Params: trainable.",
    "macs": "MACs: multiply-accumulates of convolutions and linear layers for one image.",
}
BUSY_SPREAD = 0.2  # width of a median's interval, as a fraction; rounds go on until it is 0.02, or time is up


BUSY_LOAD = 2.0  # processes that ran or waited; the measurement itself is one


def any_above_chance(table: pd.DataFrame) -> bool:
    """Return whether a trial of the comparison ended above chance. If none did, the share of such trials says nothing
    about the variants, as in runs so short that no network does better than guessing.
    """
    return "success_rate" not in table or bool((table["success_rate"] > 0).any())


def caption(table: pd.DataFrame, title: str, best: set[str], setup: str, shown: Collection[str]) -> str:
    """Return the caption of a comparison of which the columns `shown` are displayed; `best` are the bold variants."""
    sentences = [_sentence(_line(title)), data_sentence(table, setup)]
    if "test_accuracy_mean" in shown:
        measured = table["test_accuracy_ci_low"].notna().any()
        interval = ", ± half the width of its 95 % confidence interval" if measured else ""
        sentences.append(f"Test accuracy: mean over n seeds{interval}.")
    sentences += _on_differences(table, shown)
    if (table["num_diverged"] > 0).any():
        beside = ", and count at chance accuracy in the line beside it" if "delta_mean_at_chance" in shown else ""
        sentences.append(f"Diverged trials are left out of Δ{beside}.")
    if "success_rate" in table and table["success_rate"].notna().any() and not any_above_chance(table):
        sentences.append("No trial ended above chance: validation accuracies are within what guessing reaches.")
    if (table["num_failed"] > 0).any():
        sentences.append("A failed trial drops its pair.")
    margins = sorted({float(m) for m in table["delta_margin"].dropna()})
    sentences += [f"Smallest difference that matters: δ = {f.percent(m)} pp." for m in margins]
    if "looked_before" in table and table["looked_before"].notna().any():
        sentences.append("Some comparisons were looked at before with fewer seeds; their error is not controlled.")
    if "test_accuracy_mean" in shown:
        sentences += _on_bold(table, best)
    devices = sorted({str(d) for d in table["latency_device"].dropna()})
    if table["latency_ms"].notna().any() and "latency_ms" in shown:
        sentences.append(
            "Latency: median and its 95 % interval, eager float32 inference, batch 1, channels-last, all rows measured"
            f" together{', on ' + f.join_words(devices) if devices else ''}."
        )
        sentences += busy_sentence(table)
    sentences += [text for name, text in _ON_COSTS.items() if name in shown]
    return " ".join(sentences)


def _on_differences(table: pd.DataFrame, shown: Collection[str]) -> list[str]:
    """What differences, intervals and verdicts are, where they are displayed."""
    base = table.loc[table["verdict"] == "baseline", "variant"]
    if len(table) == len(base) or not len(base) or not _DIFFERENCES & set(shown):
        return []
    k = len(table) - len(base)
    together = "" if k == 1 else f", simultaneous over all {k} comparisons"
    from_what = _line(base.iloc[0]) if len(base) == 1 else "the baseline above"
    out = [
        f"Δ: mean of the per-seed differences from {from_what}, in percentage points (pp), with a 95 % and a 90 %"
        f" interval{together}."
    ]
    if "verdict" in shown:
        out.append(
            "The verdict is read off these two: no meaningful effect where the 90 % interval is within ±δ; otherwise"
            " helps or hurts where the 95 % interval is above or below 0; otherwise inconclusive."
        )
    if "stopped" in table and table["stopped"].notna().any():
        out.append(
            "Seeds were added as needed: the intervals allow for every look, and an effect that stopped a variant"
            " early is likely overestimated."
        )
    return out


def _on_bold(table: pd.DataFrame, best: set[str]) -> list[str]:
    if best & set(table.loc[table["verdict"] == "baseline", "variant"]):
        return ["Bold: the baseline, as every other variant hurts."]
    return ["Bold: best (helps, and no paired contrast shows it worse than the largest effect)."] if best else []


def busy_sentence(table: pd.DataFrame) -> list[str]:
    """Return a warning if the machine was busy while latency was measured, judged by its load or by the width of the
    medians' intervals; otherwise nothing.
    """
    loads = [float(one) for one in table["latency_load"].dropna()] if "latency_load" in table else []
    load, spread = max(loads, default=0.0), _latency_spread(table)
    if load < BUSY_LOAD and spread < BUSY_SPREAD:
        return []
    signs = [f"load {load:.1f}"] if loads else []
    if spread >= BUSY_SPREAD:
        signs.append(f"an interval as wide as {100 * spread:.0f} % of its median")
    return [
        f"The machine was busy at the time ({', '.join(signs)}): these latencies are longer than on a quiet machine;"
        " compare them with one another only."
    ]


def _latency_spread(table: pd.DataFrame) -> float:
    """The widest interval of a median latency as a fraction of the median; 0 where none is known."""
    names = ("latency_ci_low_ms", "latency_ci_high_ms", "latency_ms")
    if any(name not in table for name in names):
        return 0.0
    low, high, median = (table[name].astype(float) for name in names)
    widest = ((high - low) / median).max()
    return float(widest) if f.is_number(widest) else 0.0


def data_sentence(table: pd.DataFrame, setup: str = "") -> str:
    """Return the data that the rows come from, what was trained on them (only the scale if no setup is known), and a
    warning if the data are synthetic.
    """
    sets = [_line(d) for d in dict.fromkeys(table["dataset"].dropna())]
    scales = [_line(s) for s in dict.fromkeys(table["scale"].dropna())]
    if "overrides" in table:
        scales = [f"{s} with {_line(words)}" if words else s for s in scales for words in table["overrides"].head(1)]
    text = f"Data: {f.join_words(sets) or 'unknown'}" + (
        "." if setup else f"; scale: {f.join_words(scales) or 'unknown'}."
    )
    text += f" {setup}" if setup else ""
    return text + (
        " Synthetic images: these numbers say nothing about photographs."
        if any("synthetic" in d.lower() for d in sets)
        else ""
    )


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _line(value: object) -> str:
    """Text on one line, without control characters."""
    return "".join(c if c.isprintable() else " " for c in str(value)).strip()
