"""Simulated studies in several settings with known effects: how often the sentences about them are wrong.

    python -m benchmarks.settings             # 20,000 studies per cell, about three minutes on one core
    python -m benchmarks.settings --short     # 2,000 studies per cell, seconds

Every study has K variants in S settings on the same n seeds. Each seed has an effect on each variant that all settings
share, which makes the settings' effects correlated, and differences share the baseline's noise. The promises: at most 5
% of homogeneous studies have any variant called dependent or reversing; at most 5 % have a sentence with a wrong sign;
prediction intervals cover a new setting's effect in about 95 % of studies. The exit status is 1 if one of the first two
is broken beyond the simulation's 99 % interval.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from ablations.statistics.decisions import EQUIVALENT, HELPS, HURTS, decide
from ablations.statistics.paired import Array
from ablations.statistics.settings import (
    DEPENDS,
    HOLDS,
    PERSISTS,
    REVERSES,
    VANISHES,
    Field,
    depends,
    pool,
    sentences,
    trend,
)
from benchmarks.simulated_cells import rate
from xception.base.command_line import parse

FULL, SHORT, CHUNK = 20_000, 2_000, 2_000
MARGIN, SD, SEEDS = 0.01, 0.01, 5
FAMILIES = (1, 3, 7)
CORRELATIONS = (0.0, 0.6)
EPOCHS = Field(name="recipe.epochs", values=(3, 6, 12, 24), level=(0, 1, 2, 3))
DATASETS = Field(name="dataset", values=("a", "b", "c", "d"), level=(0, 1, 2, 3))
TWO = Field(name="dataset", values=("a", "b"), level=(0, 1))
SIX = (
    Field(name="recipe.epochs", values=(6, 12, 24), level=(0, 0, 1, 1, 2, 2)),
    Field(name="dataset", values=("a", "b"), level=(0, 1, 0, 1, 0, 1)),
)
LAYOUTS: dict[str, tuple[Field, ...]] = {
    "2 data sets": (TWO,),
    "4 budgets": (EPOCHS,),
    "4 data sets": (DATASETS,),
    "3 budgets × 2 data sets": SIX,
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Check by simulation the sentences about effects in several settings."""

    short: Annotated[bool, f"{SHORT:,} simulated studies per cell instead of {FULL:,}"] = False
    json: Annotated[bool, "print one JSON document and nothing else on standard output"] = False
    seed: Annotated[int, "seed of the simulation's random numbers"] = 0


def draw(
    generator: np.random.Generator, studies: int, means: Array, correlation: float, *, heavy: bool = False
) -> Array:
    """Return effects (studies, K, S, n) with the given means (K, S) and a standard deviation of SD."""
    variants, settings = means.shape
    shape = (studies, 1 + variants, settings, SEEDS)
    own = generator.standard_t(3, shape) / np.sqrt(3) if heavy else generator.normal(size=shape)
    shared = generator.normal(size=(studies, 1 + variants, 1, SEEDS))
    noise = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own
    return np.asarray(means[..., np.newaxis] + SD / np.sqrt(2) * (noise[:, 1:] - noise[:, :1]))


def say(effects: Array, fields: tuple[Field, ...]) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Return sentences (studies, K) and verdicts (studies, K, S), as the program derives them from its intervals."""
    studies, variants, settings, seeds = effects.shape
    decisions = decide(effects.reshape(studies, variants * settings, seeds), MARGIN)
    verdict = decisions.verdict.reshape(studies, variants, settings)
    on = depends(effects, fields).on
    return sentences(verdict, np.ones(verdict.shape, dtype=np.bool_), on), verdict


def simulate(
    generator: np.random.Generator,
    studies: int,
    means: Array,
    fields: tuple[Field, ...],
    correlation: float,
    heavy: bool,
) -> dict[str, Any]:
    """Return the rates of each sentence, over studies (any variant) and over variants, with given true effects."""
    counts = dict.fromkeys(
        ("dependent", "wrong_sign", "holds", "depends_on_any", "reverses", "vanishes", "persists"), 0
    )
    variants = means.shape[0]
    done = 0
    while done < studies:
        size = min(CHUNK, studies - done)
        effects = draw(generator, size, means, correlation, heavy=heavy)
        said, verdict = say(effects, fields)
        on = depends(effects, fields).on.any(axis=-1)
        counts["dependent"] += int((on | np.isin(said, (DEPENDS, REVERSES))).any(axis=-1).sum())
        wrong = ((verdict == HELPS) & (means <= 0)) | ((verdict == HURTS) & (means >= 0))
        wrong |= (verdict == EQUIVALENT) & (np.abs(means) >= MARGIN)
        counts["wrong_sign"] += int(wrong.any(axis=(-2, -1)).sum())
        counts["holds"] += int((said == HOLDS).sum())
        counts["depends_on_any"] += int(on.sum())
        counts["reverses"] += int((said == REVERSES).sum())
        if len(fields) == 1 and fields[0].is_numeric:
            label = trend(effects, fields, 0, MARGIN).label
            counts["vanishes"] += int((label == VANISHES).sum())
            counts["persists"] += int((label == PERSISTS).sum())
        done += size
    per_study = {name: rate(counts[name], studies) for name in ("dependent", "wrong_sign")}
    per_variant = {name: rate(counts[name], studies * variants) for name in counts if name not in per_study}
    return {"per_study": per_study, "per_variant": per_variant}


def prediction(
    generator: np.random.Generator, studies: int, settings: int, correlation: float, between: float
) -> dict[str, Any]:
    """Return how often the pooled interval covers the mean effect, and the prediction interval a new setting's."""
    true = generator.normal(0.0, between * SD, (studies, 1, settings + 1))
    effects = draw(generator, studies, np.zeros((1, settings)), correlation) + true[..., :settings, np.newaxis]
    pooled = pool(effects)
    new = true[..., settings]
    return {
        "mean": rate(int(((pooled.low <= 0) & (pooled.high >= 0)).sum()), studies),
        "new": rate(int(((pooled.new_low <= new) & (pooled.new_high >= new)).sum()), studies),
    }


