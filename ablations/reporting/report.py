"""One self-contained HTML page per study, and one for all: verdicts first, then table, figures, every seed, fairness,
what went wrong.

The page needs no network: figures are inside, the only script is ours and named by its hash in the page's security
policy.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.analysis.families import page_comparisons
from ablations.reporting.methods import bibtex, methods_paragraph
from ablations.reporting.plot_rows import references
from ablations.reporting.predictions import display_predictions, without_predictions
from ablations.reporting.tables import Cell, Column, DisplayTable, any_above_chance, data_sentence, display_table
from ablations.reporting.templates import read, render
from xception.base import formatting as f
from xception.base.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from ablations.analysis.predictions import PredictionTables
    from ablations.reporting.figures import SavedFigure

__all__ = ["ReportContext", "embedded", "page_table", "study_page", "write_report", "write_store_report"]

CITATION = "Xception ablations: architecture ablations and searches around one parameterised Xception generator."
LARGEST_SVG = 600_000  # bytes; a figure with more is put into the page as PNG
LISTED = 12  # verdicts; of more, those that decide nothing are folded away
VERDICTS = ("helps", "hurts", "no meaningful effect", "inconclusive")


@dataclass(frozen=True, kw_only=True)
class ReportContext:
    """All that the page of one study is made of.

    `frame` and `comparison` are those of `ablations.load` and `ablations.compare`; `fairness` says what the runner
    knows of budget, matching and tuning, `notices` what the reader must see first, `setup` what was trained, `changes`
    the fields that each variant changes, `left_out` the variants that cannot exist here, `effects` those of a
    factorial, `predictions` what the kept predictions say, `front` how sure the front of accuracy against costs is.
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
    notices: Sequence[str] = ()
    fairness: Mapping[str, str] = field(default_factory=dict)
    setup: str = ""
    changes: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    effects: DisplayTable | None = None
    predictions: PredictionTables | None = None
    front: DisplayTable | None = None
    citation: str = CITATION


def write_report(context: ReportContext, path: Path) -> None:
    """Write the page of one study as one file.

    Raises:
        ValueError: the study has no trials, or the comparison lacks a column.
        OSError: a figure cannot be read or the page not be written.
    """
    write_atomically(path, study_page(context))


def study_page(context: ReportContext) -> str:
    """Return the page of one study."""
    return _page(title=f"{context.study}: {context.question}", studies=[_study(context, number=1)], overviews=[])


def write_store_report(contexts: Sequence[ReportContext], path: Path, *, name: str = "All studies") -> None:
    """Write one page for several studies: an overview, then each study whole.

    Raises:
        ValueError: there are no studies, or one has no trials.
        OSError: a figure cannot be read or the page not be written.
    """
    if not contexts:
        raise ValueError("contexts: no studies are not allowed; run a study first")
    studies = [_study(context, number=number) for number, context in enumerate(contexts, 1)]
    together = page_comparisons([context.frame for context in contexts])
    overviews = [_overview(contexts), *([page_table(together)] if len(together) else [])]
    write_atomically(path, _page(title=name, studies=studies, overviews=overviews))


def _page(*, title: str, studies: list[dict[str, Any]], overviews: Sequence[DisplayTable]) -> str:
    script, styles = read("report.js"), read("report.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return render(
        "report.html.jinja",
        title=title,
        studies=studies,
        overviews=overviews,
        script=script,
        script_hash=digest,
        styles=styles,
    )


def _study(context: ReportContext, *, number: int) -> dict[str, Any]:
    """What the template shows of one study."""
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
        "changes": _changes_table(context, baselines),
        "baselines": own,
        "verdicts": decided,
        "undecided": verdicts[len(decided) :],
        "tally": [
            (v, sum(one["verdict"] == v for one in verdicts))
            for v in VERDICTS
            if any(one["verdict"] == v for one in verdicts)
        ],
        "table": display_table(comparison, title=context.question, setup=context.setup),
        "more": _more_table(comparison),
        "figures": [embedded(figure) for figure in context.figures],
        "predictions": None if context.predictions is None else display_predictions(context.predictions),
        "without": "" if context.predictions is None else without_predictions(context.predictions),
        "methods": methods_paragraph(frame, comparison, setup=context.setup, environment=context.environment),
        "bibtex": bibtex(context.study, frame),
        "seeds": _seed_table(frame),
        "fairness": _fairness_table(frame, comparison, baselines),
        "recipes": _recipe_sentence(frame),
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


