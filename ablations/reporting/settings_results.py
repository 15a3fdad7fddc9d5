"""The results of one study in several settings: the sentence first, then the forest, tables and files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ablations.analysis.frame import plan_frame
from ablations.analysis.settings import Setting, SettingsComparison, compare_settings
from ablations.reporting.explore import page_parts
from ablations.reporting.explore_settings import explorable_settings
from ablations.reporting.figures import StudyFigure, save_figures
from ablations.reporting.markup import Cell, Column, DisplayTable, to_markdown
from ablations.reporting.own_files import replacing_own_files
from ablations.reporting.presentation import AS_USUAL, Presentation
from ablations.reporting.report import CITATION, embedded
from ablations.reporting.settings_plots import decision_plot, effect_over_budget, settings_forest
from ablations.reporting.tables import write_table
from ablations.reporting.templates import render
from xception.base import formatting as f
from xception.base.canonical import key_of
from xception.base.files import write_atomically

if TYPE_CHECKING:
    from ablations.records.record import StoredPlan
    from ablations.records.store import Store

__all__ = ["Written", "settings_groups", "write_settings"]


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written: the folder of the whole and the comparison in it."""

    folder: Path
    comparison: SettingsComparison


def settings_groups(plans: Iterable[StoredPlan]) -> list[list[StoredPlan]]:
    """Return the plans that are settings of one study each, grouped; single plans and single settings are left out."""
    groups: dict[str, list[StoredPlan]] = {}
    for plan in plans:
        if plan.description.setting:
            groups.setdefault(str(PurePosixPath(plan.run).parent), []).append(plan)
    return [group for group in groups.values() if len(group) > 1]


METHOD = (
    "Effect: mean of the per-seed differences from the baseline in the same setting, in percentage points (pp). Both"
    " intervals (95 % and, inside, 90 %) are simultaneous over variants × settings, and verdicts are read off them: the"
    " 90 % interval within ±δ means no meaningful effect, otherwise the 95 % interval above or below zero means helps"
    " or hurts. Whether an effect depends on a field is tested on contrasts between settings, one value per seed,"
    " together over variants × contrasts at 5 %. Trends are slopes per doubling, simultaneous over variants."
)


