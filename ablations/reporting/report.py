"""One self-contained HTML page per study, and one for all: verdicts first, then table, figures, every seed, fairness,
what went wrong.

The page needs no network: figures are inside, and the page's security policy allows only its own scripts, by their
hashes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.analysis.families import page_comparisons
from ablations.reporting import style
from ablations.reporting.calibration import display_calibration, without_calibration
from ablations.reporting.captions import data_sentence
from ablations.reporting.explore import page_parts
from ablations.reporting.explore_study import explorable_study
from ablations.reporting.markup import Cell, Column, DisplayTable
from ablations.reporting.methods import bibtex, methods_paragraph
from ablations.reporting.page_size import MOST_BYTES, FittedStudies, fitted_studies, size_of
from ablations.reporting.plot_rows import references
from ablations.reporting.predictions import display_predictions, without_predictions
from ablations.reporting.report_tables import (
    changes_table,
    fairness_table,
    more_table,
    page_table,
    recipe_sentence,
    seed_table,
)
from ablations.reporting.tables import display_table
from ablations.reporting.templates import render
from xception.base import formatting as f
from xception.base.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from ablations.analysis.calibration import CalibrationTables
    from ablations.analysis.predictions import PredictionTables
    from ablations.reporting.explore import Explorable, ExplorableFigure
    from ablations.reporting.figures import SavedFigure

__all__ = ["LiveStatus", "ReportContext", "embedded", "study_page", "write_report", "write_store_report"]

CITATION = "Xception ablations: architecture ablations and searches around one parameterised Xception generator."
LARGEST_SVG = 600_000  # bytes; a figure with more is put into the page as PNG
LISTED = 12  # verdicts; of more, those that decide nothing are folded away
PAGE = "report.html.jinja"
LINK = 400  # bytes of a study in the list of all, at most
VERDICTS = ("helps", "hurts", "no meaningful effect", "inconclusive")


@dataclass(frozen=True, kw_only=True)
class ReportContext:
    """The content of the page of one study.

    `frame` and `comparison` are those of `ablations.load` and `ablations.compare`; `fairness` describes budget,
    matching and tuning, `notices` what the reader must see first, `setup` what was trained, `changes`
    the fields that each variant changes, `left_out` the variants that cannot exist here, `effects` those of a
    factorial, `predictions` and `calibration` what records keep of the test set, `thumbnails` pictures of test images
    by variant and number, `front` how sure the front of accuracy against costs is, `distances` how far variants are
    from their baseline at other widths, `explorable` figures to explore beside those that every study has, `columns`
    those of the table (none: all that have something to show), `place` the folder of the study's files, seen from the
    page.
    """

    study: str
    question: str
    reference: str
    command: str
    continue_command: str
    environment: Mapping[str, object]
    frame: pd.DataFrame
    comparison: pd.DataFrame
    figures: Sequence[SavedFigure] = ()
    explorable: Sequence[ExplorableFigure] = ()
    notices: Sequence[str] = ()
    fairness: Mapping[str, str] = field(default_factory=dict)
    setup: str = ""
    changes: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    effects: DisplayTable | None = None
    predictions: PredictionTables | None = None
    calibration: CalibrationTables | None = None
    thumbnails: Mapping[tuple[str, int], str] = field(default_factory=dict)
    front: DisplayTable | None = None
    distances: DisplayTable | None = None
    columns: Sequence[str] = ()
    place: str = ""
    citation: str = CITATION


@dataclass(frozen=True, kw_only=True)
class LiveStatus:
    """The progress of a run: the number of this page, progress in words, and a line for each running trial."""

    version: int
    text: str
    running: Sequence[str]


def write_report(context: ReportContext, path: Path) -> None:
    """Write the page of one study as one file.

    Raises:
        ValueError: the study has no trials, or the comparison lacks a column.
        OSError: a figure cannot be read or the page not be written.
    """
    write_atomically(path, study_page(context))


def study_page(context: ReportContext, live: LiveStatus | None = None) -> str:
    """Return the page of one study. While the study runs, the page shows its progress, and reloads itself if served."""
    title = f"{'Provisional: ' if live else ''}{context.study}: {context.question}"
    return _page([context], title=title, overviews=[], live=live)


def write_store_report(
    contexts: Sequence[ReportContext],
    path: Path,
    *,
    name: str = "All studies",
    beside: DisplayTable | None = None,
    explorable: Explorable | None = None,
) -> None:
    """Write one page for several studies: an overview, with the given table and interactive figures, then each study.
    Studies and figures for which a page of 3 MB has no room are listed with links to them.

    Raises:
        ValueError: there are no studies, or one has no trials.
        OSError: a figure cannot be read or the page not be written.
    """
    if not contexts:
        raise ValueError("contexts: none given; at least one study, so run one first")
    together = page_comparisons([context.frame for context in contexts])
    overviews = [_overview(contexts), *([page_table(together)] if len(together) else []), *([beside] if beside else [])]
    write_atomically(path, _page(contexts, title=name, overviews=overviews, explorable=explorable))


def _page(
    contexts: Sequence[ReportContext],
    *,
    title: str,
    overviews: Sequence[DisplayTable],
    live: LiveStatus | None = None,
    explorable: Explorable | None = None,
) -> str:
    studies = [_study(context, number=number) for number, context in enumerate(contexts, 1)]
    parts = page_parts(
        [explorable, *(explorable_study(one.frame, one.comparison, one.explorable) for one in contexts)],
        ["live.js"] if live else [],
    )
    parts["explored"], *explored = parts["explored"]
    for study, text in zip(studies, explored, strict=True):
        study["explored"] = text
    about = {"how_to_explore": parts.pop("how_to_explore"), "level": 2 if overviews else 1}
    page = {"title": title, "overviews": overviews, "live": live, **parts}
    empty = render(PAGE, fitting=FittedStudies(), **page)
    fitting = fitted_studies(
        studies,
        lambda study, figures, left_out: render(
            "study.html.jinja", study=study, figures=figures, left_out=left_out, **about
        ),
        room=MOST_BYTES - size_of(empty) - LINK * len(studies),
    )
    return render(PAGE, fitting=fitting, **page)


def _study(context: ReportContext, *, number: int) -> dict[str, Any]:
    """The values of one study for the template."""
    frame, comparison = context.frame, context.comparison
    if frame.empty or comparison.empty:
        raise ValueError(f"frame: study {context.study!r} has no trials; run it first")
    counts = {
        status: int((frame["status"] == status).sum()) for status in ("complete", "diverged", "failed", "missing")
    }
    baselines = references(frame)
    verdicts = [_verdict(row, baselines) for row in comparison.to_dict("records") if row["verdict"] != "baseline"]
    verdicts.sort(key=lambda one: VERDICTS.index(one["verdict"]))
    decided = [one for one in verdicts if len(verdicts) <= LISTED or one["verdict"] in ("helps", "hurts")]
    own = list(dict.fromkeys(baselines.values())) or [
        str(v) for v in comparison.loc[comparison["verdict"] == "baseline", "variant"]
    ]
    return {
        "id": f"study-{number}",
        "context": context,
        "counts": counts,
        "total": len(frame),
        "data": data_sentence(comparison, context.setup),
        "changes": changes_table(context.changes, context.left_out, baselines),
        "baselines": own,
        "verdicts": decided,
        "undecided": verdicts[len(decided) :],
        "tally": [
            (v, sum(one["verdict"] == v for one in verdicts))
            for v in VERDICTS
            if any(one["verdict"] == v for one in verdicts)
        ],
        "table": display_table(comparison, title=context.question, setup=context.setup, columns=context.columns),
        "more": more_table(comparison),
        "figures": [embedded(figure) for figure in context.figures],
        "predictions": None
        if context.predictions is None
        else display_predictions(context.predictions, context.thumbnails),
        "without": "" if context.predictions is None else without_predictions(context.predictions),
        "calibration": None if context.calibration is None else display_calibration(context.calibration),
        "uncalibrated": "" if context.calibration is None else without_calibration(context.calibration),
        "methods": methods_paragraph(frame, comparison, setup=context.setup, environment=context.environment),
        "bibtex": bibtex(context.study, frame),
        "seeds": seed_table(frame),
        "fairness": fairness_table(frame, comparison, baselines),
        "recipes": recipe_sentence(frame),
        "troubles": [row for row in frame.to_dict("records") if row["status"] in ("diverged", "failed")],
        "missing": _missing(frame),
        "environment": {key: _plain(value) for key, value in context.environment.items()},
    }


def _verdict(row: Mapping[Any, Any], baselines: Mapping[str, str]) -> dict[str, str]:
    text, sentence = row.get("verdict_text"), row.get("sentence")
    if not isinstance(sentence, str):
        sentence = (
            f"{f.points(row['delta_mean'])} pp {f.interval(row['delta_ci_low'], row['delta_ci_high'], signed=True)},"
            f" n = {row['n']}"
        )
    return {
        "variant": str(row["variant"]),
        "baseline": baselines.get(str(row["variant"]), ""),
        "verdict": str(row["verdict"]),
        "text": text if isinstance(text, str) else str(row["verdict"]),
        "sentence": sentence,
    }


def embedded(figure: SavedFigure) -> dict[str, str]:
    """Return a saved figure for a page: name, alternative text, kind, content in base64, and its shape, `wide` if it is
    wider than a column.
    """
    path, kind = (figure.svg, "svg+xml") if figure.svg.stat().st_size <= LARGEST_SVG else (figure.png, "png")
    return {
        "name": figure.name,
        "alt": figure.alt,
        "kind": kind,
        "data": base64.b64encode(path.read_bytes()).decode(),
        "shape": "wide" if figure.width > 1.2 * style.COLUMN_WIDTH else "narrow",
    }


def _missing(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Variants with trials that have not run, and the seeds of these."""
    waiting = frame[frame["status"] == "missing"]
    return [
        (str(variant), ", ".join(str(s) for s in sorted(group["seed"])))
        for variant, group in waiting.groupby("variant", sort=False)
    ]


def _overview(contexts: Sequence[ReportContext]) -> DisplayTable:
    rows = []
    for number, context in enumerate(contexts, 1):
        counts = context.comparison["verdict"].value_counts()
        ended = int(context.frame["status"].isin(["complete", "diverged"]).sum())
        verdicts = ", ".join(f"{counts[v]} {v}" for v in VERDICTS if v in counts) or "nothing to compare"
        sets = f.join_words(str(d) for d in dict.fromkeys(context.frame["dataset"].dropna()))
        rows.append(
            (
                Cell(text=context.study, order=number),
                Cell(text=context.question, order=context.question),
                Cell(text=verdicts, order=verdicts),
                Cell(text=sets, order=sets),
                Cell(text=f"{ended} of {len(context.frame)}", order=ended),
            )
        )
    titles = ("Study", "Question", "Verdicts", "Data", "Trials ended")
    return DisplayTable(
        caption="The studies of this page.",
        columns=tuple(Column(title=t, numeric=False) for t in titles),
        rows=tuple(rows),
    )


def _plain(value: object) -> str:
    """A value of the environment as text on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items() if inner is not None)
    if isinstance(value, list | tuple):
        return "; ".join(_plain(inner) for inner in value)
    return "unknown" if value is None else str(value)