def _more_table(comparison: pd.DataFrame) -> DisplayTable:
    """What is reported beside the verdicts: the interval for new test images, improvement by runs, success rates."""
    rows, is_told = [], any_above_chance(comparison)
    for row in comparison.to_dict("records"):
        rate = f.percent(row["success_rate"], 0)
        success = f"{rate} {f.interval(row['success_ci_low'], row['success_ci_high'], 0)}"
        is_base = row["verdict"] == "baseline"
        rows.append(
            (
                Cell(text=str(row["variant"]), order=str(row["variant"])),
                Cell(
                    text="–" if is_base else f.interval(row["example_ci_low"], row["example_ci_high"], signed=True),
                ),
                Cell(text="–" if is_base else f.percent(row["probability_of_improvement"], 0)),
                *([Cell(text=success if f.is_number(row["success_rate"]) else f.NOT_MEASURED)] if is_told else []),
            )
        )
    titles = (
        "95 % interval of Δ for new seeds and test images (pp)",
        "Probability of improvement (%)",
        *(["Runs above chance (%)"] if is_told else []),
    )
    return DisplayTable(
        caption="The verdicts hold for this test set; the wider interval holds for test sets drawn like it. Probability"
        " of improvement: the share of all pairs of runs in which the variant beats the baseline."
        + (
            " Runs above chance: those that did not diverge and whose final validation accuracy is above what guessing"
            " reaches (binomial, 99 %), with a 95 % interval."
            if is_told
            else " No run ended above chance."
        ),
        columns=(Column(title="Variant", numeric=False), *(Column(title=t) for t in titles)),
        rows=tuple(rows),
    )


def embedded(figure: SavedFigure) -> dict[str, str]:
    """Return a saved figure as a page holds it: alternative text, kind and content in base64."""
    path, kind = (figure.svg, "svg+xml") if figure.svg.stat().st_size <= LARGEST_SVG else (figure.png, "png")
    return {"alt": figure.alt, "kind": kind, "data": base64.b64encode(path.read_bytes()).decode()}


def _changes_table(context: ReportContext, baselines: Mapping[str, str]) -> DisplayTable | None:
    """The fields that each variant changes against its baseline; None where an older version stored the plan."""
    if not context.changes and not context.left_out:
        return None
    rows = []
    for variant, changes in context.changes.items():
        for path, before, after in changes or [("nothing but the seeds' draws", "", "")]:
            words = (variant, path, before, after)
            rows.append(tuple(Cell(text=word, order=word) for word in words))
    rows += [
        tuple(Cell(text=word, order=word) for word in (variant, "left out", "", reason))
        for variant, reason in context.left_out.items()
    ]
    several = len(set(baselines.values())) > 1
    return DisplayTable(
        caption="What each variant changes: field, value of "
        + ("its baseline" if several else f"the baseline, {next(iter(baselines.values()), 'none')}")
        + ", and its own value. Everything else is equal.",
        columns=tuple(Column(title=t, numeric=False) for t in ("Variant", "Field", "Baseline", "Variant's value")),
        rows=tuple(rows),
    )


def _seed_table(frame: pd.DataFrame) -> DisplayTable:
    """Every seed's test accuracy, a column per seed; what is not complete says what it is."""
    seeds = sorted({int(s) for s in frame["seed"]})
    rows = []
    for variant, group in frame.groupby("variant", sort=False):
        own = {int(row["seed"]): row for row in group.to_dict("records")}
        cells = [Cell(text=str(variant), order=str(variant))]
        for seed in seeds:
            row = own.get(seed)
            if row is None:
                cells.append(Cell(text="not planned"))
            elif row["status"] == "complete":
                cells.append(Cell(text=f.percent(row["test_accuracy"]), order=float(row["test_accuracy"])))
            else:
                cells.append(Cell(text=str(row["status"])))
        rows.append(tuple(cells))
    columns = (Column(title="Variant", numeric=False), *(Column(title=f"Seed {seed}") for seed in seeds))
    caption = f"Test accuracy (%) of every trial. {data_sentence(frame)}"
    if (frame["status"] == "diverged").any():
        caption += " Diverged trials are in no mean."
    return DisplayTable(caption=caption, columns=columns, rows=tuple(rows))


