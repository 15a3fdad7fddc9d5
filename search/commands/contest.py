"""`contest`: does searching find anything better than the default?

Several samplers search at no more than the default's multiply-accumulates; the best of each and the default are trained
again with fresh seeds, at the budget of the search and at a longer one, of which no search has seen anything.
"""

from __future__ import annotations

import sys

from ablations.design.fixed_plan import fixed_plan
from ablations.design.options import Options, RunOptions, selected
from ablations.design.study import Study, Variant
from ablations.execution.progress import ProgressDisplay
from ablations.running.context import check_options, open_context
from ablations.running.run_study import run_study
from search.design.definition import POPULATED, SAMPLERS, SEMANTICS, Definition
from search.design.options import ContestOptions, names_in
from search.engine.ledger import Row
from search.engine.optimize import Search
from search.engine.search_plan import BASELINE, base_network, plan_base, plan_search
from search.engine.solving import counted
from search.results.confirm import CONFIRMATION_SEED, winners
from search.results.page import best_lines, write_page
from search.results.results_folder import trials_frame, write_search
from search.spaces import get_space
from xception.base.canonical import canonical_json, from_json
from xception.network.config import XceptionConfig

__all__ = ["contest"]


def contest(options: ContestOptions, command: str) -> int:
    """Search with each sampler, confirm the best of each at two budgets, and write all results; return the exit status.

    Raises:
        ValueError: an option, the space or the data does not fit; the message names it.
    """
    samplers = names_in(options.samplers)
    for name, value, least in (("--candidates", options.candidates, 1), ("--confirm-seeds", options.confirm_seeds, 2)):
        if value < least:
            raise ValueError(f"{name}: {value} is not allowed; {least} or more")
    for sampler in samplers:
        if sampler not in SAMPLERS:
            raise ValueError(f"--samplers: {sampler!r} is not known; allowed: {', '.join(SAMPLERS)}")
    asked = selected(Options, selected(RunOptions, options))
    check_options(asked)
    space = get_space(options.space)
    base = plan_base(f"contest_{space.name}", space.question, asked)
    design = base.designs[BASELINE]
    own = counted(base_network(design), design.dataset.image_size)["macs"]
    if options.longer_epochs <= design.recipe.epochs:
        allowed = f"more than the {design.recipe.epochs} of the search"
        raise ValueError(f"--longer-epochs: {options.longer_epochs} is not allowed; {allowed}")
    found: dict[str, Row] = {}
    with open_context(base) as context:
        for sampler in samplers:
            definition = Definition(
                space=space.name,
                design=design,
                sampler=sampler,
                limits=(("macs", own),),
                seed=options.seed,
                population=10 if sampler in POPULATED else Definition.population,
                semantics=SEMANTICS,
            )
            search = Search(
                plan_search(definition, base, space),
                context.store,
                device=context.backend.device,
                threads=options.threads,
                workers=context.backend.num_workers,
                say=lambda line: print(line, file=sys.stderr),
            )
            search.run(context.backend.executor, options.candidates)
            chosen = winners(search.rows, definition, 1, canonical_json(search.plan.network))
            folder = write_search(search, chosen, command=command)
            write_page(search, folder, trials_frame(search), command=command)
            print("\n".join([f"{sampler}:", *best_lines(search)]))
            if chosen:
                found[sampler] = chosen[0]
        failed, folders = 0, []
        for epochs in (design.recipe.epochs, options.longer_epochs):
            models = {sampler: from_json(XceptionConfig, row.model) for sampler, row in found.items()}
            unique: dict[str, XceptionConfig] = {}
            for sampler, model in models.items():  # samplers may agree
                if model not in unique.values():
                    unique[sampler] = model
            study = Study(
                name=f"contest_{space.name}_{epochs}_epochs",
                question=f"Are the best found by {', '.join(found)} better than the default in {epochs} epochs?",
                variants=(
                    Variant(name=BASELINE),
                    *(Variant(name=f"best of {name}", changes={"model": model}) for name, model in unique.items()),
                ),
                baseline=BASELINE,
                varies=("model",),
                reference="",
            )
            at_length = design.replace_at("recipe.epochs", epochs)
            designs = study.designs(at_length)
            seeds = range(CONFIRMATION_SEED, CONFIRMATION_SEED + options.confirm_seeds)
            plan = fixed_plan(base, study, designs, seeds=seeds, command=command)
            outcome = run_study(context.with_plan(plan, ProgressDisplay()))
            print((outcome.results.folder / "table.md").read_text(encoding="utf-8"))
            failed += outcome.training.num_failed
            folders.append(str(outcome.results.folder))
    print(f"Results: {', '.join(folders)}", file=sys.stderr)
    return 1 if failed else 0