def write_settings(
    store: Store,
    plans: Sequence[StoredPlan],
    out: Path,
    *,
    num_planned: int | None = None,
    presentation: Presentation = AS_USUAL,
) -> Written:
    """Write `settings.*`, `pooled.*`, `trends.*` and `decisions.*`, figures and the page of a study's settings into the
    folder that their own folders are in.

    `num_planned` is the number of settings that were asked for, where some are not there yet.

    Raises:
        ValueError: the settings cannot be compared, or a file that is not ours is in the way.
        OSError: the folder cannot be written.
    """
    first = plans[0]
    folder = out / PurePosixPath(first.run).parent
    settings = [Setting(values=p.description.setting, frame=plan_frame(store, p)) for p in plans]
    result = compare_settings(settings)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing_own_files(folder) as made:
        effects, trends, decisions = _effects_table(result), _trends_table(result), _decisions_table(result)
        for name, frame, people in (
            ("settings", result.effects, effects),
            ("pooled", result.answers, _pooled_table(result)),
            ("trends", result.trends, trends),
            ("decisions", result.decisions, decisions),
        ):
            write_table(made, name, frame, people, study=first.study)
        write_atomically(made / "settings.md", _text(first, result, effects))  # the answers before the table
        drawn = _figures(first, settings, result, presentation.figure_width)
        saved = save_figures(drawn, made / "figures", figure_style=presentation.figure_style)
        parts = page_parts([explorable_settings(result)])
        explored, how_to_explore = parts.pop("explored"), parts.pop("how_to_explore")
        page = render(
            "settings.html.jinja",
            study=first.study,
            question=first.description.question,
            reference=first.description.reference,
            command=first.description.across,
            settings=[(s.label, PurePosixPath(p.run).name) for s, p in zip(settings, plans, strict=True)],
            remarks=_remarks(settings, plans, num_planned or len(plans)),
            answers=result.answers.to_dict("records"),
            effects=effects,
            trends=trends,
            decisions=decisions,
            figures=[embedded(figure) for figure in saved],
            method=METHOD,
            citation=CITATION,
            explored=explored[0],
            how_to_explore=how_to_explore,
            **parts,
        )
        write_atomically(made / "report.html", page)
        provenance = {
            "plan": key_of(sorted(p.plan for p in plans)),
            "study": first.study,
            "question": first.description.question,
            "command": first.description.across,
            "settings": [{**p.description.setting, "run": p.run, "plan": p.plan} for p in plans],
            "setup": {p.run: p.description.setup for p in plans},
            "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_atomically(made / "provenance.json", json.dumps(provenance, indent=1, ensure_ascii=False) + "\n")
    return Written(folder=folder, comparison=result)


def _remarks(settings: Sequence[Setting], plans: Sequence[StoredPlan], num_planned: int) -> list[str]:
    notices = list(dict.fromkeys(p.description.notice for p in plans if p.description.notice))
    left_out = [
        f"{setting.label}: {name} is left out ({reason})"
        for setting, plan in zip(settings, plans, strict=True)
        for name, reason in plan.description.left_out.items()
    ]
    missing = num_planned - len(plans)
    unfinished = [f"Not finished: {missing} of {num_planned} settings are still to come."] if missing else []
    return [*unfinished, *notices, *left_out]


def _text(plan: StoredPlan, result: SettingsComparison, effects: DisplayTable) -> str:
    """The answer in Markdown: a sentence per variant, then the effects."""
    num = result.effects["setting"].nunique()
    lines = [f"{plan.description.question} In {num} settings:", ""]
    lines += [f"- {row['variant']}: {row['sentence']}" for row in result.answers.to_dict("records")]
    lines += ["", to_markdown(effects), "", METHOD]
    return "\n".join(lines) + "\n"


def _figures(
    plan: StoredPlan, settings: Sequence[Setting], result: SettingsComparison, width: float | None
) -> list[StudyFigure]:
    given = {} if width is None else {"width": width}
    title = f"{plan.study}: effects in {len(settings)} settings"
    names = "; ".join(f"{one.name} {f.join_words(str(value) for value in one.values)}" for one in result.fields)
    note = f"Settings: {names}."
    spoken = " ".join(f"{row['variant']}: {row['sentence']}." for row in result.answers.head(12).to_dict("records"))
    out = [
        StudyFigure(
            name="settings",
            alt=f"Forest plot. {spoken}",
            figure=settings_forest(result, title=title, note=note, **given),
            data=result.effects,
        )
    ]
    for one in result.fields:
        if one.is_numeric and len(one.values) > 1:
            over = f"{plan.study}: effect over {one.name}"
            figure = effect_over_budget(result, one.name, title=over, note=note, width=width)
            alt = (
                f"Effect of each variant over {one.name}, with simultaneous intervals; the numbers are in settings.csv."
            )
            name = f"effect_{one.name.replace('.', '_')}"
            out.append(StudyFigure(name=name, alt=alt, figure=figure, data=result.effects))
    if len(result.decisions):
        figure = decision_plot(result, title=f"{plan.study}: can small runs decide?", note=note, **given)
        alt = "Decision accuracy of each budget over the training time of a trial; the numbers are in decisions.csv."
        out.append(StudyFigure(name="decision_accuracy", alt=alt, figure=figure, data=result.decisions))
    return out


def _effects_table(result: SettingsComparison) -> DisplayTable:
    numbers = ("n", "Baseline (%)", "Δ (pp)", "95 % interval (pp)", "90 % interval (pp)", "p")
    columns = (*_columns(("Variant", "Setting"), numbers), Column(title="Verdict", numeric=False))
    rows = []
    for row in result.effects.to_dict("records"):
        cells = [Cell(text=str(row["variant"]), order=str(row["variant"])), Cell(text=str(row["setting"]))]
        cells += [_number(row["n"], str(row["n"])), _number(row["baseline_mean"], f.percent(row["baseline_mean"]))]
        cells += [_number(row["delta_mean"], f.points(row["delta_mean"]))]
        for name in ("delta_ci", "equivalence_ci"):
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            cells.append(_number(low, f.interval(low, high, signed=True)))
        cells += [_number(row["p_adjusted"], f.p_value(row["p_adjusted"])), Cell(text=str(row["verdict"]))]
        rows.append(tuple(cells))
    return DisplayTable(caption="Every variant in every setting.", columns=columns, rows=tuple(rows))


def _pooled_table(result: SettingsComparison) -> DisplayTable:
    """Each variant's answer over all settings, with its pooled effect where settings are pooled."""
    is_pooled = bool(result.answers["pooled_mean"].notna().any())
    numbers = ("Pooled Δ (pp)", "95 % interval (pp)", "95 % interval in a new setting (pp)") if is_pooled else ()
    rows = []
    for row in result.answers.to_dict("records"):
        cells = [Cell(text=str(row["variant"])), Cell(text=str(row["sentence"]))]
        if is_pooled:
            cells.append(_number(row["pooled_mean"], f.points(row["pooled_mean"])))
            for name in ("pooled_ci", "new_ci"):
                low, high = row[f"{name}_low"], row[f"{name}_high"]
                cells.append(_number(low, f.interval(low, high, signed=True)))
        rows.append(tuple(cells))
    pooled = (
        " The pooled effect is the mean over the settings; the last interval is that of the effect in another setting"
        " like these."
        if is_pooled
        else ""
    )
    return DisplayTable(
        caption=f"Where the effect of each variant holds.{pooled}",
        columns=_columns(("Variant", "Answer"), numbers),
        rows=tuple(rows),
    )


def _trends_table(result: SettingsComparison) -> DisplayTable | None:
    if result.trends.empty:
        return None
    numbers = ("Slope per doubling (pp)", "95 % interval (pp)", "At smallest (pp)", "At largest (pp)", "Ratio")
    columns = _columns(("Variant", "Budget", "Trend"), (*numbers, "95 % interval"))
    rows = []
    for row in result.trends.to_dict("records"):
        word = "persists but shrinks" if row["shrinks"] else str(row["trend"])
        ends = (row["ratio_ci_low"], row["ratio_ci_high"])
        bounded = all(f.is_number(end) and abs(float(end)) < float("inf") for end in ends)
        rows.append(
            (
                Cell(text=str(row["variant"])),
                Cell(text=str(row["field"])),
                Cell(text=word),
                _number(row["slope"], f.points(row["slope"])),
                _number(row["slope_ci_low"], f.interval(row["slope_ci_low"], row["slope_ci_high"], signed=True)),
                _number(row["effect_at_smallest"], f"{f.points(row['effect_at_smallest'])} at {row['smallest']}"),
                _number(row["effect_at_largest"], f"{f.points(row['effect_at_largest'])} at {row['largest']}"),
                _number(row["ratio"], f"{row['ratio']:.2f}" if bounded else "not determined"),
                Cell(text=f"[{ends[0]:.2f}, {ends[1]:.2f}]" if bounded else "unbounded"),
            )
        )
    return DisplayTable(
        caption=(
            "Trends over each budget. Ratio: the effect at the largest value over that at the smallest, with Fieller's"
            " interval."
        ),
        columns=columns,
        rows=tuple(rows),
    )


def _decisions_table(result: SettingsComparison) -> DisplayTable | None:
    if result.decisions.empty:
        return None
    numbers = ("Value", "Decision accuracy (%)", "95 % interval (%)", "Difference from the largest (pp)")
    columns = _columns(("Budget", "Where"), (*numbers, "Training per trial"))
    rows = []
    for row in result.decisions.to_dict("records"):
        interval = f"[{100 * row['ci_low']:.0f}, {100 * row['ci_high']:.0f}]"
        rows.append(
            (
                Cell(text=str(row["field"])),
                Cell(text=str(row["where"]) or "–"),
                _number(row["value"], f"{row['value']:g}"),
                _number(row["accuracy"], f"{100 * row['accuracy']:.0f}"),
                Cell(text=interval),
                _number(row["gap"], f"{100 * row['gap']:+.0f}".replace("-", "−")),
                _number(row["train_seconds"], f.seconds(row["train_seconds"])),
            )
        )
    return DisplayTable(
        caption="How often one seed at a budget orders two variants as the largest budget does.",
        columns=columns,
        rows=tuple(rows),
    )


def _columns(words: Sequence[str], numbers: Sequence[str]) -> tuple[Column, ...]:
    return tuple(Column(title=title, numeric=title in numbers) for title in (*words, *numbers))


def _number(order: Any, text: str) -> Cell:
    return Cell(text=text, order=float(order) if f.is_number(order) else None)
