"""The files of a search: every suggestion, the front, counts, importances, figures, and the best configs
as files.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ablations.design.study_plan import StudyPlan
from ablations.records.store import Store
from ablations.reporting.figures import StudyFigure, save_figures
from ablations.reporting.own_files import MANIFEST, replacing_own_files
from ablations.reporting.tables import csv_text, write_table
from ablations.statistics.pareto import front
from search.benchmark.importance import ped_anova
from search.design.definition import MAXIMISED
from search.engine.ledger import FINAL, Row
from search.engine.optimize import Search
from search.engine.proxies import rank_correlation
from search.engine.running import accuracy_of
from search.engine.search_plan import SearchPlan
from search.results.confirm import losses
from search.results.page_tables import candidates_table
from search.results.plots import front_over_time, history_plot, hypervolume_plot, importance_plot
from xception.base.files import write_atomic, write_atomically

__all__ = [
    "correlations",
    "front_rows",
    "search_folder",
    "trials_frame",
    "write_confirmation",
    "write_networks",
    "write_search",
]

_FRONT = "Candidates that no other dominates; their accuracies are those of the search."


def trials_frame(search: Search) -> pd.DataFrame:
    """Return one row per suggestion in order: state as `status`, dimensions by name, objectives, costs, proxies,
    network.
    """
    definition = search.plan.definition
    best = {row.number for row in front_rows(search)}
    rows = []
    for row in search.rows:
        known: dict[str, Any] = dict(
            zip(definition.objectives, row.values or (None,) * len(definition.objectives), strict=True)
        )
        rows.append(
            {
                "number": row.number,
                "status": row.state,
                "is_on_front": row.number in best,
                **row.costs,
                **known,
                **{dimension.name: row.params.get(dimension.name) for dimension in search.plan.space.dimensions},
                **row.proxies,
                "origin": row.origin,
                "changes": row.changes,
                "trainings": row.trainings,
                "sampler_seconds": row.sampler_seconds,
                "reason": row.reason,
                "keys": " ".join(row.keys),
                "model": row.model,
            }
        )
    return pd.DataFrame(rows)


def front_rows(search: Search) -> list[Row]:
    """Return the complete candidates that no other dominates, by the first objective."""
    complete = [row for row in search.rows if row.state == "complete"]
    points = [losses(row, search.plan.definition) for row in complete]
    return sorted(
        (complete[i] for i in front(points)),
        key=lambda row: (losses(row, search.plan.definition), row.number),
    )


def write_search(search: Search, winners: Sequence[Row], *, command: str) -> Path:
    """Write everything into the search's own folder (see `search_folder`) and return it; other files there stay.

    Raises:
        ValueError: a foreign file has the name of one of ours.
        OSError: it cannot be written.
    """
    plan = search.plan
    folder = search_folder(plan)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replacing_own_files(folder) as made:
        _write_search(search, winners, made, command)
    return folder


def search_folder(plan: SearchPlan) -> Path:
    """Return `<out>/searches/<name>`, or `<out>/searches/<name>-<key>` where the former is another search's."""
    folder = plan.out / "searches" / plan.name
    own = folder.with_name(f"{plan.name}-{plan.definition.key[:8]}")
    if own.exists() or _search_in(folder) not in (None, plan.definition.key):
        return own
    return folder


