"""`exhaust`: every network of a finite space trained with several seeds, and written as a table on which searches are
replayed.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from ablations.costs.training_cost import duration, estimate_seconds, read_speed
from ablations.design.fixed_plan import FixedPlan, fixed_plan
from ablations.design.options import Options, RunOptions, selected
from ablations.design.study import Design, Study, Variant
from ablations.execution.backend import is_distributed
from ablations.reporting.tables import csv_text
from ablations.running.context import Context, check_options, open_context
from ablations.running.run_study import train_and_measure
from search.benchmark.tabular import HELD_OUT, Table
from search.design.options import ExhaustOptions
from search.engine.rungs import decay_epochs, rungs, with_stable_rate
from search.engine.search_plan import BASELINE, base_network, plan_base
from search.spaces import get_space
from xception.base.files import write_atomically
from xception.train.recipe import Stable

__all__ = ["exhaust"]

DONE, SOME_FAILED = 0, 1
_MOST = 1000


def exhaust(options: ExhaustOptions, command: str) -> int:
    """Train the missing networks of a finite space and write its table; return the exit status.

    Raises:
        ValueError: an option, the space or the data does not fit; the message names it.
    """
    for name, value, least in (
        ("--seeds", options.seeds, 1),
        ("--extra-seeds", options.extra_seeds, 0),
        ("--held-out", options.held_out, 0),
        ("--held-out-seeds", options.held_out_seeds, 1),
        ("--longer", options.longer, 0),
    ):
        if value < least:
            raise ValueError(f"{name}: {value} is not allowed; {least} or more")
    if is_distributed():
        raise ValueError("python -m search exhaust: runs in one process, not under torchrun; use --workers")
    asked = selected(Options, selected(RunOptions, options))
    check_options(asked)
    plan, design = _plan(options, asked, command)
    names = list(plan.designs)
    with open_context(plan) as context:
        # The best networks are not known yet: the cost is that of others, which differ by at most the space's spread.
        parts = {name: part.trials().values() for name, part in _parts(plan, options, lambda: names)}
        trials = {trial.key: trial for part in parts.values() for trial in part}
        statuses = context.store.statuses(trials)
        rest = [trial for key, trial in trials.items() if statuses.get(key) not in ("complete", "diverged")]
        seconds = estimate_seconds(((trial, plan.source_of(trial)) for trial in rest), read_speed(options.out))
        cost = "this machine's speed is not measured yet"
        if seconds is not None:
            hours = seconds * context.backend.num_workers * options.threads / 3600
            cost = f"about {duration(seconds)}, {hours:.2g} core-hours"
        what = f"{len(plan.designs)} networks of {options.space} on {plan.source.title} at scale {plan.scale.name}"
        seeds = f"{options.seeds} seed{'s' if options.seeds > 1 else ''}"
        amount = f"{len(trials)} trials, {len(trials) - len(rest)} stored, {len(rest)} to train: {cost}"
        print(f"{plan.study.question} {what}, {seeds}: {amount}", file=sys.stderr)
        if options.dry_run:
            for name, part in parts.items():
                print(f"{name}: {len(part)} trials", file=sys.stderr)
            return DONE
        return _train(plan, design, context, options)


def _plan(options: ExhaustOptions, asked: Options, command: str) -> tuple[FixedPlan, Design]:
    space = get_space(options.space)
    base = plan_base(f"all_{space.name}", space.question, asked)
    design = with_stable_rate(base.designs[BASELINE]) if options.rungs else base.designs[BASELINE]
    network = base_network(design)
    if options.longer and options.longer_epochs <= design.recipe.epochs:
        allowed = f"more than the {design.recipe.epochs} of the others"
        raise ValueError(f"--longer-epochs: {options.longer_epochs} is not allowed; {allowed}")
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


def _train(plan: FixedPlan, design: Design, context: Context, options: ExhaustOptions) -> int:
    """Train one part after the other, and export the table after each."""
    space = get_space(options.space)
    path = options.table or options.out / f"{options.space}.parquet"
    parts: list[FixedPlan] = []
    tables: list[Table] = []
    about = _about(plan, design, context.backend.own_device)
    for name, part in _parts(plan, options, lambda: _best(plan, tables[-1])):
        print(f"{name}: {len(part.trials())} trials", file=sys.stderr)
        training = train_and_measure(context.with_plan(part))
        if training.num_failed:
            print(f"{training.num_failed} trials failed; retry them with: {plan.command}", file=sys.stderr)
            return SOME_FAILED
        parts.append(part)
        more = [(one, seed) for done in parts for one in done.designs.values() for seed in done.seeds]
        tables.append(Table.from_store(context.store, space, design, (), about, more))
        tables[-1].write(path)
        write_atomically(path.with_suffix(".csv"), csv_text(tables[-1].means()))
    print(f"Table: {path}; replay searches on it with: python -m search replay --table {path}", file=sys.stderr)
    return DONE


def _parts(
    plan: FixedPlan, options: ExhaustOptions, best: Callable[[], Sequence[str]]
) -> Iterator[tuple[str, FixedPlan]]:
    """Yield the parts of the training, with their names: each seed of all networks, rungs, more seeds, the best again;
    `best` ranks the networks once all of them are trained.
    """
    for seed in plan.seeds:
        yield f"seed {seed} of every network", replace(plan, seed_range=range(seed, seed + 1))
    names = list(plan.designs)
    if options.rungs:
        for steps in rungs(next(iter(plan.designs.values())).recipe.epochs)[:-1]:
            yield f"{steps} epochs of every network", _chosen(plan, names, plan.seed_range, steps)
    if options.extra_seeds:
        third = random.Random(0).sample(names, max(1, len(names) // 3))
        more = range(len(plan.seeds), len(plan.seeds) + options.extra_seeds)
        yield "more seeds of a random third", _chosen(plan, third, more)
    if options.held_out:
        held_out = range(HELD_OUT, HELD_OUT + options.held_out_seeds)
        yield "held-out seeds of the best", _chosen(plan, best()[: options.held_out], held_out)
    if options.longer:
        longest = _chosen(plan, best()[: options.longer], plan.seed_range, options.longer_epochs)
        yield f"{options.longer_epochs} epochs of the best", longest


def _best(plan: FixedPlan, finished: Table) -> list[str]:
    """The networks by their mean validation accuracy over the seeds that all have, the best first."""

    def accuracy(name: str) -> float:
        network = base_network(plan.designs[name])
        return sum(finished.query(network, seed).val_accuracy for seed in plan.seeds) / len(plan.seeds)

    return sorted(plan.designs, key=accuracy, reverse=True)


def _chosen(plan: FixedPlan, names: Sequence[str], seeds: range, epochs: int | None = None) -> FixedPlan:
    """The plan of some networks with some seeds, for another number of epochs if it is given."""

    def at_length(design: Design) -> Design:
        if epochs is None:
            return design
        schedule = design.recipe.schedule
        if isinstance(schedule, Stable):
            schedule = Stable(decay_epochs=decay_epochs(epochs))
        return design.replace(recipe=design.recipe.replace(epochs=epochs, schedule=schedule))

    designs = {name: at_length(plan.designs[name]) for name in names}
    study = replace(
        plan.study, baseline=names[0], variants=tuple(v for v in plan.study.variants if v.name in set(names))
    )
    return replace(plan, study=study, designs=designs, seed_range=seeds)


def _about(plan: FixedPlan, design: Design, device: str) -> dict[str, str]:
    """Return the provenance stored with the table."""
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
