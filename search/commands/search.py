"""`--space`: a search from plan to the table of its confirmed winners."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.costs.training_cost import duration
from ablations.costs.variant_costs import measure_costs
from ablations.design.study_plan import Options
from ablations.execution.backend import Machines, Place, check_machines, is_distributed, open_place
from ablations.execution.progress import ProgressDisplay
from ablations.records.store import Store
from ablations.reporting.results_folder import write_results
from ablations.running.run import require_writable
from ablations.running.run_study import run_study
from search.design.definition import PROXIES, SEMANTICS, Definition
from search.engine.optimize import Scores, Search
from search.engine.search_plan import BASELINE, SearchPlan, base_network, plan_base, plan_search, require_feasible
from search.results.confirm import confirmation_plan, winners
from search.results.results_folder import correlations, write_confirmation, write_search
from search.spaces import get_space
from xception.base.canonical import canonical_json

__all__ = ["Wishes", "run_search"]

DONE, SOME_FAILED = 0, 1


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What can be asked of a search beyond what defines a run."""

    space: str
    trials: int
    sampler: str
    pruner: str
    objectives: tuple[str, ...]
    limits: tuple[tuple[str, float], ...]
    seed: int
    seeds_per_candidate: int
    population: int
    accuracy_at_most: float
    proxies: tuple[str, ...]
    warm_start: str | None
    filter: str | None
    confirm: int
    confirm_seeds: int | None
    optuna_db: Path | None


def run_search(wishes: Wishes, options: Options, machines: Machines, command: str) -> int:
    """Run or continue a search, confirm its winners, write all results; return the exit status.

    Raises:
        ValueError: an option, the data or the store does not fit; the message names it.
    """
    if is_distributed():
        raise ValueError("python -m search: runs in one process, not under torchrun; use --workers")
    counts = (
        ("--trials", wishes.trials, 1),
        ("--confirm", wishes.confirm, 0),
        ("--confirm-seeds", wishes.confirm_seeds, 2),
    )
    for name, value, least in counts:
        if value is not None and value < least:
            raise ValueError(f"{name}: {value} is not allowed; {least} or more")
    for proxy in wishes.proxies:
        if proxy not in PROXIES:
            raise ValueError(f"--proxies: {proxy!r} is not known; allowed: {', '.join(PROXIES)}")
    check_machines(machines)
    require_writable(options.out)
    plan = _plan(wishes, options)
    store = Store(options.store_url)
    try:
        store.check_pages()
        place = open_place(machines)
        print(_first_line(plan), file=sys.stderr)
        workers = getattr(place.executor, "num_workers", None) or 1
        scores = _scores(wishes, plan, store)
        search = Search(
            plan,
            store,
            device=place.device,
            threads=machines.threads,
            workers=workers,
            scores=scores,
            say=lambda line: print(line, file=sys.stderr),
        )
        began = time.monotonic()
        search.run(place.executor, wishes.trials)
        print(_told(search, time.monotonic() - began), file=sys.stderr)
        _require_some(search)
        status = _conclude(search, store, wishes, command, place, machines.threads)
        place.close()
        return status
    finally:
        store.close()


def _plan(wishes: Wishes, options: Options) -> SearchPlan:
    space = get_space(wishes.space)
    base = plan_base(f"search_{space.name}", space.question, options)
    design = base.designs[BASELINE]
    base_network(design)
    definition = Definition(
        space=wishes.space,
        design=design,
        sampler=wishes.sampler,
        pruner=wishes.pruner,
        objectives=wishes.objectives,
        limits=wishes.limits,
        seed=wishes.seed,
        seeds_per_candidate=wishes.seeds_per_candidate,
        population=wishes.population,
        accuracy_at_most=wishes.accuracy_at_most,
        warm_start=wishes.warm_start,
        filter=wishes.filter,
        semantics=SEMANTICS,
    )
    plan = plan_search(definition, base)
    require_feasible(plan)
    return plan


def _scores(wishes: Wishes, plan: SearchPlan, store: Store) -> Scores | None:
    """The proxies that are asked for; without one torch stays out of this process."""
    names = tuple(dict.fromkeys([*wishes.proxies, *(name for name in (wishes.warm_start, wishes.filter) if name)]))
    if not names:
        return None
    from search.engine.proxies import Proxies

    return Proxies(names, plan, store)