def _search_in(folder: Path) -> str | None:
    """The key of the search whose results are in a folder; None where there are none."""
    try:
        return str(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["search"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_search(search: Search, winners: Sequence[Row], folder: Path, command: str) -> None:
    (folder / "best").mkdir()
    frame = trials_frame(search)
    write_atomically(folder / "trials.csv", csv_text(frame))
    _write_table(search, folder, "front", frame[frame["is_on_front"]] if len(frame) else frame, _FRONT)
    states = search.states
    counts = pd.DataFrame([{"state": state, "suggestions": states[state]} for state in FINAL])
    _write_table(search, folder, "counts", counts, "What became of the suggestions.")
    for row in dict.fromkeys(row.number for row in (*winners, *front_rows(search))):
        write_atomically(
            folder / "best" / f"candidate_{row}.json", json.dumps(json.loads(search.rows[row].model), indent=1) + "\n"
        )
    shares = _importances(search)
    if shares:
        rows = [
            {"objective": o, "dimension": name, "importance": share}
            for o, part in shares.items()
            for name, share in part.items()
        ]
        _write_table(search, folder, "importance", pd.DataFrame(rows), "Importance of each dimension (PED-ANOVA).")
    if measured := correlations(search):
        write_atomically(folder / "proxies.csv", csv_text(pd.DataFrame(measured)))
    save_figures(_figures(search, frame, shares), folder / "figures")
    write_atomically(folder / MANIFEST, json.dumps(_provenance(search, winners, command), indent=1) + "\n")


def _write_table(search: Search, folder: Path, name: str, frame: pd.DataFrame, caption: str) -> None:
    """Write a table as CSV and, if it has rows, as display tables."""
    shown = frame.drop(columns=["model", "keys", "reason"], errors="ignore")
    people = candidates_table(shown, caption) if len(frame) else None
    write_table(folder, name, frame, people, study=f"search-{search.plan.space.name}")


def write_confirmation(
    folder: Path, search: Search, winners: Sequence[Row], confirmation: StudyPlan, store: Store
) -> list[str]:
    """Write each winner's validation accuracy in the search and with fresh seeds, and return lines of text.

    The mean excess of the first over the second is the winner's curse; if accuracy was no objective there is nothing to
    compare.
    """
    objectives = search.plan.definition.objectives
    if "val_accuracy" not in objectives:
        return []
    records = store.get(trial.key for trial in confirmation.trials().values())
    rows: list[dict[str, Any]] = []
    for row in winners:
        again = [
            accuracy_of(records[trial.key])
            for (variant, _), trial in confirmation.trials().items()
            if variant == f"candidate {row.number}" and trial.key in records and records[trial.key].is_final
        ]
        if again:
            seen = row.values[objectives.index("val_accuracy")]
            fresh = {"val_accuracy_fresh": sum(again) / len(again), "n": len(again)}
            rows.append({"candidate": row.number, "val_accuracy_in_search": seen, **fresh})
    write_atomically(folder / "confirmation.csv", csv_text(pd.DataFrame(rows)))
    return [
        f"candidate {row['candidate']}: validation accuracy {row['val_accuracy_in_search']:.2%} in the search, "
        f"{row['val_accuracy_fresh']:.2%} as the mean of {row['n']} fresh seeds"
        for row in rows
    ]


def write_networks(folder: Path, winners: Sequence[Row], confirmation: StudyPlan) -> None:
    """Copy the network of each winner's first fresh seed next to the winner's config, if it was kept."""
    trials = confirmation.trials()
    for row in winners:
        key = trials[f"candidate {row.number}", confirmation.seeds[0]].key
        kept = confirmation.options.networks / f"{key}.safetensors"
        if kept.is_file():
            with write_atomic(folder / "best" / f"candidate_{row.number}.safetensors") as file:
                file.write(kept.read_bytes())


def _importances(search: Search) -> dict[str, dict[str, float]]:
    out = {}
    for i, objective in enumerate(search.plan.definition.objectives):
        shares = ped_anova(search.index.study, i)
        if shares:
            out[objective] = shares
    return out


def correlations(search: Search) -> list[dict[str, Any]]:
    """Return the rank correlation of each proxy with validation accuracy over the complete candidates; none without
    proxies.
    """
    rows = [row for row in search.rows if row.state == "complete" and row.proxies]
    if not rows or "val_accuracy" not in search.plan.definition.objectives:
        return []
    at = search.plan.definition.objectives.index("val_accuracy")
    scores = {name: [row.proxies[name] for row in rows] for name in rows[0].proxies}
    return rank_correlation(scores, [value for row in rows if (value := row.values[at]) is not None])


def _figures(search: Search, frame: pd.DataFrame, shares: dict[str, dict[str, float]]) -> list[StudyFigure]:
    """The figures for which there are trials; suggestions turned away are in none."""
    definition, source = search.plan.definition, search.plan.source
    if not (frame.get("status", pd.Series(dtype=str)) == "complete").any():
        return []
    taken = frame[frame["status"].isin(["complete", "pruned", "failed"])].reset_index(drop=True)
    note = f"{source.title}, scale {search.plan.base.scale.name}, {definition.sampler}."
    name, objectives = search.plan.space.name, definition.objectives
    maximise = tuple(objective in MAXIMISED for objective in objectives)
    out = []
    for objective, is_large in zip(objectives, maximise, strict=True):
        figure = history_plot(taken, objective, maximise=is_large, title=f"Search of {name}", note=note)
        best = taken[objective].max() if is_large else taken[objective].min()
        out.append(
            StudyFigure(
                name=f"history_{objective}",
                alt=f"{objective} of {len(taken)} candidates; best {best:.4g}",
                figure=figure,
            )
        )
    for i in range(1, len(objectives)):
        pair = (objectives[0], objectives[i])
        figure = front_over_time(taken, pair, maximise=(maximise[0], maximise[i]), title=f"Front of {name}", note=note)
        out.append(
            StudyFigure(name=f"front_{'_'.join(pair)}", alt=f"Pareto fronts of {pair[0]} over {pair[1]}", figure=figure)
        )
    if len(objectives) > 1:
        figure = hypervolume_plot(taken, objectives, maximise=maximise, title=f"Hypervolume of {name}", note=note)
        out.append(
            StudyFigure(name="hypervolume", alt=f"Hypervolume after each of {len(taken)} candidates", figure=figure)
        )
    for objective, part in shares.items():
        figure = importance_plot(part, objective=objective, title=f"What matters in {name}", note=f"{note} PED-ANOVA.")
        spoken = ", ".join(f"{dimension} {share:.2f}" for dimension, share in part.items())
        out.append(
            StudyFigure(name=f"importance_{objective}", alt=f"Importance for {objective}: {spoken}", figure=figure)
        )
    return out


def _provenance(search: Search, winners: Sequence[Row], command: str) -> dict[str, Any]:
    plan, definition = search.plan, search.plan.definition
    seconds = [row.sampler_seconds for row in search.rows if row.sampler_seconds is not None]
    return {
        "space": plan.space.name,
        "space_digest": plan.space.digest,
        "question": plan.space.question,
        "command": command,
        "search": definition.key,
        "dataset": plan.source.title,
        "fingerprint": plan.source.fingerprint,
        "data": [summary.as_plain() for summary in plan.base.summaries],
        "scale": plan.base.scale.name,
        "sampler": definition.sampler,
        "pruner": definition.pruner,
        "objectives": list(definition.objectives),
        "limits": {name: [low, high] for name, (low, high) in plan.limits.items()},
        "seed": definition.seed,
        "seeds_per_candidate": definition.seeds_per_candidate,
        "counts": dict(search.states),
        "winners": [row.number for row in winners],
        "mean_sampler_seconds": sum(seconds) / len(seconds) if seconds else math.nan,
    }
