"""The folder of a study's results: tables, runs, curves, figures, report and provenance of one plan."""

from __future__ import annotations

import json
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.analysis.comparison import compare
from ablations.analysis.frame import plan_frame
from ablations.analysis.looks import record_looks
from ablations.costs.variant_costs import stored_costs
from ablations.design.setup import setup_sentence
from ablations.reporting import style
from ablations.reporting.calibration import write_calibration
from ablations.reporting.captions import data_sentence
from ablations.reporting.distances import display_distances, write_distances
from ablations.reporting.explore import can_explore, colours
from ablations.reporting.explore_settings import explorable_tuning
from ablations.reporting.explore_sizes import size_figures
from ablations.reporting.extras import write_extras
from ablations.reporting.figures import (
    confusion_figures,
    distance_figures,
    reliability_figures,
    save_figures,
    study_figures,
)
from ablations.reporting.front import display_front, front_table
from ablations.reporting.own_files import replacing_own_files, require_own_page
from ablations.reporting.predictions import shown_examples, write_predictions
from ablations.reporting.presentation import AS_USUAL, Presentation
from ablations.reporting.report import LiveStatus, ReportContext, study_page, write_report, write_store_report
from ablations.reporting.results import Results
from ablations.reporting.side_by_side import display_side_by_side, side_by_side
from ablations.reporting.tables import csv_text, write_runs, write_table, write_tables
from ablations.reporting.thumbnails import thumbnails
from xception.base import formatting as f
from xception.base.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from ablations.records.record import StoredPlan
    from ablations.records.store import Store

__all__ = ["OVERVIEW", "comparison_with_costs", "provisional_page", "write_overview", "write_results", "write_study"]

OVERVIEW = "report.html"
_LIVE_FIGURES = ("differences", "learning_curves")
_SHOWN = ("devices", "threads", "python", "machine", "packages", "commit", "fingerprint")
_PACKAGES = (
    "torch",
    "torchvision",
    "optuna",
    "fvcore",
    "numpy",
    "pandas",
    "scipy",
    "seaborn",
    "sqlalchemy",
)


def write_results(
    store: Store,
    plan: StoredPlan,
    out: Path,
    *,
    tuned: tuple[StoredPlan, pd.DataFrame] | None = None,
    presentation: Presentation = AS_USUAL,
) -> Results:
    """Write tables, runs, curves, figures, report and provenance of a plan into the folder `<out>/<run>`; see
    `write_study`.

    Raises:
        ValueError: a file that is not ours is where one of ours would be.
        OSError: the folder cannot be written.
    """
    context = write_study(store, plan, out, tuned=tuned, presentation=presentation)
    return Results(folder=out / plan.run, frame=context.frame, comparison=context.comparison)


def write_study(
    store: Store,
    plan: StoredPlan,
    out: Path,
    *,
    tuned: tuple[StoredPlan, pd.DataFrame] | None = None,
    presentation: Presentation = AS_USUAL,
) -> ReportContext:
    """Write the results of a plan into the folder `<out>/<run>`; return the content of its page.

    Our own files are replaced once all new ones are complete; other files in the folder stay. `tuned` is the plan of
    the same study at tuned recipes, with the tuning trials: their tables are in the folder `tuned`, and both stand side
    by side in `side_by_side.csv`, `.md` and `.tex`.

    Raises:
        ValueError: a file that is not ours is where one of ours would be.
        OSError: the folder cannot be written.
    """
    folder = out / plan.run
    with replacing_own_files(folder) as made:
        contexts = [_write_comparison(store, plan, made, presentation)]
        if tuned is not None:
            tuned_plan, trials = tuned
            at_tuned = _write_comparison(store, tuned_plan, made / "tuned", presentation)
            contexts.append(replace(at_tuned, place="tuned"))
            write_atomically(made / "tuned" / "tuning.csv", csv_text(trials))
            both = side_by_side(contexts[0].comparison, contexts[1].comparison, trials)
            beside = display_side_by_side(both)
            write_table(made, "side_by_side", both, beside, study=plan.study)
        if tuned is None:
            write_report(contexts[0], made / "report.html")
        else:
            write_store_report(
                contexts,
                made / "report.html",
                name=f"{plan.study}, at one recipe and at tuned ones",
                beside=beside,
                explorable=explorable_tuning(both, plan.description.margin),
            )
    figures = [figure.moved(made, folder) for figure in contexts[0].figures]
    return replace(contexts[0], figures=figures, place=plan.run)


