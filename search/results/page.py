"""The page of a search and its end in the terminal: the best networks first, then the way to them.

`report.html` is one file that needs no network: figures are inside, tables can be sorted.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path

import pandas as pd

from ablations.design.plan_study import plan_study
from ablations.reporting.cost_plots import COSTS
from ablations.reporting.explore import page_parts
from ablations.reporting.front import display_front, front_table
from ablations.reporting.markup import DisplayTable
from ablations.reporting.results import Results
from ablations.reporting.tables import display_table
from ablations.reporting.templates import environment
from ablations.studies import get_study
from search.design.definition import MAXIMISED
from search.engine.ledger import Row
from search.engine.optimize import Search
from search.engine.predictor import cross_validated
from search.engine.suggestions import learned
from search.results.confirm import winners
from search.results.explore_search import explorable_search
from search.results.origins import origins
from search.results.page_tables import candidates_table, limits_in_words, sizes_in_words
from xception.base.canonical import canonical_json
from xception.base.files import write_atomically

__all__ = ["ablation_command", "best_lines", "notes", "write_page"]

_SHOWN, _LISTED = 5, 10  # of the best, in the terminal and on the page
_WHY = {
    "pruned": "stopped early by the pruner",
    "failed": "a training failed",
    "infeasible": "beyond a limit that was measured",
    "dominated": "dominated whatever its accuracy",
    "filtered": "below the filter",
}
_CONFIRMED = "Are the best networks better, with fresh seeds, than the one that the search began with?"
_ABLATED = ("activation", "residuals", "norm_kind", "width")  # studies of any network, the most informative first


def best_lines(search: Search) -> list[str]:
    """Return the best candidates in words, for the terminal."""
    chosen = _best(search, _SHOWN)
    lines = [f"Best of {sum(row.is_counted for row in search.rows)} candidates{_budget(search)}:"]
    lines += [f"  candidate {row.number}: {_described(search, row)}" for row in chosen]
    return lines if chosen else []


def notes(search: Search) -> list[str]:
    """Return notes on the course of the search for its reader."""
    states = search.states
    out = [f"{states[state]} candidates: {why}" for state, why in _WHY.items() if states[state]]
    out.append(f"The search cost {search.trainings:.1f} whole trainings")
    found = origins(search.rows, search.plan.definition)
    if found is not None:
        out.append(found.sentence)
    rank = cross_validated(search.plan.space, learned(search.rows, search.plan))
    if rank is not None:
        out.append(
            f"A predictor from dimensions and size ranks {rank['n']:.0f} complete candidates, each unseen, with"
            f" Spearman {rank['spearman']:.2f} and Kendall {rank['kendall']:.2f} (cross-validated)"
        )
    return out


def ablation_command(search: Search, folder: Path, best: Sequence[Row]) -> str:
    """Return a command that ablates a part of the best network, on the data and at the scale of the search: of the
    first study that can be planned there.
    """
    if best:
        base = search.plan.base.options
        fields = tuple(one for one in base.set if not one.startswith("model."))  # the network is the winner
        options = base.replace(
            preset=str(folder / "best" / f"candidate_{best[0].number}.json"),
            scale=search.plan.base.scale.name,
            set=fields,
            config=None,
            name=None,
        )
        for name in _ABLATED:
            with suppress(ValueError):
                return plan_study(get_study(name), options).command
    return "python run_ablation.py --list"


def write_page(
    search: Search,
    folder: Path,
    frame: pd.DataFrame,
    *,
    command: str,
    confirmation: Results | None = None,
    elsewhere: Sequence[str] = (),
) -> None:
    """Write `report.html`; `confirmation` are the results of the study of the winners, where they were trained again,
    and `elsewhere` a sentence for each on the other settings that they were trained in.
    """
    plan = search.plan
    best = _best(search, _LISTED)
    paths = sorted((folder / "figures").glob("*.png"))
    confirmed = front = None
    if confirmation is not None:
        fronts = [confirmation.folder / "figures" / f"accuracy_{cost}.png" for cost in COSTS]
        paths = [*(path for path in fronts if path.is_file()), *paths]
        known = display_front(front_table(confirmation.frame, confirmation.comparison))
        front = None if known is None else _displayed("front", known)
        confirmed = _displayed("confirmed", display_table(confirmation.comparison, title=_CONFIRMED))
    template = resources.files(__name__.rpartition(".")[0]).joinpath("page.html.jinja").read_text(encoding="utf-8")
    page = environment().from_string(template)
    parts = page_parts([explorable_search(search, frame, MAXIMISED)])
    text = page.render(
        title=f"Search of {plan.space.name}",
        explored=parts.pop("explored")[0],
        **parts,
        space=plan.space.name,
        question=plan.space.question,
        setup=f"{plan.source.title}, scale {plan.base.scale.name}, sampler {plan.definition.sampler}, pruner"
        f" {plan.definition.pruner}, {len(search.rows)} suggestions.",
        budget=_budget(search),
        best=_displayed(
            "best-networks", candidates_table(_rows_frame(search, best), "The best by the results of the search.")
        ),
        confirmation=confirmed,
        front=front,
        elsewhere=elsewhere,
        ablate=ablation_command(search, folder, best),
        figures=[
            {
                "name": path.stem,
                "data": base64.b64encode(path.read_bytes()).decode("ascii"),
                "alt": path.stem.replace("_", " "),
            }
            for path in paths
        ],
        counts=notes(search),
        candidates=_displayed(
            "all", candidates_table(frame.drop(columns=["model", "keys"], errors="ignore"), "A row per suggestion.")
        ),
        command=command,
    )
    write_atomically(folder / "report.html", text)


def _best(search: Search, number: int) -> list[Row]:
    return winners(search.rows, search.plan.definition, number, canonical_json(search.plan.network))


def _budget(search: Search) -> str:
    limits = limits_in_words({name: high for name, (_, high) in search.plan.limits.items()})
    return f" at no more than {limits}" if limits else ""


def _described(search: Search, row: Row) -> str:
    known = {
        name: value
        for name, value in zip(search.plan.definition.objectives, row.values, strict=True)
        if value is not None
    }
    known |= {name: row.costs[name] for name in ("macs", "params") if name in row.costs}
    return sizes_in_words(known)


def _rows_frame(search: Search, rows: Sequence[Row]) -> pd.DataFrame:
    objectives, dimensions = search.plan.definition.objectives, search.plan.space.dimensions
    known: list[dict[str, object]] = []
    for row in rows:
        seen = dict(zip(objectives, row.values, strict=True))
        parts = {dimension.name: row.params.get(dimension.name) for dimension in dimensions}
        known.append({"candidate": row.number, **seen, **row.costs, **parts})
    return pd.DataFrame(known)


_TABLE = '{% from "table.html.jinja" import comparison_table %}{{ comparison_table(table, name) }}'


def _displayed(name: str, table: DisplayTable) -> object:
    from markupsafe import Markup

    template = environment().from_string(_TABLE)
    return Markup(template.render(table=table, name=name))
