"""Simulated studies with known effects, decided by the code that decides real ones: its error rates, coverage and
power.

    python -m benchmarks.statistics            # 20,000 studies per cell, some minutes on one core
    python -m benchmarks.statistics --short    # 2,000 studies per cell and fewer cells, seconds

For each distribution, K = 1 … 12 comparisons and n = 3, 5, 10 or `auto`: errors of each kind and of either, coverage,
verdicts that contradict their intervals, trials used, and the same by the previous rule. Rates have the 99 %
Clopper–Pearson interval of the simulation. The exit status is 1 if a promise is broken: an error rate whose whole
interval is above 5 % under a distribution that is promised, a coverage under normality whose whole interval is below 95
%, power more than 2 points from the analytic value, or a single verdict that contradicts its intervals. What seems
broken is simulated again, with ten times as many fresh studies.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ablations.statistics import (
    ALPHA,
    EQUIVALENT,
    HELPS,
    HURTS,
    INCONCLUSIVE,
    LOOKS,
    Array,
    crossed_interval,
    decide,
    difference_power,
    equivalence_power,
    race,
)
from benchmarks.promises import finish
from benchmarks.simulated_cells import MARGIN, MOST, Cell, decided, is_wrong, rate, simulate, trials_used
from benchmarks.simulated_studies import DISTRIBUTIONS, earlier_auto, earlier_fixed
from xception.base.command_line import parse, refuse

FULL, SHORT = 20_000, 2_000
MODES: tuple[int | None, ...] = (3, 5, 10, None)  # pairs; None stands for seeds as needed
FAMILIES, SHORT_FAMILIES = tuple(range(1, 13)), (1, 3, 7)
# Where each kind of error is most likely: the true effect of each variant over δ, and standard deviations over δ.
KINDS: dict[str, tuple[Callable[[int], Array], tuple[float, ...]]] = {
    "helps or hurts at no effect": (lambda k: np.zeros(k), (1.0, 3.0)),
    "no meaningful effect at exactly the margin": (lambda k: np.where(np.arange(k) % 2, -1.0, 1.0), (0.3, 1.0)),
    "either, half the variants at each": (lambda k: np.where(np.arange(k) % 2, 1.0, 0.0), (0.5, 1.0)),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Check error rates, coverage and power of the statistics by simulation."""

    short: Annotated[bool, f"{SHORT:,} simulated studies per cell, and only K = 1, 3 and 7"] = False
    json: Annotated[bool, "print one JSON document and nothing else on standard output"] = False
    studies: Annotated[int, "simulated studies per cell of the whole grid"] = FULL
    seed: Annotated[int, "seed of the simulation's random numbers"] = 0


def errs(cell: Cell) -> bool:
    """Whether the whole interval of an error rate is above α."""
    return bool(cell["low"] > ALPHA)


def misses(cell: Cell) -> bool:
    """Whether the whole interval of a coverage is below 1 − α."""
    return bool(cell["high"] < 1 - ALPHA)


def error_cells(generator: np.random.Generator, studies: int, families: Sequence[int]) -> list[Cell]:
    """Return every cell of the grid: distribution × n × K × kind of error × spread.

    Of the cells whose true rate is exactly at the promise, one in two hundred has its first interval beyond it by
    chance; what seems broken is simulated again with ten times as many studies, and both results are kept.
    """
    cells = []
    for (name, of), n, k in itertools.product(DISTRIBUTIONS.items(), MODES, families):
        if k == 1 and name.startswith(("one variant", "spreads")):
            continue  # with one variant, a spread is only a unit
        for kind, (effects_of, spreads) in KINDS.items():
            if k == 1 and kind.startswith("either"):
                continue
            for sd in spreads:
                cell = simulate(generator, studies, of, effects_of(k), n, sd)
                if of.is_held and errs(cell):
                    again = simulate(generator, 10 * studies, of, effects_of(k), n, sd)
                    cell = again | {"first": {name: cell[name] for name in ("rate", "low", "high", "studies")}}
                where = {"error": kind, "differences": name, "variants": k, "sd_over_margin": sd}
                cells.append(where | {"n": "auto" if n is None else n, "promised": of.is_held} | cell)
    return cells