def write_overview(contexts: Sequence[ReportContext], out: Path) -> Path:
    """Write one page about several studies, as `write_study` returned them; return its path.

    Raises:
        ValueError: a file that is not ours has its name.
        OSError: a figure cannot be read or the page not be written.
    """
    require_own_page(out / OVERVIEW)
    write_store_report(contexts, out / OVERVIEW)
    return out / OVERVIEW


def provisional_page(store: Store, plan: StoredPlan, live: LiveStatus) -> str:
    """Return the page of a plan that is still training, from the trials that have ended.

    It does not count as a look of a sequential design. Its figures are the interactive ones or, without them, the
    curves and differences so far.
    """
    whole = plan_frame(store, plan, widths=True)
    widths = {name for curve in plan.description.curves for name in curve["widths"]}
    frame = whole[~whole["variant"].isin(widths)].reset_index(drop=True)
    comparison = comparison_with_costs(store, plan, frame)
    context = _context(plan, whole, frame, comparison, setup_sentence(_setup(plan, whole)))
    if can_explore():
        return study_page(context, live)
    with tempfile.TemporaryDirectory() as folder:
        few = [one for one in study_figures(frame, comparison) if one.name in _LIVE_FIGURES]
        return study_page(replace(context, figures=save_figures(few, Path(folder))), live)


def _context(
    plan: StoredPlan, whole: pd.DataFrame, frame: pd.DataFrame, comparison: pd.DataFrame, setup: str
) -> ReportContext:
    """The content of a page, without the parts that take long to make."""
    provenance = _provenance(plan, whole)
    return ReportContext(
        study=plan.study,
        question=plan.description.question,
        reference=plan.description.reference,
        command=plan.description.command,
        continue_command=plan.description.command,
        environment={name: provenance[name] for name in _SHOWN if provenance[name]},
        frame=frame,
        comparison=comparison,
        notices=_notices(plan),
        setup=setup,
        changes=plan.description.changes,
        left_out=plan.description.left_out,
    )


def _write_comparison(store: Store, plan: StoredPlan, folder: Path, presentation: Presentation) -> ReportContext:
    """Write one plan's tables, runs, curves, figures and provenance; return the content of its page."""
    curves = plan.description.curves
    whole = plan_frame(store, plan, widths=True)
    widths = {name for curve in curves for name in curve["widths"]}
    frame = whole[~whole["variant"].isin(widths)].reset_index(drop=True)
    comparison = comparison_with_costs(store, plan, frame)
    record_looks(store, plan, plan.description.references, comparison)
    variants = [str(variant) for variant in comparison["variant"]]
    facts = _setup(plan, whole)
    setup = setup_sentence(facts)
    write_tables(
        comparison,
        folder,
        title=plan.description.question,
        label=f"tab:{plan.study}",
        setup=setup,
        columns=presentation.columns,
    )
    write_runs(whole, folder)
    predictions = write_predictions(plan, frame, folder)
    calibration = write_calibration(plan, frame, folder)
    front = front_table(frame, comparison)
    people = display_front(front)
    write_table(folder, "pareto", front, people, study=plan.study)
    effects = write_extras(store, plan, frame, comparison, folder)
    distances = write_distances(whole, curves, folder, study=plan.study) if curves else None
    data = data_sentence(comparison, setup)
    one, both = (presentation.figure_width or own for own in (style.COLUMN_WIDTH, style.FULL_WIDTH))
    figures = save_figures(
        [
            *study_figures(frame, comparison, one),
            *distance_figures(whole, curves, distances, one),
            *confusion_figures(predictions, data, both),
            *reliability_figures(calibration, data, one),
        ],
        folder / "figures",
        figure_style=presentation.figure_style,
    )
    provenance = _provenance(plan, whole) | {"setup": facts}
    write_atomically(folder / "provenance.json", json.dumps(provenance, indent=1, ensure_ascii=False) + "\n")
    return replace(
        _context(plan, whole, frame, comparison, setup),
        figures=figures,
        fairness=_fairness(plan, distances),
        effects=effects,
        predictions=predictions,
        calibration=calibration,
        thumbnails=thumbnails(store, frame, shown_examples(predictions.examples)),
        front=people,
        distances=None if distances is None else display_distances(distances, curves),
        explorable=() if distances is None else tuple(size_figures(whole, curves, distances, colours(variants))),
        columns=presentation.columns,
    )


