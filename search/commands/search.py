"""`--space`: a search from plan to the table of its confirmed winners."""

from __future__ import annotations

import math
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ablations.costs.training_cost import duration
from ablations.design.options import Options, selected
from ablations.design.study_plan import StudyPlan
from ablations.execution.backend import is_distributed
from ablations.execution.claims import Claims
from ablations.execution.progress import ProgressDisplay
from ablations.records.store import Store
from ablations.reporting.own_files import require_own_folder
from ablations.running.across import run_settings
from ablations.running.context import Context, check_options, open_context
from ablations.running.run_study import run_study
from search.design.definition import PROXIES, SEMANTICS, Definition
from search.design.options import SearchOptions, names_in
from search.design.restriction import parse_pairs
from search.engine.drivers import only_driver
from search.engine.optimize import Search
from search.engine.optuna_file import OptunaFile
from search.engine.search_plan import BASELINE, SearchPlan, base_network, plan_base, plan_search, require_feasible
from search.engine.suggestions import Scores
from search.results.confirm import confirmation_plan, winners
from search.results.confirm_across import ConfirmationSettings, plan_settings
from search.results.page import ablation_command, best_lines, notes, write_page
from search.results.results_folder import (
    correlations,
    search_folder,
    trials_frame,
    write_confirmation,
    write_networks,
    write_search,
)
from search.spaces import get_space
from xception.base.canonical import canonical_json
from xception.base.formatting import plural

__all__ = ["run_search"]

DONE, SOME_FAILED = 0, 1


def run_search(options: SearchOptions, command: str) -> int:
    """Run or continue a search, confirm its winners, write all results; return the exit status.

    Raises:
        ValueError: an option, the data or the store does not fit; the message names it.
    """
    if is_distributed():
        raise ValueError("python -m search: runs in one process, not under torchrun; use --workers")
    num_trials = options.trials or 0
    counts = (("--trials", num_trials, 1), ("--confirm", options.confirm, 0))
    for name, value, least in (*counts, ("--confirm-seeds", options.confirm_seeds, 2)):
        if value is not None and value < least:
            raise ValueError(f"{name}: {value} is not allowed; {least} or more")
    if options.confirm == 0 and options.confirm_seeds is not None:
        raise ValueError(
            f"--confirm-seeds: {options.confirm_seeds} has no effect with --confirm 0; leave it out, or --confirm 1"
            " or more"
        )
    if options.confirm == 0 and options.keep_weights:
        raise ValueError("--keep-weights: has no effect with --confirm 0, which trains no winners; --confirm 1 or more")
    if options.confirm == 0 and options.confirm_across:
        raise ValueError(
            "--confirm-across: has no effect with --confirm 0, which trains no winners; --confirm 1 or more"
        )
    for proxy in names_in(options.proxies):
        if proxy not in PROXIES:
            raise ValueError(f"--proxies: {proxy!r} is not known; allowed: {', '.join(PROXIES)}")
    asked = selected(Options, options)
    check_options(asked)
    plan = _plan(options, asked)
    settings = plan_settings(plan, options.confirm_across) if options.confirm_across else None
    require_own_folder(search_folder(plan))
    with open_context(plan.base) as context, _alone(context.store, plan.definition) as alone:
        file = None
        if options.optuna_db is not None:
            file = OptunaFile(options.optuna_db, plan.definition, plan.space, context.store.url)
        print(_first_line(plan), file=sys.stderr)
        search = Search(
            plan,
            context.store,
            device=context.backend.device,
            threads=options.threads,
            workers=context.backend.num_workers,
            scores=_scores(options, plan, context.store),
            say=lambda line: print(line, file=sys.stderr),
            watch=file or (lambda row: None),
        )
        began = time.monotonic()
        if file is not None:
            for row in search.rows:
                file(row, search.ledger.times()[row.number])
        search.run(context.backend.executor, num_trials, alone)
        if file is not None:
            file.close(search.rows, search.ledger.times())
        print(_summary(search, time.monotonic() - began), file=sys.stderr)
        _require_some(search)
        return _conclude(search, context, options, settings, command)


def _alone(store: Store, definition: Definition) -> AbstractContextManager[Claims | None]:
    """Several drivers may share a search, except one that measures, since nothing may train meanwhile."""
    return only_driver(store, definition.key) if definition.measured else nullcontext()