def family_wise_error(cells: Sequence[Cell]) -> dict[str, Cell]:
    """Return the worst promised cell of fixed seeds and of seeds as needed, with all cells of each."""
    out: dict[str, Cell] = {}
    for mode in ("fixed", "auto"):
        own = [cell for cell in cells if (cell["n"] == "auto") == (mode == "auto")]
        worst = max((cell for cell in own if cell["promised"]), key=lambda cell: float(cell["rate"]))
        out[mode] = {
            **{name: worst[name] for name in ("rate", "low", "high", "studies")},
            "worst": {name: worst[name] for name in ("error", "differences", "variants", "sd_over_margin", "n")},
            "holds": not any(errs(cell) for cell in own if cell["promised"]),
            "cells": own,
        }
    return out


def coverage(generator: np.random.Generator, studies: int, cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Return how often all 95 % intervals of a study contain the true effects, worst case by distribution and n, and
    the same for the interval over seeds × examples.
    """
    normal: list[Cell] = []
    others: list[Cell] = []
    for name, n in itertools.product(DISTRIBUTIONS, ("auto" if n is None else n for n in MODES)):
        own = [cell for cell in cells if cell["differences"] == name and cell["n"] == n]
        worst = min(own, key=lambda cell: float(cell["coverage"]["rate"]))
        row = {"interval": "simultaneous", "differences": name, "n": n, "variants": worst["variants"]}
        (normal if name == "normal" else others).append(row | worst["coverage"])
    few = max(1000, studies // 20)
    hits = crossed(generator, few, seeds=5, examples=400)
    row = {"interval": "seeds × examples", "differences": "of right and wrong answers", "n": 5, "examples": 400}
    normal.append(row | rate(int(hits.sum()), few))
    return {"normal": normal, "others": others}


def crossed(generator: np.random.Generator, studies: int, *, seeds: int, examples: int) -> NDArray[np.bool_]:
    """Return whether the seeds × examples interval contains the true difference, when every study has new seeds and new
    examples.

    A network is right if the sum of four normal terms is above a threshold: the example's ease, the architecture's
    effect on it, the seed's, and noise.
    """
    ease, own, luck = 1.0, 0.3, 0.05
    thresholds = (-0.8, -0.7)
    spread = math.sqrt(ease**2 + own**2 + luck**2 + 1)
    truth = stats.norm.cdf(-thresholds[0] / spread) - stats.norm.cdf(-thresholds[1] / spread)
    hits = np.zeros(studies, dtype=np.bool_)
    for index in range(studies):
        shared = generator.normal(0, ease, (1, examples))
        right = [
            shared
            + generator.normal(0, own, (1, examples))
            + generator.normal(0, luck, (seeds, 1))
            + generator.normal(0, 1, (seeds, examples))
            > threshold
            for threshold in thresholds
        ]
        interval = crossed_interval(right[0].astype(np.float64) - right[1])
        hits[index] = interval.low <= truth <= interval.high
    return hits


def power(generator: np.random.Generator, studies: int) -> list[Cell]:
    """Return how often effects are found and their absence is shown, by this rule and the previous one, with trials.

    With one variant and fixed seeds the analytic power is given as well.
    """
    rows: list[Cell] = []
    cases = [("difference", 1.0, effect) for effect in (1.0, 2.0, 3.0)]
    cases += [("equivalence", sd, 0.0) for sd in (0.3, 0.5, 1.0)]
    normal = DISTRIBUTIONS["normal"]
    for k, n, (test, sd, effect) in itertools.product((1, 3, 7), MODES, cases):
        data = normal.draw(generator, studies, np.full(k, effect), n or MOST, sd)
        found, used = decided(data, n, None)
        wanted = HELPS if test == "difference" else EQUIVALENT
        before = earlier_auto(data, MARGIN)[0] if n is None else earlier_fixed(data, MARGIN)
        row = {"test": test, "variants": k, "n": "auto" if n is None else n}
        row |= {"sd_over_margin": sd, "effect_over_margin": effect}
        row |= rate(int((found.verdict == wanted).sum()), studies * k) | {"trials": trials_used(used)}
        row["before"] = float((before == wanted).mean())
        if k == 1 and n is not None:
            analytic = difference_power if test == "difference" else equivalence_power
            value = analytic(effect or MARGIN, sd, n)
            both = float(((found.verdict == HELPS) | ((found.verdict == EQUIVALENT) & (found.low > 0))).mean())
            row |= {"analytic": value, "compared": both if test == "difference" else row["rate"]}
        rows.append(row)
    return rows


def stops(generator: np.random.Generator, studies: int) -> list[Cell]:
    """Return the bias from stopping: the mean estimate over a true effect of δ, by the look at which a variant was
    settled.
    """
    raced = race(DISTRIBUTIONS["normal"].draw(generator, studies, np.ones(3), MOST, 1.0), MARGIN)
    rows = []
    for index, look in enumerate(LOOKS, 1):
        here = (raced.decisions.verdict == HELPS) & (raced.looks == index)
        if here.any():
            mean = float(raced.decisions.mean[here].mean())
            rows.append({"settled_at": look.seeds, "share": float(here.mean()), "estimate_over_truth": mean})
    return rows


def looks(generator: np.random.Generator, studies: int) -> list[Cell]:
    """Return rates of false effects when a run is extended after a look, against those of runs that stay valid."""
    rows = []
    for k in (1, 3):
        data = DISTRIBUTIONS["normal"].draw(generator, studies, np.zeros(k), 2 * MOST, 3.0)

        def error(verdict: NDArray[np.int8], k: int = k) -> Cell:
            return rate(int(is_wrong(verdict, np.zeros(k)).any(axis=-1).sum()), len(verdict))

        def verdict(low: int, high: int, data: Array = data) -> NDArray[np.int8]:
            return decide(data[..., low:high], MARGIN).verdict

        extended = verdict(0, 3)
        for n in (5, 10, 20):
            extended = np.where(extended == INCONCLUSIVE, verdict(0, n), extended).astype(np.int8)
        auto = race(data[..., :MOST], MARGIN).decisions.verdict
        rows += [
            {"run": "3 seeds, extended to 5, 10 and 20 while inconclusive", "variants": k} | error(extended),
            {"run": "auto", "variants": k} | error(auto),
            {"run": "fresh seeds alone, after 10 others were looked at", "variants": k} | error(verdict(10, 20)),
        ]
    return rows


def tuning(generator: np.random.Generator, studies: int) -> list[Cell]:
    """Return how often identical variants are found to differ after tuning, by the size of tuning's luck.

    Luck shifts a variant's accuracy through its tuned recipe: that of all seeds alike if a variant has one recipe, that
    of each replicate independently if each is tuned alone.
    """
    rows = []
    for k, luck, n in itertools.product((1, 3), (0.5, 1.0, 2.0), (5, 10)):
        noise = DISTRIBUTIONS["normal"].draw(generator, studies, np.zeros(k), n, 1.0)
        for name, shared in (("once for all seeds", 1), ("for each replicate", n)):
            own, baseline = (generator.normal(0, luck, (studies, size, shared)) / np.sqrt(2) for size in (k, 1))
            verdict = decide(noise + own - baseline, MARGIN / 10).verdict
            differs = ((verdict == HELPS) | (verdict == HURTS)).any(axis=-1)
            row = {"tuned": name, "variants": k, "n": n, "luck_over_seed_sd": luck}
            rows.append(row | rate(int(differs.sum()), studies))
    return rows


def run(studies: int, seed: int, families: Sequence[int] = FAMILIES) -> dict[str, Any]:
    """Return the whole report, ready for JSON; `broken` lists the promises that do not hold."""
    begun = time.perf_counter()
    generators = np.random.default_rng(seed).spawn(6)
    cells = error_cells(generators[0], studies, families)
    covered, found = coverage(generators[1], studies, cells), power(generators[2], studies)
    tuned = tuning(generators[5], studies)
    broken = [f"family-wise error: {described(c)}" for c in cells if c["promised"] and errs(c)]
    broken += [f"coverage: {described(c)}" for c in covered["normal"] if misses(c)]
    broken += [
        f"power: {described(c)}" for c in found if "analytic" in c and abs(c["compared"] - c["analytic"]) > tolerance(c)
    ]
    broken += [f"verdict against its intervals: {described(c)}" for c in cells if c["disagree"] > 0]
    broken += [f"tuning: {described(c)}" for c in tuned if c["tuned"] == "for each replicate" and errs(c)]
    return {
        "studies": studies,
        "seed": seed,
        "family_wise_error": family_wise_error(cells),
        "coverage": covered,
        "power": found,
        "disagree": max(c["disagree"] for c in cells),
        "stops": stops(generators[3], studies),
        "looks": looks(generators[4], studies),
        "tuning": tuned,
        "broken": broken,
        "seconds": time.perf_counter() - begun,
    }


def tolerance(cell: Cell) -> float:
    """Two points, plus the uncertainty of the simulation."""
    return 0.02 + float(cell["high"] - cell["low"]) / 2


def described(cell: Cell) -> str:
    """Return one cell as a line: what was simulated, then the rate and its interval in percent."""
    shown = ["error", "interval", "test", "tuned", "run", "differences", "variants", "n", "sd_over_margin"]
    shown += ["effect_over_margin", "luck_over_seed_sd", "examples"]
    words = ", ".join(
        f"{cell[name]}" if isinstance(cell[name], str) and name != "n" else f"{name.replace('_', ' ')} {cell[name]}"
        for name in shown
        if name in cell
    )
    first = f", over {cell['studies']:,} studies after {100 * cell['first']['rate']:.2f} %" if "first" in cell else ""
    return f"{words}: {100 * cell['rate']:.2f} % [{100 * cell['low']:.2f}, {100 * cell['high']:.2f}]{first}"


def show(report: dict[str, Any]) -> None:
    """Print the report as text."""
    print(f"{report['studies']:,} simulated studies per cell; rates with their 99 % Monte-Carlo interval")
    for mode, result in report["family_wise_error"].items():
        print(f"\nErrors with {mode} seeds: worst over K, spreads and n; the rule before in brackets")
        for name, kind in itertools.product(DISTRIBUTIONS, KINDS):
            own = [c for c in result["cells"] if c["differences"] == name and c["error"] == kind]
            if own:
                worst = max(own, key=lambda c: float(c["rate"]))
                before = max(float(c["before"]["rate"]) for c in own)
                held = "" if worst["promised"] else " (not promised)"
                print(f"  {described(worst)}{held} ({100 * before:.1f} %)")
    cells = [c for result in report["family_wise_error"].values() for c in result["cells"]]
    before = max(float(c["before"]["disagree"] or 0) for c in cells)
    print(f"\nVerdicts against the intervals beside them: {100 * report['disagree']:.1f} % at most", end="")
    print(f" (before, of effects and equivalences: up to {100 * before:.0f} %)")
    print("\nSimultaneous coverage of the 95 % intervals, worst over K and spreads; promised under normality")
    for cell in (*report["coverage"]["normal"], *report["coverage"]["others"]):
        print(f"  {described(cell)}")
    print("\nPower and trials of a study; the rule before in brackets")
    for cell in report["power"]:
        analytic = f", analytic {100 * cell['analytic']:.1f} %" if "analytic" in cell else ""
        print(f"  {described(cell)} ({100 * cell['before']:.1f} %), {cell['trials']:.1f} trials{analytic}")
    print("\nEstimates after a stop, true effect δ, sd δ, 3 variants")
    for row in report["stops"]:
        print(
            f"  settled at {row['settled_at']} seeds ({100 * row['share']:.0f} % of variants): the estimate is"
            f" {row['estimate_over_truth']:.2f} times the effect"
        )
    print("\nFalse effects where a run was looked at before, sd 3 δ")
    for cell in report["looks"]:
        print(f"  {described(cell)}")
    print("\nIdentical variants found to differ after tuning")
    for cell in report["tuning"]:
        print(f"  {described(cell)}")
    print(f"\nBroken promises: {'; '.join(report['broken']) or 'none'}")
    print(f"{report['seconds']:.0f} s")


def main(args: Sequence[str] | None = None) -> int:
    """Run the simulation; return 1 if a promise is broken."""
    options = parse(Options, args, prog="python -m benchmarks.statistics", description=Options.__doc__ or "")
    if options.studies < 1:
        refuse("python -m benchmarks.statistics", ValueError(f"--studies: {options.studies} is not allowed; 1 or more"))
    report = run(*(SHORT, options.seed, SHORT_FAMILIES) if options.short else (options.studies, options.seed))
    return finish(report, show, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
