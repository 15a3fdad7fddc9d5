"""`exhaust`: every network of a finite space trained with several seeds, and written as a table on which searches are
replayed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ablations.costs.training_cost import duration, estimate_seconds, read_speed
from ablations.design.options import Options, RunOptions, selected
from ablations.design.study import Design, Study, Variant
from ablations.execution.backend import is_distributed
from ablations.reporting.tables import csv_text
from ablations.running.context import Context, check_options, open_context
from ablations.running.run_study import train_and_measure
from search.benchmark.tabular import Table
from search.design.options import ExhaustOptions
from search.engine.search_plan import BASELINE, base_network, plan_base
from search.results.confirm import FixedPlan, fixed_plan
from search.spaces import get_space
from xception.base.files import write_atomically

__all__ = ["exhaust"]

DONE, SOME_FAILED = 0, 1
_MOST = 1000


def exhaust(options: ExhaustOptions, command: str) -> int:
    """Train what is missing of a finite space and write its table; return the exit status.

    Raises:
        ValueError: an option, the space or the data does not fit; the message names it.
    """
    if options.seeds < 1:
        raise ValueError(f"--seeds: {options.seeds} is not allowed; 1 or more")
    if is_distributed():
        raise ValueError("python -m search exhaust: runs in one process, not under torchrun; use --workers")
    asked = selected(Options, selected(RunOptions, options))
    check_options(asked)
    plan, design = _plan(options, asked, command)
    trials = plan.trials()
    with open_context(plan) as context:
        statuses = context.store.statuses(trial.key for trial in trials.values())
        rest = [trial for trial in trials.values() if statuses.get(trial.key) not in ("complete", "diverged")]
        seconds = estimate_seconds(((trial, plan.source_of(trial)) for trial in rest), read_speed(options.out))
        cost = "this machine's speed is not measured yet" if seconds is None else f"about {duration(seconds)}"
        what = f"{len(plan.designs)} networks of {options.space} on {plan.source.title} at scale {plan.scale.name}"
        seeds = f"{options.seeds} seed{'s' if options.seeds > 1 else ''}"
        amount = f"{len(trials)} trials, {len(trials) - len(rest)} stored, {len(rest)} to train: {cost}"
        print(f"{plan.study.question} {what}, {seeds}: {amount}", file=sys.stderr)
        if options.dry_run:
            return DONE
        return _train(plan, design, context, options.table or options.out / f"{options.space}.parquet")


def _plan(options: ExhaustOptions, asked: Options, command: str) -> tuple[FixedPlan, Design]:
    space = get_space(options.space)
    base = plan_base(f"all_{space.name}", space.question, asked)
    design = base.designs[BASELINE]
    network = base_network(design)
    grid = list(space.grid())
    if len(grid) > _MOST:
        raise ValueError(f"--space: {space.name} has {len(grid):,} networks; a space with {_MOST:,} at most")
    configs = {space.config(network, values): values for values in grid}
    names = {
        config: ", ".join(f"{name} {value}" for name, value in values.items()) for config, values in configs.items()
    }
    ordered = sorted(configs, key=lambda config: config != network)
    study = Study(
        name=f"all_{space.name}",
        question=space.question,
        baseline=names[ordered[0]],
        varies=("model",),
        reference="a space trained whole",
        variants=tuple(Variant(name=names[config], changes={"model": config}) for config in ordered),
    )
    designs = study.designs(design)
    study.require_distinct(designs)
    return fixed_plan(base, study, designs, seeds=range(options.seeds), command=command), design


def _train(plan: FixedPlan, design: Design, context: Context, path: Path) -> int:
    training = train_and_measure(context)
    if training.num_failed:
        print(f"{training.num_failed} trials failed; try them again with: {plan.command}", file=sys.stderr)
        return SOME_FAILED
    space = get_space(plan.study.name.removeprefix("all_"))
    finished = Table.from_store(
        context.store, space, design, plan.seeds, _about(plan, design, context.backend.own_device)
    )
    finished.write(path)
    write_atomically(path.with_suffix(".csv"), csv_text(finished.means()))
    print(f"Table: {path}; replay searches on it with: python -m search replay --table {path}", file=sys.stderr)
    return DONE


def _about(plan: FixedPlan, design: Design, device: str) -> dict[str, str]:
    """What a reader of the table is told of it."""
    from xception.profile.environment import device_title

    data, epochs = design.dataset, design.recipe.epochs
    images = f" of {data.train_size:,} images" if data.train_size else ""
    return {
        "dataset": plan.source.title,
        "training": f"{epochs} epoch{'s' if epochs > 1 else ''}{images}",
        "seeds": f"{len(plan.seeds)} seed{'s' if len(plan.seeds) > 1 else ''}",
        "scale": plan.scale.name,
        "device": device_title(device),
        "command": plan.command,
    }
