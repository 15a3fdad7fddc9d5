"""`contest`: does a search find anything better than the default?

Several samplers search at no more than the default's multiply-accumulates; the best of each and the default are trained
again with fresh seeds, at the budget of the search and at a longer one, which no search has seen.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

from ablations.costs.training_cost import duration, estimate_seconds, read_speed
from ablations.design.fixed_plan import FixedPlan, fixed_plan
from ablations.design.options import Options, RunOptions, selected
from ablations.design.study import Design, Study, Variant
from ablations.design.study_plan import StudyPlan
from ablations.execution.backend import is_distributed
from ablations.execution.progress import ProgressDisplay
from ablations.records.databases import file_of
from ablations.reporting.results import Results
from ablations.reporting.results_folder import write_results
from ablations.running.context import Context, check_options, open_context
from ablations.running.run_study import run_study
from ablations.running.training import train
from search.design.definition import POPULATED, SAMPLERS, SEMANTICS, Definition
from search.design.options import ContestOptions, names_in
from search.design.space import Space
from search.engine.optimize import Search
from search.engine.search_plan import BASELINE, SearchPlan, base_network, plan_base, plan_search, require_feasible
from search.engine.solving import counted
from search.results.confirm import CONFIRMATION_SEED, winners
from search.results.contest_results import Found, write_contest
from search.results.page import best_lines, write_page
from search.results.results_folder import trials_frame, write_search
from search.spaces import get_space
from xception.base.canonical import canonical_json, from_json
from xception.base.formatting import count, join_words
from xception.network.config import XceptionConfig

__all__ = ["contest"]


@dataclass(frozen=True, kw_only=True)
class _Contest:
    """Options of a contest: its samplers and budgets."""

    options: ContestOptions
    command: str
    base: StudyPlan
    searches: tuple[SearchPlan, ...]
    macs: float

    @property
    def space(self) -> Space:
        return self.searches[0].space

    @property
    def design(self) -> Design:
        return self.searches[0].design

    @property
    def lengths(self) -> tuple[int, int]:
        return (self.design.recipe.epochs, self.options.longer_epochs)


def contest(options: ContestOptions, command: str) -> int:
    """Search with each sampler, confirm the best of each at two budgets, and write all results; return the exit status.

    Raises:
        ValueError: an option, the space or the data does not fit; the message names it.
    """
    asked = _planned(options, command)
    if options.dry_run:
        print("\n".join(_cost_lines(asked)))
        return 0
    if options.report:
        database = file_of(asked.base.options.store_url)
        if database is not None and not database.is_file():
            raise ValueError(f"--store: {database} does not exist; leave --report out, or name a store with --store")
    found: list[Found] = []
    results: dict[int, Results] = {}
    failed = 0
    with open_context(asked.base) as context:
        for plan in asked.searches:
            one = _searched(asked, plan, context)
            found += [one] if one is not None else []
        for epochs in asked.lengths if found else ():
            confirmation = _confirmation(asked, found, epochs)
            results[epochs], num_failed = _confirmed(context, confirmation, report=options.report)
            failed += num_failed
            write_contest(asked.base.source.title, asked.space.name, found, results, options, asked.macs, command)
    if not found:
        raise ValueError("--store: no candidate of this contest is complete; leave --report out")
    folder = write_contest(asked.base.source.title, asked.space.name, found, results, options, asked.macs, command)
    print((folder / "contest.md").read_text(encoding="utf-8"))
    print(f"Results: {', '.join(str(one.folder) for one in results.values())}, {folder}", file=sys.stderr)
    return 1 if failed else 0


def _planned(options: ContestOptions, command: str) -> _Contest:
    if is_distributed():
        raise ValueError("python -m search contest: runs in one process, not under torchrun; use --workers")
    if options.dry_run and options.report:
        raise ValueError("--report: is not allowed with --dry-run; one of the two")
    samplers = names_in(options.samplers)
    for name, value, least in (
        ("--candidates", options.candidates, 1),
        ("--confirm-seeds", options.confirm_seeds, 2),
        ("--seed", options.seed, 0),
    ):
        if value < least:
            raise ValueError(f"{name}: {value} is not allowed; {least} or more")
    for sampler in samplers:
        if sampler not in SAMPLERS:
            raise ValueError(f"--samplers: {sampler!r} is not known; allowed: {', '.join(SAMPLERS)}")
    if not samplers or len(set(samplers)) != len(samplers):
        raise ValueError(f"--samplers: {options.samplers!r} is not allowed; each at most once, from {SAMPLERS}")
    asked = selected(Options, selected(RunOptions, options))
    check_options(asked)
    space = get_space(options.space)
    base = plan_base(f"contest_{space.name}", space.question, asked)
    design = base.designs[BASELINE]
    macs = counted(base_network(design), design.dataset.image_size)["macs"]
    if options.longer_epochs <= design.recipe.epochs:
        allowed = f"more than the {design.recipe.epochs} of the search"
        raise ValueError(f"--longer-epochs: {options.longer_epochs} is not allowed; {allowed}")
    searches = []
    for sampler in samplers:
        definition = Definition(
            space=space.name,
            design=design,
            sampler=sampler,
            limits=(("macs", macs),),
            seed=options.seed,
            population=10 if sampler in POPULATED else Definition.population,
            semantics=SEMANTICS,
        )
        searches.append(plan_search(definition, base, space))
        require_feasible(searches[-1])
    return _Contest(options=options, command=command, base=base, searches=tuple(searches), macs=macs)


def _cost_lines(asked: _Contest) -> list[str]:
    """What a contest trains, and for how long at most."""
    options, design = asked.options, asked.design
    samplers = [plan.definition.sampler for plan in asked.searches]
    what = f"{options.candidates} candidates with each of {join_words(samplers)}"
    seeds = f"{options.confirm_seeds} seeds of {len(samplers)} winners and the default, for each of"
    short, longer = asked.lengths
    candidates, again = options.candidates * len(samplers), options.confirm_seeds * (len(samplers) + 1)
    trials = [
        *[design.trial(0)] * (candidates + again),
        *[design.replace_at("recipe.epochs", longer).trial(0)] * again,
    ]
    seconds = estimate_seconds(((trial, asked.base.source) for trial in trials), read_speed(options.out))
    cost = "this machine's speed is not measured yet" if seconds is None else f"about {duration(seconds)}"
    return [
        f"Contest on {asked.space.name} at no more than the default's {count(asked.macs)} MACs on"
        f" {asked.base.source.title}",
        f"{what}, {short} epochs: {candidates} trainings at most",
        f"{seeds} {short} and {longer} epochs: {2 * again} trainings at most",
        f"{len(trials)} trainings: {cost}, if a candidate takes as long as the default; operators other than the"
        " default's may take several times as long at equal MACs",
    ]


def _searched(asked: _Contest, plan: SearchPlan, context: Context) -> Found | None:
    """Search with one sampler and write the results; return None if no candidate is complete."""
    options, definition = asked.options, plan.definition
    search = Search(
        plan,
        context.store,
        device=context.backend.device,
        threads=options.threads,
        workers=context.backend.num_workers,
        say=lambda line: print(f"{definition.sampler} {line}", file=sys.stderr),
    )
    if not options.report:
        search.run(context.backend.executor, options.candidates)
    chosen = winners(search.rows, definition, 1, canonical_json(plan.network))
    if not chosen:
        return None
    folder = write_search(search, chosen, command=asked.command)
    write_page(search, folder, trials_frame(search), command=asked.command)
    print("\n".join([f"{definition.sampler}:", *best_lines(search)]))
    return Found(sampler=definition.sampler, row=chosen[0], candidates=search.states["complete"], folder=folder)


def _confirmation(asked: _Contest, found: list[Found], epochs: int) -> FixedPlan:
    """The study of each sampler's best against the default; samplers with the same best share a variant."""
    by_model: dict[str, list[str]] = {}
    for one in found:
        by_model.setdefault(one.row.model, []).append(one.sampler)
    study = Study(
        name=f"contest_{asked.space.name}_{epochs}_epochs",
        question=f"Are the best found by {join_words([one.sampler for one in found])} better than the default in"
        f" {epochs} epochs?",
        variants=(
            Variant(name=BASELINE),
            *(
                Variant(name=f"best of {join_words(names)}", changes={"model": from_json(XceptionConfig, model)})
                for model, names in by_model.items()
            ),
        ),
        baseline=BASELINE,
        varies=("model",),
        reference="",
    )
    seeds = range(CONFIRMATION_SEED, CONFIRMATION_SEED + asked.options.confirm_seeds)
    designs = study.designs(asked.design.replace_at("recipe.epochs", epochs))
    base = asked.base
    if epochs != asked.design.recipe.epochs:  # so that its folder and tables name the epochs that it was trained for
        base = plan_base(base.study.name, asked.space.question, base.options.replace(epochs=epochs))
    return fixed_plan(base, study, designs, seeds=seeds, command=asked.command)


def _confirmed(context: Context, plan: FixedPlan, *, report: bool) -> tuple[Results, int]:
    """Train a confirmation seed by seed, so that an interrupted one has whole pairs, and write its results."""
    if report:
        stored = plan.stored_plan()
        context.store.put_plan(stored)
        return write_results(context.store, stored, context.options.out), 0
    context = context.with_plan(plan, ProgressDisplay())
    for seed in plan.seeds:
        with ProgressDisplay() as display:
            train(context.with_plan(replace(plan, seed_range=range(plan.seeds[0], seed + 1)), display))
    outcome = run_study(context)
    return outcome.results, outcome.training.num_failed