def _plan(options: SearchOptions, asked: Options) -> SearchPlan:
    assert options.space is not None
    space = get_space(options.space)
    base = plan_base(f"search_{space.name}", space.question, asked)
    design = base.designs[BASELINE]
    base_network(design)
    definition = Definition(
        space=space.name,
        fixed=parse_pairs("--fix", options.fix),
        priors=parse_pairs("--prior", options.prior),
        design=design,
        sampler=options.sampler,
        pruner=options.pruner,
        objectives=names_in(options.objectives),
        limits=options.limits,
        seed=options.seed,
        seeds_per_candidate=options.seeds_per_candidate,
        population=options.population,
        accuracy_at_most=options.accuracy_at_most,
        warm_start=options.warm_start,
        filter=options.filter,
        semantics=SEMANTICS,
    )
    plan = plan_search(definition, base, space)
    require_feasible(plan)
    return plan


def _scores(options: SearchOptions, plan: SearchPlan, store: Store) -> Scores | None:
    """The requested proxies; without one this process does not import torch."""
    used = [name for name in (options.warm_start, options.filter) if name in PROXIES]
    names = tuple(dict.fromkeys([*names_in(options.proxies), *used]))
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
    notice = [plan.base.notice] if plan.base.notice else []
    return "\n".join([*notice, text, *(plan.source.summary.lines if plan.source.summary is not None else [])])


def _summary(search: Search, seconds: float) -> str:
    states = search.states
    turned = ", ".join(f"{states[s]} {s}" for s in ("infeasible", "dominated", "filtered") if states[s]) or "none"
    lines = [
        f"{states['complete']} candidates complete, {states['pruned']} stopped early, {states['failed']} failed; "
        f"{search.num_trained} trials trained in {duration(seconds)}, which cost {search.trainings:.1f} whole"
        " trainings; "
        f"suggestions turned away before training: {turned}"
    ]
    if search.num_measured:
        lines.append(f"{plural(search.num_measured, 'network')} measured in {duration(search.measure_seconds)}")
    return "\n".join(lines)


def _require_some(search: Search) -> None:
    """Check that a search did not turn every suggestion away.

    Raises:
        ValueError: it did; the message has the closest suggestion.
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
        f"{options}: none of {len(search.rows):,} suggestions is within the limits; the closest has"
        f" {closest.costs[name]:,.4g} {name}, allowed: {allowed}"
    )


def _conclude(
    search: Search, context: Context, options: SearchOptions, settings: ConfirmationSettings | None, command: str
) -> int:
    """Train the winners again with the baseline, and write the results."""
    plan = search.plan
    chosen = winners(search.rows, plan.definition, options.confirm, canonical_json(plan.network))
    folder = write_search(search, chosen, command=command)
    for row in correlations(search):
        line = (
            f"Rank correlation of {row['proxy']} with validation accuracy over {row['n']} candidates:"
            f" {_correlation(row)}"
        )
        print(line, file=sys.stderr)
    print("\n".join([*best_lines(search), *notes(search)]))
    write_page(search, folder, trials_frame(search), command=command)
    if chosen:
        sentences: list[str] = []
        confirmation: StudyPlan
        if settings is None:
            num_seeds = options.confirm_seeds or max(plan.base.scale.num_seeds, 2)
            confirmation = confirmation_plan(plan, chosen, num_seeds=num_seeds, command=command)
            line = f"Training the best {len(chosen)} again with the baseline, with {num_seeds} fresh seeds"
            print(line, file=sys.stderr)
            outcome = run_study(context.with_plan(confirmation, ProgressDisplay()))
        else:
            across = settings.across(chosen, num_seeds=options.confirm_seeds, command=command)
            confirmation = across.plans[0]
            line = f"Training the best {len(chosen)} again with the baseline in {len(across.plans)} settings"
            print(f"{line}, with {len(confirmation.seeds)} fresh seeds", file=sys.stderr)
            whole = run_settings(across, context)
            outcome, sentences = whole.outcomes[0], whole.sentences
        results = outcome.results.folder
        print((results / "table.md").read_text(encoding="utf-8"))
        for line in sentences:
            print(line)
        for line in write_confirmation(folder, search, chosen, confirmation, context.store):
            print(line)
        if options.keep_weights:
            write_networks(folder, chosen, confirmation)
        again = outcome.results
        write_page(search, folder, trials_frame(search), command=command, confirmation=again, elsewhere=sentences)
        print(f"Ablate around the best: {ablation_command(search, folder, chosen)}", file=sys.stderr)
        print(f"Results: {results}, {folder}", file=sys.stderr)
        return SOME_FAILED if outcome.training.num_failed or search.states["failed"] else DONE
    print(f"Results: {folder}", file=sys.stderr)
    return SOME_FAILED if search.states["failed"] else DONE


def _correlation(row: dict[str, Any]) -> str:
    if math.isnan(row["spearman"]):
        return "unknown: too few candidates differ"
    return (
        f"Spearman {row['spearman']:.2f} [{row['spearman_ci_low']:.2f}, {row['spearman_ci_high']:.2f}], Kendall"
        f" {row['kendall']:.2f}"
    )
