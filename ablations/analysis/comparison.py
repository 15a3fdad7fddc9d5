"""The statistics of a frame of records: one row per variant, with effect, interval, correction and verdict in words."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ablations import statistics as st
from ablations.analysis.learning import learning
from ablations.analysis.measurements import IDENTITY, Measurements, comparisons, measure
from ablations.statistics.sequential import FUTILE, RUNNING, SETTLED

__all__ = ["COLUMNS", "compare"]

COLUMNS = (
    "study",
    "variant",
    "n",
    "test_accuracy_mean",
    "test_accuracy_ci_low",
    "test_accuracy_ci_high",
    "delta_mean",
    "delta_ci_low",
    "delta_ci_high",
    "p_adjusted",
    "verdict",
    "delta_margin",
    "at_least_margin",
    "more_seeds",
    "params",
    "macs",
    "train_seconds",
    "num_diverged",
    "num_failed",
    "dataset",
    "scale",
    "num_missing",
    "verdict_text",
    "sentence",
    "stopped",
    "equivalence_p",
    "delta_sd",
    "g_z",
    "wins",
    "seed_correlation",
    "sign_flip_p",
    "n_completed",
    "test_accuracy_mean_completed",
    "delta_mean_completed",
    "example_ci_low",
    "example_ci_high",
    "disagreement",
    "only_variant_correct",
    "only_baseline_correct",
    "seed_disagreement",
    "area_under_curve",
    "delta_area_mean",
    "delta_area_ci_low",
    "delta_area_ci_high",
    "epochs_to_baseline",
    "num_reached_baseline",
)
WHOLE = (
    "n",
    "more_seeds",
    "params",
    "macs",
    "num_diverged",
    "num_failed",
    "num_missing",
    "wins",
    "n_completed",
    "num_reached_baseline",
)


def compare(frame: pd.DataFrame, *, seeds_mode: str | None = None) -> pd.DataFrame:
    """Return one row per variant of each study in a frame of records, the baseline first; accuracies and differences
    are fractions.

    Intervals of differences are simultaneous over the K comparisons of a study (1 − α/K; with `auto` 1 − α_k/K at the
    look where the variant stopped), p is Holm's, `example_ci_*` is the same level for new seeds and new test examples,
    and `delta_area_*` a plain 95 %. `seeds_mode` (`fixed` or `auto`) is the frame's own unless given. What cannot be
    computed is empty, and `sentence` says why.

    Raises:
        ValueError: the frame lacks a column or contradicts itself; the column is named.
    """
    rows = [row for part in comparisons(frame) for row in _compared(part, measure(part, seeds_mode))]
    table = pd.DataFrame(rows, columns=pd.Index(COLUMNS))
    table["at_least_margin"] = table["at_least_margin"].astype("boolean")
    for name in WHOLE:
        table[name] = table[name].astype("Int64")
    return table


def _compared(part: pd.DataFrame, measured: Measurements) -> list[dict[str, Any]]:
    differences, compared = measured.differences, measured.compared
    decisions, levels, stopped = _decided(differences, measured)
    curves = learning(measured)
    identity = {name: part[name].iloc[0] for name in IDENTITY if name in part}
    rows = []
    for index, variant in enumerate(measured.variants):
        row: dict[str, Any] = {
            **dict.fromkeys(COLUMNS),
            **{k: v for k, v in identity.items() if k in COLUMNS},
            "variant": variant,
        }
        seconds = np.array([trial.get("train_seconds") for trial in measured.of(variant)], dtype=np.float64)
        row |= {name: measured.constant(variant, name) for name in ("params", "macs")}
        row |= {f"num_{status}": measured.count(variant, status) for status in ("diverged", "failed", "missing")}
        row |= {"train_seconds": float(np.nanmean(seconds)) if np.isfinite(seconds).any() else math.nan}
        row |= _own_accuracy(measured, index) | curves[index]
        if index not in compared:
            rows.append(row | {"verdict": "baseline", "verdict_text": "baseline"})
            continue
        k = compared.index(index)
        alpha, looked_at = levels[k]
        used = ~np.isnan(differences[k]) & (np.arange(len(measured.seeds)) < looked_at)
        row |= _effect(decisions, k, measured, used, alpha) | {"stopped": stopped[k]}
        rows.append(row | _examples(measured, index, 1 - alpha))
    return rows


def _decided(
    differences: st.Array, measured: Measurements
) -> tuple[st.Decisions, list[tuple[float, int]], list[str | None]]:
    """The decisions; for each comparison α/K of its interval and how many seeds were looked at; with `auto`, how it
    stopped.
    """
    family = max(1, len(differences))
    if not measured.is_sequential:
        levels = [(st.ALPHA / family, len(measured.seeds))] * len(differences)
        return st.decide(differences, measured.margin), levels, [None] * len(differences)
    raced = st.race(differences, measured.margin, measured.ended_pairs)
    running = raced.state == RUNNING
    reached = [
        st.LOOKS[int(taken) if waits else int(taken) - 1] for taken, waits in zip(raced.looks, running, strict=True)
    ]
    decisions = raced.decisions
    if (
        running.any()
    ):  # what there is between looks, at the level of the look to come (the same for all that run), and no verdict
        look = st.LOOKS[int(raced.looks[running][0])]
        now = st.decide(differences[:, : look.seeds], None, look.alpha)
        between = {
            name: np.where(running, getattr(now, name), getattr(decisions, name))
            for name in ("n", "mean", "sd", "low", "high")
        }
        decisions = dataclasses.replace(decisions, **between)
    stopped: list[str | None] = []
    for state, look in zip(raced.state, reached, strict=True):
        words = {
            RUNNING: f"waits for the look at {look.seeds} seeds",
            SETTLED: f"settled at {look.seeds} seeds",
            FUTILE: f"stopped at {look.seeds} seeds: a verdict by {st.LOOKS[-1].seeds} is improbable",
        }
        stopped.append(words.get(int(state), f"all {look.seeds} seeds used"))
    return decisions, [(look.alpha / family, look.seeds) for look in reached], stopped


def _own_accuracy(measured: Measurements, index: int) -> dict[str, Any]:
    own, completed = st.moments(measured.accuracy[index]), st.moments(measured.completed[index])
    interval = st.t_interval(own)
    return {
        "n": int(own.n),
        "test_accuracy_mean": float(own.mean),
        "test_accuracy_ci_low": float(interval.low),
        "test_accuracy_ci_high": float(interval.high),
        "test_accuracy_mean_completed": float(completed.mean),
        "n_completed": int(completed.n),
    }


def _effect(
    decisions: st.Decisions, k: int, measured: Measurements, used: NDArray[np.bool_], alpha: float
) -> dict[str, Any]:
    index, reference = measured.compared[k], measured.against[k]
    variant, baseline = measured.accuracy[index, used], measured.accuracy[reference, used]
    completed = (measured.completed[index] - measured.completed[reference])[used]
    n, mean, sd = int(decisions.n[k]), float(decisions.mean[k]), float(decisions.sd[k])
    low, high, p, equivalence_p = (float(getattr(decisions, name)[k]) for name in ("low", "high", "p", "equivalence_p"))
    verdict, at_least = st.VERDICTS[int(decisions.verdict[k])], bool(decisions.at_least_margin[k])
    of = st.moments(variant - baseline)
    only_completed = st.moments(completed)
    more = st.more_seeds(measured.margin, sd, n, alpha) if verdict == "inconclusive" else None
    numbers = st.sentence(
        n=n,
        mean=mean,
        low=low,
        high=high,
        p=p,
        sd=sd,
        equivalence_p=equivalence_p,
        verdict=verdict,
        over_looks=measured.is_sequential,
    )
    return {
        "n": n,
        "delta_mean": mean,
        "delta_ci_low": low,
        "delta_ci_high": high,
        "p_adjusted": p,
        "equivalence_p": equivalence_p,
        "verdict": verdict,
        "delta_margin": math.nan if measured.margin is None else measured.margin,
        "at_least_margin": at_least,
        "more_seeds": more,
        "delta_sd": sd,
        "g_z": float(st.hedges_g(of)),
        "wins": st.wins(variant - baseline),
        "seed_correlation": st.seed_correlation(variant, baseline),
        "sign_flip_p": st.sign_flip_p(variant - baseline),
        "n_completed": int(only_completed.n),
        "delta_mean_completed": float(only_completed.mean),
        "verdict_text": st.verdict_words(verdict, margin=measured.margin, at_least_margin=at_least, more_seeds=more),
        "sentence": "; ".join(
            [numbers, *_notes(measured, index, n - int(only_completed.n), float(only_completed.mean), used)]
        ),
    }


def _notes(measured: Measurements, index: int, at_chance: int, completed: float, used: NDArray[np.bool_]) -> list[str]:
    """What the numbers hide: pairs with a diverged trial, pairs that are out."""
    notes = []
    if at_chance:
        rest = (
            "none completed"
            if math.isnan(completed)
            else f"{st.points(completed, signed=True)} pp over completed pairs"
        )
        notes.append(f"{at_chance} pair{'s' if at_chance > 1 else ''} with a diverged trial at chance accuracy, {rest}")
    reference = measured.references[index]
    begun = measured.ended[index] | measured.ended[reference]
    if measured.is_sequential:
        begun &= measured.ended[index]  # the baseline goes on without a variant that has stopped
    out = int((begun & np.isnan(measured.accuracy[index] - measured.accuracy[reference])).sum())
    if out:
        notes.append(f"{out} pair{'s' if out > 1 else ''} out, as a trial failed or is missing")
    return notes


def _examples(measured: Measurements, index: int, level: float) -> dict[str, Any]:
    """The secondary interval and the disagreement, where the correctness of every test example was kept."""
    variant, baseline = measured.variants[index], measured.variants[measured.references[index]]
    pairs = []
    for seed in measured.seeds:
        own, other = _correct(measured, variant, seed), _correct(measured, baseline, seed)
        if own is not None and other is not None:
            pairs.append((own, other))
    if not pairs or len({len(correct) for pair in pairs for correct in pair}) != 1:
        return {}
    mine, theirs = np.stack([own for own, _ in pairs]), np.stack([other for _, other in pairs])
    both = st.disagreement(mine, theirs)
    interval = st.crossed_interval(mine.astype(np.int8) - theirs.astype(np.int8), level)
    return {
        "example_ci_low": float(interval.low),
        "example_ci_high": float(interval.high),
        "disagreement": both.rate,
        "only_variant_correct": both.only_variant,
        "only_baseline_correct": both.only_baseline,
        "seed_disagreement": st.seed_disagreement(mine),
    }


def _correct(measured: Measurements, variant: str, seed: int) -> NDArray[np.bool_] | None:
    row = measured.rows.get((variant, seed))
    if row is None or row["status"] != "complete" or not isinstance(row.get("correct"), bytes):
        return None
    return st.unpack_correct(row["correct"], int(row["num_test"]))
