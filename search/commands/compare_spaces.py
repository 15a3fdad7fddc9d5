"""`compare-spaces A B`: the distribution of accuracy over two design spaces at equal size (Radosavovic et al. 2020,
arXiv:2003.13678): which space is better, not which network.

Networks are drawn at random from each space and adjusted in width to the same multiply-accumulates.
"""

from __future__ import annotations

import math
import random
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ablations.design.fixed_plan import fixed_plan
from ablations.design.options import Options, RunOptions, selected
from ablations.design.study import Design, Study, Variant
from ablations.reporting.figures import StudyFigure, save_figures
from ablations.reporting.tables import csv_text
from ablations.running.context import check_options, open_context
from ablations.running.run_study import train_and_measure
from search.design.definition import SEMANTICS, Definition
from search.design.options import CompareOptions
from search.design.space import Space
from search.engine.repair import Candidate, Repair
from search.engine.running import accuracy_of
from search.engine.samplers import trial_seed
from search.engine.search_plan import BASELINE, plan_base, plan_search
from search.engine.solving import counted
from search.results.plots import space_distribution
from search.spaces import get_space
from xception.base.files import write_atomically
from xception.network.config import XceptionConfig

__all__ = ["compare_spaces"]

_AROUND = 0.05  # of the size at which the spaces are compared


def compare_spaces(first: str, second: str, options: CompareOptions, command: str) -> int:
    """Train networks of two spaces, and write the distributions of their accuracies; return the exit status.

    Raises:
        ValueError: an option, a space or the data does not fit; the message names it.
    """
    if options.samples < 2:
        raise ValueError(f"--samples: {options.samples} is not allowed; 2 or more")
    spaces = [get_space(name) for name in (first, second)]
    if spaces[0].name == spaces[1].name:
        raise ValueError(f"compare-spaces: {first!r} twice is not allowed; two spaces")
    asked = selected(Options, selected(RunOptions, options))
    check_options(asked)
    name = f"spaces_{spaces[0].name}_{spaces[1].name}"
    base = plan_base(name, "Which of two design spaces has the better networks?", asked)
    design = base.designs[BASELINE]
    drawn = {space.name: _drawn(space, design, base, options) for space in spaces}
    designs = {
        f"{space} {i}": design.replace(model=candidate.network)
        for space, candidates in drawn.items()
        for i, candidate in enumerate(candidates)
    }
    study = Study(
        name=name,
        question="Which of two design spaces has the better networks?",
        baseline=next(iter(designs)),
        varies=("model",),
        reference="Radosavovic et al. 2020 (arXiv:2003.13678)",
        variants=tuple(Variant(name=one, changes={"model": made.model}) for one, made in designs.items()),
    )
    plan = fixed_plan(base, study, designs, seeds=range(1), command=command)
    with open_context(base) as context:
        print(f"{len(designs)} networks of {first} and {second} on {plan.source.title}", file=sys.stderr)
        training = train_and_measure(context.with_plan(plan))
        trials = {one: made.trial(0) for one, made in designs.items()}
        records = context.store.get(trial.key for trial in trials.values())
    rows: list[dict[str, Any]] = []
    for one, trial in trials.items():
        space, _, number = one.rpartition(" ")
        record = records.get(trial.key)
        known = {"space": space, "network": int(number), **drawn[space][int(number)].costs, "key": trial.key}
        final = record is not None and record.is_final
        status = "complete" if final else "failed"
        rows.append(known | {"status": status, "val_accuracy": accuracy_of(record) if record and final else math.nan})
    frame = pd.DataFrame(rows)
    folder = options.out / "spaces" / f"{spaces[0].name}-{spaces[1].name}"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "networks.csv", csv_text(frame))
    result = compared(frame)
    write_atomically(folder / "comparison.csv", csv_text(result))
    macs = math.sqrt(frame["macs"].min() * frame["macs"].max())
    note = f"{plan.source.title}, scale {base.scale.name}, about {macs:,.3g} MACs each."
    figure = space_distribution(frame, title=f"{first} and {second}", note=note, band=True)
    spoken = "; ".join(f"{row['space']}: median error {row['median_error']:.3f}" for row in result.to_dict("records"))
    save_figures([StudyFigure(name="distribution", alt=spoken, figure=figure)], folder / "figures")
    print(result.to_string(index=False))
    print(f"Results: {folder}", file=sys.stderr)
    return 1 if training.num_failed else 0


def compared(frame: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Return one row per space: n, the best and the median error with its 95 % bootstrap interval, the probability that
    a network of it beats one of the other, and the p of Kolmogorov and Smirnov's test that both are distributed alike.
    """
    done = frame[frame["status"] == "complete"]
    errors = {
        str(name): 1 - part["val_accuracy"].to_numpy(dtype=float) for name, part in done.groupby("space", sort=False)
    }
    generator, rows = np.random.default_rng(seed), []
    for name, own in errors.items():
        medians = [float(np.median(generator.choice(own, len(own)))) for _ in range(2000)]
        low, high = np.quantile(medians, (0.025, 0.975))
        row: dict[str, Any] = {"space": name, "n": len(own), "best_error": own.min(), "median_error": np.median(own)}
        row |= {"median_ci_low": low, "median_ci_high": high}
        others = [other for key, other in errors.items() if key != name]
        if others:
            wins = (own[:, None] < others[0][None, :]).mean() + 0.5 * (own[:, None] == others[0][None, :]).mean()
            row |= {"beats_other": wins, "ks_p": float(stats.ks_2samp(own, others[0]).pvalue)}
        rows.append(row)
    return pd.DataFrame(rows)


def _drawn(space: Space, design: Design, base: Any, options: CompareOptions) -> list[Candidate]:
    """Different random networks of a space at the size of the comparison."""
    network = design.model
    assert isinstance(network, XceptionConfig)
    own = counted(network, design.dataset.image_size)["macs"]
    ratio = (options.target_macs or own) / own
    sized = replace(space, limits={"macs": (ratio * (1 - _AROUND), ratio * (1 + _AROUND))})
    definition = Definition(space=space.name, design=design, sampler="random", seed=options.seed, semantics=SEMANTICS)
    plan = plan_search(definition, base, sized)
    repair, seen = Repair(plan), set[str]()
    out: list[Candidate] = []
    for number in range(options.samples):
        seed = trial_seed(options.seed, number)
        candidate = repair(plan.space.draw(random.Random(seed)), seen.__contains__, seed)
        if candidate is None:
            raise ValueError(
                f"--samples: {options.samples} is not allowed; {space.name} has {len(out)} networks of that size"
            )
        seen.add(candidate.model)
        out.append(candidate)
    return out