def scenarios(variants: int, fields: tuple[Field, ...]) -> dict[str, Array]:
    """True effects (K, S): none, homogeneous ones, and, for power, the first variant's alone."""
    settings = len(fields[0].level)
    flat = np.ones(settings)
    budget = np.asarray(fields[0].level) / max(fields[0].level)
    first = np.zeros((variants, 1))
    first[0] = 1.0
    return {
        "no effect": np.zeros((variants, settings)),
        "all +δ": MARGIN * np.ones((variants, settings)),
        "first +3δ everywhere": 3 * MARGIN * first * flat,
        "first +6δ everywhere": 6 * MARGIN * first * flat,
        "first +6δ to 0": 6 * MARGIN * first * (1 - budget),
        "first +4δ to −4δ": 4 * MARGIN * first * (1 - 2 * budget),
    }


HOMOGENEOUS = ("no effect", "all +δ", "first +3δ everywhere", "first +6δ everywhere")


def measure(options: Options) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of the sentences and those of pooling."""
    studies = SHORT if options.short else FULL
    generator = np.random.default_rng(options.seed)
    rows = []
    for layout, fields in LAYOUTS.items():
        for variants in FAMILIES:
            for correlation in CORRELATIONS:
                for name, means in scenarios(variants, fields).items():
                    for heavy in (False, True) if name in HOMOGENEOUS[:2] else (False,):
                        outcome = simulate(generator, studies, means, fields, correlation, heavy)
                        row = {"layout": layout, "variants": variants, "correlation": correlation, "truth": name}
                        rows.append({**row, "noise": "t3" if heavy else "normal", **outcome})
    pooled = [
        {"settings": s, "correlation": c, "between_sd": b, **prediction(generator, studies, s, c, b)}
        for s in (3, 4, 6)
        for c in CORRELATIONS
        for b in (0.0, 1.0, 3.0)
    ]
    return rows, pooled


def broken(rows: list[dict[str, Any]]) -> list[str]:
    """Name every cell whose error rate is above 5 % with its whole interval."""
    found = []
    for row in rows:
        for name, outcome in row["per_study"].items():
            homogeneous = row["truth"] in HOMOGENEOUS
            if (name == "wrong_sign" or homogeneous) and outcome["low"] > 0.05:
                cell = (
                    f"{row['layout']}, K = {row['variants']}, ρ = {row['correlation']}, {row['truth']}, {row['noise']}"
                )
                found.append(f"{name} {100 * outcome['rate']:.1f} %: {cell}")
    return found


def main(args: list[str] | None = None) -> int:
    """Simulate, print, and return the exit status."""
    options = parse(Options, args, prog="python -m benchmarks.settings", description=str(__doc__))
    rows, pooled = measure(options)
    failures = broken(rows)
    if options.json:
        print(json.dumps({"sentences": rows, "pooling": pooled, "broken": failures}, ensure_ascii=False))
        return int(bool(failures))
    print(f"n = {SEEDS} seeds; sd of a difference {SD / MARGIN:g}δ; percent of studies, then percent of variants")
    print(f"{'settings':25}{'K':>2}{'ρ':>5}  {'truth':22}{'noise':8}{'dependent':>10}{'wrong':>7}", end="")
    print(f"{'holds':>7}{'depends':>9}{'reverses':>10}{'vanishes':>10}{'persists':>10}")
    for row in rows:
        study, variant = row["per_study"], row["per_variant"]
        figures = [study["dependent"], study["wrong_sign"]]
        figures += [variant[name] for name in ("holds", "depends_on_any", "reverses", "vanishes", "persists")]
        cells = "".join(f"{100 * f['rate']:>{w}.1f}" for f, w in zip(figures, (10, 7, 7, 9, 10, 10, 10), strict=True))
        print(
            f"{row['layout']:25}{row['variants']:>2}{row['correlation']:>5}  {row['truth']:22}{row['noise']:8}{cells}"
        )
    print("\nPooling: coverage in percent of the mean over settings, and of a new setting's effect")
    for row in pooled:
        head = f"{row['settings']} settings, ρ {row['correlation']}, between-settings sd {row['between_sd']:g} sd"
        print(f"{head:50}{100 * row['mean']['rate']:>7.1f}{100 * row['new']['rate']:>7.1f}")
    for line in failures:
        print(f"BROKEN {line}")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
