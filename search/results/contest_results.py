"""The results of a contest of samplers: a table, a figure, and sentences read off them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ablations.reporting import style
from ablations.reporting.figures import StudyFigure, save_figures
from ablations.reporting.results import Results
from ablations.reporting.tables import csv_text
from search.benchmark.replay import mean_interval
from search.design.options import ContestOptions
from search.engine.ledger import Row
from search.engine.search_plan import BASELINE
from xception.base import formatting as f
from xception.base.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Found", "contest_frame", "contest_plot", "sentences", "write_contest"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """The best candidate of one sampler, how many are complete, and the folder of its search."""

    sampler: str
    row: Row
    candidates: int
    folder: Path


def contest_frame(found: Sequence[Found], results: Mapping[int, Results]) -> pd.DataFrame:
    """Return one row per budget and network: its result in the search, and its accuracy with fresh seeds paired with
    the default's.
    """
    rows: list[dict[str, Any]] = []
    for epochs, result in results.items():
        for row in result.comparison.to_dict("records"):
            own = [one for one in found if _is_of(str(row["variant"]), one.sampler)]
            known = {
                "epochs": epochs,
                "network": "default" if row["variant"] == BASELINE else row["variant"],
                "candidates": own[0].candidates if own else None,
                "candidate": own[0].row.number if own else None,
                "val_accuracy_in_search": own[0].row.values[0] if own else None,
            }
            names = ("macs", "params", "n", "test_accuracy_mean", "delta_mean", "delta_ci_low", "delta_ci_high")
            rows.append(known | {str(name): row.get(name) for name in (*names, "verdict")})
    return pd.DataFrame(rows)


def sentences(found: Sequence[Found], results: Mapping[int, Results], num_seeds: int) -> list[str]:
    """Return the results in sentences, for each budget: every winner against the default, and against the best of
    random search.
    """
    out = []
    for epochs, result in results.items():
        pairs = _accuracies(result)
        whole = len(pairs.dropna()) if BASELINE in pairs else 0
        part = "" if whole >= num_seeds else f" So far {whole} of {num_seeds} seeds are complete for all networks."
        answers = []
        for row in result.comparison.to_dict("records"):
            if row["variant"] == BASELINE:
                continue
            verdict = row["verdict"] if isinstance(row["verdict"], str) and row["verdict"] else "no pairs yet"
            shown = (
                f"{f.points(row['delta_mean'])} pp {f.interval(row['delta_ci_low'], row['delta_ci_high'], signed=True)}"
            )
            answers.append(f"{row['variant']} {shown} ({verdict})" if row["n"] else f"{row['variant']}: no pairs yet")
        out.append(f"In {epochs} epochs, against the default: {'; '.join(answers)}.{part}")
        random = next((name for name in pairs if _is_of(str(name), "random")), None)
        for name in pairs if random is not None else ():
            both = pairs[[name, random]].dropna() if name not in (random, BASELINE) else pd.DataFrame()
            if len(both) > 1:
                mean, low, high = mean_interval((both[name] - both[random]).to_numpy(dtype=float))
                shown = f"{f.points(mean)} pp {f.interval(low, high, signed=True)}"
                against = f"In {epochs} epochs, against what random search found: {name} {shown}"
                out.append(f"{against}, over {len(both)} pairs (95 % interval of this difference alone).")
    return out


def contest_plot(results: Mapping[int, Results], *, title: str, note: str) -> Figure:
    """Return each winner's difference to the default in test accuracy: every seed a point, the mean with its interval,
    for each budget.
    """
    with style.context():
        names = [n for n in dict.fromkeys(_variants(results)) if n != BASELINE]
        figure = style.new_figure(0.5 + 0.34 * len(names) * len(results))
        axes = figure.subplots()
        axes.axvline(0, color=style.GREY, linewidth=0.8)
        labels: dict[float, str] = {}
        for i, (epochs, result) in enumerate(results.items()):
            pairs = _accuracies(result)
            table = {str(row["variant"]): row for row in result.comparison.to_dict("records")}
            colour = style.PALETTE[1 + i]
            for j, name in enumerate(names):
                place = float(j * len(results) + i)
                labels[place] = f.wrapped(f"{name}, {epochs} epochs", 24)
                if name not in pairs or BASELINE not in pairs:
                    continue
                points = 100 * (pairs[name] - pairs[BASELINE]).dropna().to_numpy(dtype=float)
                offsets = np.linspace(-0.22, 0.22, len(points)) if len(points) > 1 else np.zeros(len(points))
                axes.plot(points, place + offsets, ".", color=colour, alpha=0.45, markersize=3.5, zorder=2)
                low, mean, high = (
                    100 * float(table[name][key]) for key in ("delta_ci_low", "delta_mean", "delta_ci_high")
                )
                if np.isfinite([low, mean, high]).all():
                    axes.plot([low, high], [place, place], color=colour, linewidth=1.4, zorder=3)
                    axes.plot([mean], [place], style.MARKERS[i], color=colour, markersize=4.5, zorder=4)
        axes.set_yticks(list(labels), list(labels.values()))
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("Δ test accuracy (pp)")
        return style.finish(figure, title=title, note=note)


def write_contest(
    data: str,
    space: str,
    found: Sequence[Found],
    results: Mapping[int, Results],
    options: ContestOptions,
    macs: float,
    command: str,
) -> Path:
    """Write `contest.csv`, `contest.md`, every candidate and, once a pair is confirmed, the figure into
    `<out>/contest_<space>`; return it.
    """
    folder = options.out / f"contest_{space}"
    folder.mkdir(parents=True, exist_ok=True)
    frame = contest_frame(found, results)
    write_atomically(folder / "contest.csv", csv_text(frame))
    for one in found:
        text = (one.folder / "trials.csv").read_text(encoding="utf-8")
        write_atomically(folder / f"candidates_{one.sampler}.csv", text)
    answers = sentences(found, results, options.confirm_seeds)
    counted = f.join_words(f"{one.candidates} of {one.sampler}" for one in found)
    note = (
        f"{data}; {space} at no more than the default's {f.count(macs)} MACs; complete candidates: {counted};"
        f" at most {options.confirm_seeds} fresh seeds."
    )
    write_atomically(folder / "contest.md", _markdown(frame, space, note, answers, command))
    if (frame.loc[frame["network"] != "default", "n"] > 0).any():
        figure = contest_plot(
            results,
            title="Best of each search against the default",
            note=f"{note} Points: seeds, in pairs; lines: 95 % simultaneous intervals over a budget's comparisons.",
        )
        save_figures([StudyFigure(name="contest", alt=" ".join(answers), figure=figure)], folder / "figures")
    return folder


def _markdown(frame: pd.DataFrame, space: str, note: str, answers: Sequence[str], command: str) -> str:
    lines = [f"# Does searching {space} find anything better than the default?", "", *_in_lines(answers), note, ""]
    lines += ["| Epochs | Network | MACs | Parameters | In the search (%) | Test accuracy (%) | Δ (pp) | n | Verdict |"]
    lines += ["| --: | --- | --: | --: | --: | --: | --: | --: | --- |"]
    for row in frame.to_dict("records"):
        is_base = row["network"] == "default"
        shown = f"{f.points(row['delta_mean'])} {f.interval(row['delta_ci_low'], row['delta_ci_high'], signed=True)}"
        seen = f.percent(row["val_accuracy_in_search"]) if f.is_number(row["val_accuracy_in_search"]) else "–"
        cells = [
            str(row["epochs"]),
            str(row["network"]),
            f.count(row["macs"]),
            f.count(row["params"]),
            "–" if is_base else seen,
            f.percent(row["test_accuracy_mean"]) if f.is_number(row["test_accuracy_mean"]) else "–",
            "–" if is_base or not row["n"] else shown,
            str(row["n"]),
            "–" if is_base else str(row["verdict"] or "–"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"`{command}`", ""])


def _in_lines(answers: Sequence[str]) -> list[str]:
    return [line for answer in answers for line in (answer, "")]


def _accuracies(result: Results) -> pd.DataFrame:
    """Test accuracies of complete trials, a row per seed and a column per variant."""
    done = result.frame[result.frame["status"] == "complete"]
    return done.pivot(index="seed", columns="variant", values="test_accuracy")


def _variants(results: Mapping[int, Results]) -> list[str]:
    return [str(name) for result in results.values() for name in result.comparison["variant"]]


def _is_of(variant: str, sampler: str) -> bool:
    """Whether a variant is the best of a sampler, alone or with others that found the same."""
    return sampler in variant.removeprefix("best of ").replace(" and ", ", ").split(", ")