def _notices(plan: StoredPlan) -> list[str]:
    about = plan.description
    return [line for line in (about.notice, *about.remarks, *about.data_warnings) if line]


def _fairness(plan: StoredPlan, distances: pd.DataFrame | None) -> dict[str, str]:
    """Return how sizes were matched and recipes tuned, from the plan, and distances at equal MACs, from the records."""
    out: dict[str, str] = {}
    if plan.description.mismatch:
        out["Sizes"] = "; ".join(
            f"{variant}: {ratio:+.2%} from the baseline" for variant, ratio in plan.description.mismatch.items()
        )
    if distances is not None:
        out["Distance from the baseline's accuracy at equal MACs"] = "; ".join(
            f"{row['variant']}: {row['verdict']}, {row['sentence']}" for row in distances.to_dict("records")
        )
    if plan.description.tune:
        num = plan.description.tune
        out["Tuning"] = (
            f"{num} trials for each variant and replicate over learning rate and weight decay, on validation data of"
            " other seeds; replicate i of every variant is tuned with the same seed"
        )
    return out


def comparison_with_costs(store: Store, plan: StoredPlan, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the comparison of a plan's records with what each variant's network costs."""
    comparison = compare(frame)
    costs = stored_costs(store, plan).set_index("variant")
    for name in costs.columns:
        measured = comparison["variant"].map(costs[name])
        comparison[name] = measured.where(measured.notna(), comparison[name]) if name in comparison else measured
    return comparison


def _setup(plan: StoredPlan, frame: pd.DataFrame) -> dict[str, Any]:
    """The planned setup, with the device and the number of seeds from the records; empty in an older store."""
    if not plan.description.setup:
        return {}
    trained = frame[frame["status"].isin(["complete", "diverged"])]
    devices = sorted(set(trained["device"].dropna()))
    return plan.description.setup | {
        "device": f.join_words(devices) or None,
        "seeds": int(frame["seed"].nunique()),
    }


def _provenance(plan: StoredPlan, frame: pd.DataFrame) -> dict[str, Any]:
    trained = frame[frame["status"].isin(["complete", "diverged"])]
    return {
        **plan.description.values(),
        "study": plan.study,
        "plan": plan.plan,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "num_trials": len(frame),
        "statuses": frame["status"].value_counts().to_dict(),
        "devices": sorted(set(trained["device"].dropna())),
        "threads": sorted({int(n) for n in trained["threads"].dropna()}),
        "training_environments": _distinct(trained["environment"]),
        "train_seconds": float(trained["train_seconds"].sum()),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "commit": _commit(),
    }


def _distinct(environments: pd.Series[Any]) -> list[dict[str, Any]]:
    texts = dict.fromkeys(json.dumps(e, sort_keys=True) for e in environments)
    return [json.loads(text) for text in texts]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the code that made the results; None outside a checkout."""
    try:
        here = Path(__file__)
        known = ["git", "ls-files", "--error-unmatch", here.name]
        tracked = subprocess.run(known, cwd=here.parent, capture_output=True, timeout=10, check=False)
        if tracked.returncode != 0:  # installed somewhere below another checkout
            return None
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here.parent,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
