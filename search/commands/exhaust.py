"""`exhaust`: every network of a finite space trained with several seeds, and written as a table on which searches are
replayed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ablations.costs.training_cost import duration, estimate_seconds, read_speed, write_speed
from ablations.costs.variant_costs import measure_costs
from ablations.design.study import Design, Study, Variant
from ablations.design.study_plan import Options
from ablations.execution.backend import Machines, check_machines, is_distributed, open_place
from ablations.execution.progress import ProgressDisplay
from ablations.records.store import Store
from ablations.reporting.tables import csv_text, write_atomically
from ablations.running.run import require_writable
from ablations.running.run_study import run_study
from search.benchmark.tabular import Table
from search.engine.search_plan import BASELINE, base_network, plan_base
from search.results.confirm import FixedPlan, fixed_plan
from search.spaces import get_space

__all__ = ["exhaust"]

DONE, SOME_FAILED = 0, 1
_MOST = 1000


def exhaust(
    space_name: str,
    num_seeds: int,
    options: Options,
    machines: Machines,
    *,
    table: Path | None,
    dry_run: bool,
    command: str,
) -> int:
    """Train what is missing of a finite space and write its table; return the exit status.

    Raises:
        ValueError: an option, the space or the data does not fit; the message names it.
    """
    if num_seeds < 1:
        raise ValueError(f"--seeds: {num_seeds} is not allowed; 1 or more")
    if is_distributed():
        raise ValueError("python -m search exhaust: runs in one process, not under torchrun; use --workers")
    check_machines(machines)
    require_writable(options.out)
    plan, design = _plan(space_name, num_seeds, options, command)
    store = Store(options.store_url)
    try:
        trials = plan.trials()
        statuses = store.statuses(trial.key for trial in trials.values())
        rest = [trial for trial in trials.values() if statuses.get(trial.key) not in ("complete", "diverged")]
        seconds = estimate_seconds(((trial, plan.source_of(trial)) for trial in rest), read_speed(options.out))
        cost = "this machine's speed is not measured yet" if seconds is None else f"about {duration(seconds)}"
        what = f"{len(plan.designs)} networks of {space_name} on {plan.source.title} at scale {plan.scale.name}"
        seeds = f"{num_seeds} seed{'s' if num_seeds > 1 else ''}"
        amount = f"{len(trials)} trials, {len(trials) - len(rest)} stored, {len(rest)} to train: {cost}"
        print(f"{plan.study.question} {what}, {seeds}: {amount}", file=sys.stderr)
        return (
            DONE if dry_run else _train(plan, design, store, machines, table or options.out / f"{space_name}.parquet")
        )
    finally:
        store.close()


def _plan(space_name: str, num_seeds: int, options: Options, command: str) -> tuple[FixedPlan, Design]:
    space = get_space(space_name)
    base = plan_base(f"all_{space.name}", space.question, options)
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
        source="a space trained whole",
        variants=tuple(Variant(name=names[config], changes={"model": config}) for config in ordered),
    )
    designs = study.designs(design)
    study.require_distinct(designs)
    return fixed_plan(base, study, designs, seeds=range(num_seeds), command=command), design


def _train(plan: FixedPlan, design: Design, store: Store, machines: Machines, path: Path) -> int:
    place = open_place(machines)
    began = time.monotonic()
    with ProgressDisplay() as display:
        outcome = run_study(plan, store, place.executor, display, device=place.device, threads=machines.threads)
    wall = time.monotonic() - began
    measure_costs(plan.designs, store, device=place.own_device)
    place.close()
    if outcome.train_seconds > 0:
        rate = max(1.0, outcome.train_seconds / wall) * outcome.training_work / outcome.train_seconds
        write_speed(plan.options.out, work=outcome.training_work, work_per_second=rate)
    if outcome.num_failed:
        print(f"{outcome.num_failed} trials failed; try them again with: {plan.command}", file=sys.stderr)
        return SOME_FAILED
    space = get_space(plan.study.name.removeprefix("all_"))
    finished = Table.from_store(store, space, design, plan.seeds, _about(plan, design, place.own_device))
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