def _first_line(plan: SearchPlan) -> str:
    objectives = ", ".join(plan.definition.objectives)
    text = (
        f"Search of {plan.space.name} on {plan.source.title} at scale {plan.base.scale.name} for {objectives}, "
        f"{plan.definition.sampler}: {plan.space.question}"
    )
    return f"{plan.base.notice}\n{text}" if plan.base.notice else text


def _told(search: Search, seconds: float) -> str:
    states = search.states
    turned = (
        ", ".join(f"{states[s]} {s}" for s in ("infeasible", "dominated", "filtered", "duplicate") if states[s])
        or "none"
    )
    return (
        f"{states['complete']} candidates complete, {states['pruned']} stopped early, {states['failed']} failed; "
        f"{search.num_trained} trials trained in {duration(seconds)}; suggestions turned away before training: {turned}"
    )


def _require_some(search: Search) -> None:
    """Refuse to conclude a search in which every suggestion was turned away.

    Raises:
        ValueError: it is one; the message has the suggestion that came closest.
    """
    if any(row.is_counted for row in search.rows):
        return
    options = ", ".join(f"--max-{name.replace('_', '-')}" for name, _ in search.plan.definition.limits) or "--space"
    beyond = [row for row in search.rows if row.state == "infeasible" and row.excess and row.costs]
    if not beyond:
        reason = search.rows[-1].reason or "wider limits"
        raise ValueError(f"{options}: none of {len(search.rows):,} suggestions could be evaluated; {reason}")
    closest = min(beyond, key=lambda row: max(row.excess.values()))
    name = max(closest.excess, key=lambda limit: closest.excess[limit]).removeprefix("least ")
    low, high = search.plan.limits[name]
    allowed = f"{low:,.4g} to {high:,.4g}" if low else f"{high:,.4g} at most"
    raise ValueError(
        f"{options}: none of {len(search.rows):,} suggestions keeps the limits; the closest has"
        f" {closest.costs[name]:,.4g} {name}, allowed: {allowed}"
    )


def _conclude(search: Search, store: Store, wishes: Wishes, command: str, place: Place, threads: int) -> int:
    """Train the winners again beside the baseline, and write what there is to show."""
    plan = search.plan
    chosen = winners(search.rows, plan.definition, wishes.confirm, canonical_json(plan.network))
    folder = write_search(search, chosen, command=command)
    for row in correlations(search):
        told = (
            f"Rank correlation of {row['proxy']} with validation accuracy over {row['n']} candidates:"
            f" {_correlation(row)}"
        )
        print(told, file=sys.stderr)
    if wishes.optuna_db is not None:
        search.index.write(wishes.optuna_db)
    if chosen:
        num_seeds = wishes.confirm_seeds or max(plan.base.scale.num_seeds, 2)
        confirmation = confirmation_plan(plan, chosen, num_seeds=num_seeds, command=command)
        with ProgressDisplay() as display:
            display.say(f"Training the best {len(chosen)} again beside the baseline, with {num_seeds} fresh seeds")
            outcome = run_study(confirmation, store, place.executor, display, device=place.device, threads=threads)
        measure_costs(confirmation.designs, store, device=place.own_device)
        results = write_results(store, outcome.plan, plan.out)
        print((results / "table.md").read_text())
        for line in write_confirmation(folder, search, chosen, confirmation, store):
            print(line)
        print(f"Results: {results}, {folder}", file=sys.stderr)
        best = folder / "best" / f"candidate_{chosen[0].number}.json"
        print(
            f"Ablate around what was found: python run_ablation.py --study residuals --preset {best}", file=sys.stderr
        )
        return SOME_FAILED if outcome.num_failed or search.states["failed"] else DONE
    print(f"Results: {folder}", file=sys.stderr)
    return SOME_FAILED if search.states["failed"] else DONE


def _correlation(row: dict[str, Any]) -> str:
    if math.isnan(row["spearman"]):
        return "not known from so few that differ"
    return (
        f"Spearman {row['spearman']:.2f} [{row['spearman_ci_low']:.2f}, {row['spearman_ci_high']:.2f}], Kendall"
        f" {row['kendall']:.2f}"
    )