def _fairness_table(frame: pd.DataFrame, comparison: pd.DataFrame, baselines: Mapping[str, str]) -> DisplayTable:
    """What each variant was given and cost, beside the baseline."""
    recipes = _recipes(frame)
    by_name = {str(row["variant"]): row for row in comparison.to_dict("records")}
    rows = []
    for name, row in by_name.items():
        base = by_name.get(baselines.get(name, name))
        own_recipe = recipes.get(baselines.get(name, name), {})
        planned = int((frame["variant"] == row["variant"]).sum())
        different = [
            f"{key}: {recipes[name].get(key, 'default')}"
            for key in sorted({*recipes.get(name, {}), *own_recipe})
            if name in recipes and recipes[name].get(key) != own_recipe.get(key)
        ]
        matched = name.rsplit("@", 1)[1] if name.endswith(("@params", "@macs")) else "no"
        rows.append(
            (
                Cell(text=name, order=name),
                Cell(text=str(planned), order=planned),
                *(_ratio(row[cost], base[cost] if base else None) for cost in ("params", "macs", "train_seconds")),
                Cell(text=matched, order=matched),
                Cell(text="; ".join(different) or "the same", order=len(different)),
            )
        )
    titles = ("Trials planned", "Params, × baseline", "MACs, × baseline", "Training time, × baseline")
    columns = (
        Column(title="Variant", numeric=False),
        *(Column(title=t) for t in titles),
        Column(title="Matched to baseline in", numeric=False),
        Column(title="Recipe", numeric=False),
    )
    return DisplayTable(caption="What each variant was given, beside the baseline.", columns=columns, rows=tuple(rows))


def _ratio(value: object, base: object) -> Cell:
    if not (f.is_number(value) and f.is_number(base) and float(base)):  # type: ignore[arg-type]
        return Cell(text=f.NOT_MEASURED)
    ratio = float(value) / float(base)  # type: ignore[arg-type]
    return Cell(text=f"{ratio:.2f}", order=ratio)


def _recipes(frame: pd.DataFrame) -> dict[str, dict[str, object]]:
    """Each variant's recipe as dotted paths, without fields at their default; only of variants that ran."""
    out: dict[str, dict[str, object]] = {}
    for row in frame.to_dict("records"):
        text = row.get("recipe_json")
        if isinstance(text, str) and str(row["variant"]) not in out:
            out[str(row["variant"])] = dict(_flat(json.loads(text)))
    return out


def _recipe_sentence(frame: pd.DataFrame) -> str:
    recipes = list(_recipes(frame).values())
    if not recipes:
        return "No variant was trained yet."
    if all(recipe == recipes[0] for recipe in recipes):
        return (
            "All variants that ran were trained with the same recipe, for the same number of epochs, on the same splits"
            " of the same seeds."
        )
    return "Recipes differ between variants, as the table says; splits and seeds are the same."


def _flat(value: object, path: str = "") -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [item for key, inner in value.items() for item in _flat(inner, f"{path}.{key}" if path else str(key))]
    return [(path, json.dumps(value) if isinstance(value, list) else value)]


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
        caption="All studies in this store.",
        columns=tuple(Column(title=t, numeric=False) for t in titles),
        rows=tuple(rows),
    )


def page_table(together: pd.DataFrame) -> DisplayTable:
    """Return the comparisons of a page as people read them, with intervals that hold over all of the page."""
    titles = ("Study", "Variant", "Baseline", "n", "Δ (pp)", "95 % interval (pp)", "90 % interval (pp)", "p", "Verdict")
    rows = []
    for row in together.to_dict("records"):
        ends = [(row["low"], row["high"]), (row["equivalence_low"], row["equivalence_high"])]
        rows.append(
            (
                *(Cell(text=str(row[name]), order=str(row[name])) for name in ("study", "variant", "baseline")),
                Cell(text=str(row["n"]), order=row["n"]),
                Cell(text=f.points(row["mean"]), order=row["mean"] if f.is_number(row["mean"]) else None),
                *(Cell(text=f.interval(low, high, signed=True)) for low, high in ends),
                Cell(text=f.p_value(row["p_adjusted"])),
                Cell(text=row["verdict"], order=row["verdict"]),
            )
        )
    sizes = f.join_words(str(size) for size in dict.fromkeys(together["family"]))
    return DisplayTable(
        caption="Studies that share a baseline, read together: intervals and verdicts hold over all comparisons of this"
        f" page with that baseline ({sizes}). The tables of the studies hold for each study by itself.",
        columns=tuple(Column(title=t, numeric=t not in (*titles[:3], "Verdict")) for t in titles),
        rows=tuple(rows),
    )


def _plain(value: object) -> str:
    """A value of the environment as text on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items() if inner is not None)
    if isinstance(value, list | tuple):
        return "; ".join(_plain(inner) for inner in value)
    return "unknown" if value is None else str(value)
