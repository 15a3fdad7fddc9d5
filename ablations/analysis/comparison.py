"""The statistics of a frame of records: one row per variant, with effect, two intervals, correction and verdict."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ablations import statistics as st
from ablations.analysis.best import best_variants
from ablations.analysis.effect_rows import possible
from ablations.analysis.learning import learning
from ablations.analysis.looks import earlier_looks
from ablations.analysis.measurements import IDENTITY, Measurements, comparisons, measure
from ablations.analysis.seeds_read import reached_looks
from ablations.analysis.success import success
from ablations.statistics.sequential import FUTILE, RUNNING, SETTLED

__all__ = ["COLUMNS", "compare"]

COLUMNS = (
    *("study", "variant", "n", "test_accuracy_mean", "test_accuracy_ci_low", "test_accuracy_ci_high"),
    *("delta_mean", "delta_ci_low", "delta_ci_high", "equivalence_ci_low", "equivalence_ci_high", "p_adjusted"),
    *("verdict", "baseline", "delta_margin", "at_least_margin", "more_seeds", "params", "macs", "train_seconds"),
    *("num_diverged", "num_failed", "dataset", "scale", "num_missing"),
    *("num_collapsed", "success_rate", "success_ci_low", "success_ci_high"),
    *("verdict_text", "sentence", "stopped", "more_seeds_limit"),
    *("delta_sd", "g_z", "wins", "probability_of_improvement", "seed_correlation", "sign_flip_p"),
    *("is_best", "looked_before", "n_at_chance", "test_accuracy_mean_at_chance"),
    *("delta_mean_at_chance", "delta_ci_low_at_chance", "delta_ci_high_at_chance"),
    *("example_ci_low", "example_ci_high", "disagreement", "only_variant_correct", "only_baseline_correct"),
    *("seed_disagreement", "area_under_curve", "delta_area_mean", "delta_area_ci_low", "delta_area_ci_high"),
    *("epochs_to_baseline", "num_reached_baseline"),
)
WHOLE = (
    *("n", "more_seeds", "more_seeds_limit", "params", "macs", "num_diverged", "num_failed", "num_missing"),
    *("num_collapsed", "wins", "n_at_chance", "num_reached_baseline"),
)


def compare(frame: pd.DataFrame, *, seeds_mode: str | None = None) -> pd.DataFrame:
    """Return one row per variant of each study in a frame of records, the baseline first; accuracies and differences
    are fractions.

    Effects are those among completed pairs; `*_at_chance` repeats them with diverged trials at chance accuracy. Both
    intervals of a difference are simultaneous over the K comparisons of a study: `delta_ci_*` at 95 %, and inside it
    `equivalence_ci_*` at 90 %. The verdict is read off these two, and `p_adjusted` is dual to the former. With `auto`
    they are the repeated confidence intervals of the look at which the variant stopped. `example_ci_*` has the level of
    `delta_ci_*` for new seeds and new test examples, and `delta_area_*` is a plain 95 %. `seeds_mode` (`fixed` or
    `auto`) is the frame's own unless given. Values that cannot be computed are empty, and `sentence` gives the reason.

    Raises:
        ValueError: the frame lacks a column or contradicts itself; the column is named.
    """
    rows = [row for part in comparisons(frame) for row in _compared(part, measure(part, seeds_mode))]
    table = pd.DataFrame(rows, columns=pd.Index(COLUMNS))
    for name in ("at_least_margin", "is_best"):
        table[name] = table[name].astype("boolean")
    for name in WHOLE:
        table[name] = table[name].astype("Int64")
    return table


def _compared(part: pd.DataFrame, measured: Measurements) -> list[dict[str, Any]]:
    differences, compared = measured.differences, measured.compared
    decisions, levels, stopped = _decided(differences, measured)
    curves, best = learning(measured), best_variants(measured, decisions)
    identity = {name: part[name].iloc[0] for name in IDENTITY if name in part}
    rows = []
    for index, variant in enumerate(measured.variants):
        row: dict[str, Any] = {
            **dict.fromkeys(COLUMNS),
            **{k: v for k, v in identity.items() if k in COLUMNS},
            "variant": variant,
            "baseline": measured.variants[measured.references[index]],
            "is_best": variant in best,
        }
        seconds = np.array([trial.get("train_seconds") for trial in measured.of(variant)], dtype=np.float64)
        row |= {name: measured.constant(variant, name) for name in ("params", "macs")}
        row |= {f"num_{status}": measured.count(variant, status) for status in ("diverged", "failed", "missing")}
        row |= {"train_seconds": float(np.nanmean(seconds)) if np.isfinite(seconds).any() else math.nan}
        row |= _own_accuracy(measured, index) | success(measured, variant) | curves[index]
        if index not in compared:
            rows.append(row | {"verdict": "baseline", "verdict_text": "baseline"})
            continue
        k = compared.index(index)
        alpha, looked_at = levels[k]
        read = np.arange(len(measured.seeds)) < looked_at
        row |= _effect(decisions, k, measured, read, stopped[k])
        row |= _at_chance(measured, k, decisions, read)
        rows.append(row | _examples(measured, index, read & ~np.isnan(differences[k]), 1 - alpha))
    return rows


def _decided(
    differences: st.Array, measured: Measurements
) -> tuple[st.Decisions, list[tuple[float, int]], list[str | None]]:
    """The decisions; for each comparison α/K of its interval and the number of seeds analysed; with `auto`, why it
    stopped.
    """
    family = max(1, len(differences))
    if not measured.is_sequential:
        levels = [(st.ALPHA / family, len(measured.seeds))] * len(differences)
        return st.decide(differences, measured.margin, grid=measured.grid), levels, [None] * len(differences)
    raced = st.race(differences, measured.margin, measured.ended_pairs, grid=measured.grid)
    running = raced.state == RUNNING
    reached = reached_looks(raced)
    decisions = raced.decisions
    if (
        running.any()
    ):  # the state between looks, at the level of the next look (the same for all running variants), without a verdict
        look = st.LOOKS[int(raced.looks[running][0])]
        now = st.decide(differences[:, : look.seeds], None, look.alpha, grid=measured.grid)
        shown = [f.name for f in dataclasses.fields(st.Decisions) if f.name not in ("verdict", "at_least_margin")]
        between = {name: np.where(running, getattr(now, name), getattr(decisions, name)) for name in shown}
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
    own, at_chance = st.moments(measured.accuracy[index]), st.moments(measured.at_chance[index])
    interval = st.t_interval(own)
    return {
        "n": int(own.n),
        "test_accuracy_mean": float(own.mean),
        "test_accuracy_ci_low": float(np.clip(interval.low, 0, 1)),
        "test_accuracy_ci_high": float(np.clip(interval.high, 0, 1)),
        "test_accuracy_mean_at_chance": float(at_chance.mean),
        "n_at_chance": int(at_chance.n),
    }


def _effect(
    decisions: st.Decisions, k: int, measured: Measurements, read: NDArray[np.bool_], stopped: str | None
) -> dict[str, Any]:
    """The effect of comparison k among completed pairs, from the seeds that were read."""
    used = read & ~np.isnan(measured.differences[k])
    variant, baseline = (measured.accuracy[i[k], used] for i in (measured.compared, measured.against))
    n, verdict, margin = int(decisions.n[k]), st.VERDICTS[int(decisions.verdict[k])], measured.margin
    names = ("mean", "sd", "low", "high", "equivalence_low", "equivalence_high", "p")
    numbers = possible({name: float(getattr(decisions, name)[k]) for name in names})
    goes_on = stopped is not None and stopped.startswith("waits")
    more = None if verdict != "inconclusive" or goes_on else _more_seeds(decisions, k, margin)
    at_least = bool(decisions.at_least_margin[k])
    notes = _notes(measured, k, read)
    earlier = _earlier(measured, k, n)
    if earlier:
        notes.append(f"looked at before at n = {', '.join(map(str, earlier))}: error not controlled")
    if verdict == "inconclusive" and not goes_on and margin is not None:
        notes.append(_advice(n, more))
    if stopped is not None and verdict in ("helps", "hurts") and n < st.LOOKS[-1].seeds:
        notes.append("stopped early, so the effect is likely overestimated; its intervals allow for the looks")
    return {
        "n": n,
        "delta_mean": numbers["mean"],
        "delta_ci_low": numbers["low"],
        "delta_ci_high": numbers["high"],
        "equivalence_ci_low": numbers["equivalence_low"],
        "equivalence_ci_high": numbers["equivalence_high"],
        "p_adjusted": numbers["p"],
        "verdict": verdict,
        "delta_margin": math.nan if margin is None else margin,
        "at_least_margin": at_least,
        "more_seeds": None if more is None else more.median,
        "more_seeds_limit": None if more is None else more.limit,
        "delta_sd": numbers["sd"],
        "g_z": float(st.hedges_g(st.moments(variant - baseline))),
        "wins": st.wins(variant - baseline),
        "probability_of_improvement": st.probability_of_improvement(variant, baseline),
        "seed_correlation": st.seed_correlation(variant, baseline),
        "sign_flip_p": st.sign_flip_p(variant - baseline),
        "verdict_text": st.verdict_words(verdict, margin=margin, at_least_margin=at_least, more_seeds=more),
        "sentence": "; ".join([st.sentence(n=n, margin=margin, **numbers), *notes]),
        "stopped": stopped,
        "looked_before": ", ".join(map(str, earlier)) or None,
    }


def _earlier(measured: Measurements, k: int, n: int) -> list[int]:
    """The numbers of pairs at which comparison k was analysed before without a plan."""
    looks = measured.constant(measured.variants[measured.compared[k]], "looks")
    return earlier_looks(looks, n, "auto" if measured.is_sequential else "fixed") if isinstance(looks, list) else []


def _advice(n: int, more: st.MoreSeeds | None) -> str:
    """A run that controls its error rate: one with planned looks, or one on fresh seeds."""
    if n < st.FEWEST_PAIRS:
        return "run it with --seeds auto"
    if more is None or more.median is None:
        return "a wider --margin, stated in advance, needs fewer seeds"
    return f"--fresh-seeds {more.median} gives a verdict that stays valid"


def _more_seeds(decisions: st.Decisions, k: int, margin: float | None) -> st.MoreSeeds | None:
    """The number of fresh seeds that settles comparison k, at the level and variance of its intervals."""
    n, degrees = int(decisions.n[k]), float(decisions.degrees[k])
    if n < 2:
        return None
    sd, family = float(decisions.error[k]) * math.sqrt(n), len(decisions.n)
    prior = 2.0 if family >= st.SMALLEST_FAMILY else 0.0
    return st.more_seeds(margin, sd, degrees, st.ALPHA / family, prior)


def _at_chance(measured: Measurements, k: int, decisions: st.Decisions, read: NDArray[np.bool_]) -> dict[str, Any]:
    """The second line of comparison k: its effect with diverged trials at chance, at the level of the first."""
    differences = np.where(read, measured.differences_at_chance, np.nan)
    if np.isnan(differences[k]).all():
        return {}
    level = float(decisions.alpha[k]) if np.isfinite(decisions.alpha[k]) else st.ALPHA
    found = st.decide(differences, None, level, grid=measured.grid)
    return {
        "delta_mean_at_chance": float(found.mean[k]),
        "delta_ci_low_at_chance": float(np.clip(found.low[k], -1, 1)),
        "delta_ci_high_at_chance": float(np.clip(found.high[k], -1, 1)),
    }


def _notes(measured: Measurements, k: int, read: NDArray[np.bool_]) -> list[str]:
    """Notes on pairs with a diverged trial and on missing pairs."""
    notes = []
    index, reference = measured.compared[k], measured.against[k]
    both, chance = measured.differences[k][read], measured.differences_at_chance[k][read]
    diverged = int((np.isnan(both) & ~np.isnan(chance)).sum())
    if diverged:
        notes.append(
            f"{diverged} pair{'s' if diverged > 1 else ''} with a diverged trial left out"
            f" ({st.points(float(np.nanmean(chance)), signed=True)} pp with diverged trials at chance accuracy)"
        )
    begun = measured.ended[index] | measured.ended[reference]
    if measured.is_sequential:
        begun &= measured.ended[index]  # the baseline continues without a variant that has stopped
    out = int((begun & np.isnan(measured.differences_at_chance[k])).sum())
    if out:
        notes.append(f"{out} pair{'s' if out > 1 else ''} dropped, as a trial failed or is missing")
    return notes


def _examples(measured: Measurements, index: int, used: NDArray[np.bool_], level: float) -> dict[str, Any]:
    """The secondary interval and the disagreement from the pairs behind the effect, where predictions were kept."""
    variant, baseline = measured.variants[index], measured.variants[measured.references[index]]
    pairs = []
    for seed in np.array(measured.seeds)[used].tolist():
        own, other = _correct(measured, variant, seed), _correct(measured, baseline, seed)
        if own is not None and other is not None:
            pairs.append((own, other))
    if not pairs or len({len(correct) for pair in pairs for correct in pair}) != 1:
        return {}
    mine, theirs = np.stack([own for own, _ in pairs]), np.stack([other for _, other in pairs])
    both = st.disagreement(mine, theirs)
    interval = st.crossed_interval(mine.astype(np.int8) - theirs.astype(np.int8), level)
    return {
        "example_ci_low": float(np.clip(interval.low, -1, 1)),
        "example_ci_high": float(np.clip(interval.high, -1, 1)),
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
