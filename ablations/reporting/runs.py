"""The runs of a store: a description of each, and several of them side by side in one table and figure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.analysis.comparison import compare
from ablations.analysis.frame import plan_frame
from ablations.design.setup import setup_sentence
from ablations.reporting import style
from ablations.reporting.markup import Cell, Column, DisplayTable, to_html, to_latex, to_markdown
from ablations.reporting.own_files import replacing_own_files
from ablations.reporting.tables import csv_text
from xception.base import formatting as f
from xception.base.drawing import load_matplotlib
from xception.base.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ablations.records.record import StoredPlan
    from ablations.records.store import Store

__all__ = ["compared", "described_run", "write_comparison_of_runs"]

_ROW_HEIGHT, _MARGIN = 0.24, 0.9  # inches


def described_run(store: Store, plan: StoredPlan) -> dict[str, Any]:
    """Return the description of a run: study, data, setup, pairs, when, and the verdict of every variant."""
    frame = plan_frame(store, plan)
    about = plan.description
    out: dict[str, Any] = {
        "run": plan.run,
        "study": plan.study,
        "dataset": about.dataset,
        "scale": about.scale,
        "setup": about.setup,
        "n": None,
        "num_trials": len(frame),
        "statuses": {str(k): int(v) for k, v in frame["status"].value_counts().items()},
        "when": plan.planned_at,
        "verdicts": {},
        "command": about.command,
    }
    if frame["test_accuracy"].notna().any():
        table = compare(frame)
        pairs = table.loc[table["verdict"] != "baseline", "n"]
        out["n"] = int(pairs.min()) if len(pairs) else int(table["n"].max())
        out["verdicts"] = {str(row["variant"]): str(row["verdict"]) for row in table.to_dict("records")}
    return out


def compared(store: Store, plans: Sequence[StoredPlan]) -> pd.DataFrame:
    """Return one row per variant and run, in the order of the first run that has the variant: accuracy, effect with
    its interval, and verdict.
    """
    import pandas as pd

    columns = [
        *("variant", "n", "test_accuracy_mean", "test_accuracy_ci_low", "test_accuracy_ci_high", "delta_mean"),
        *("delta_ci_low", "delta_ci_high", "p_adjusted", "verdict", "delta_margin", "dataset", "scale"),
    ]
    tables = []
    for plan in plans:
        table = compare(plan_frame(store, plan)).reindex(columns=columns)
        table.insert(0, "run", plan.run)
        tables.append(table)
    whole = pd.concat(tables, ignore_index=True)
    order = {variant: i for i, variant in enumerate(dict.fromkeys(whole["variant"]))}
    places = {plan.run: i for i, plan in enumerate(plans)}
    whole["_variant"], whole["_run"] = whole["variant"].map(order), whole["run"].map(places)
    return whole.sort_values(["_variant", "_run"]).drop(columns=["_variant", "_run"]).reset_index(drop=True)


def write_comparison_of_runs(store: Store, plans: Sequence[StoredPlan], folder: Path, *, command: str) -> pd.DataFrame:
    """Write `compare.csv`, `.md`, `.tex`, `.html` and the figure of all effects into a folder; return the table.

    Raises:
        ValueError: a file that is not ours is where one of ours would be.
        OSError: the folder cannot be written.
    """
    table = compared(store, plans)
    shown = _display(table, plans)
    figure = _effects_figure(table, [plan.run for plan in plans])
    with replacing_own_files(folder) as made:
        write_atomically(made / "compare.csv", csv_text(table))
        write_atomically(made / "compare.md", to_markdown(shown))
        write_atomically(made / "compare.tex", to_latex(shown, label="tab:runs"))
        write_atomically(made / "compare.html", to_html(shown))
        if figure is not None:
            for kind in ("png", "svg", "pdf"):
                with style.context():
                    figure.savefig(made / f"compare.{kind}")
        about = {"command": command, "runs": [plan.run for plan in plans], "plans": [plan.plan for plan in plans]}
        write_atomically(made / "provenance.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    return table


def _display(table: pd.DataFrame, plans: Sequence[StoredPlan]) -> DisplayTable:
    rows = []
    for row in table.to_dict("records"):
        is_base = row["verdict"] == "baseline"
        effect = (
            ("–", "–")
            if is_base
            else (
                f.points(row["delta_mean"]),
                f.interval(row["delta_ci_low"], row["delta_ci_high"], signed=True),
            )
        )
        texts = (
            row["variant"],
            row["run"],
            str(row["n"]),
            f.percent(row["test_accuracy_mean"]),
            *effect,
            row["verdict"],
        )
        rows.append(tuple(Cell(text=str(text), order=str(text)) for text in texts))
    titles = ("Variant", "Run", "n", "Test accuracy (%)", "Δ (pp)", "95 % interval of Δ (pp)", "Verdict")
    words = ("Variant", "Run", "Verdict")
    setups = [f"{plan.run}: {setup_sentence(plan.description.setup) or 'setup not stored'}" for plan in plans]
    return DisplayTable(
        caption="Runs side by side. Each effect is against the baseline of its own run, and its interval holds over"
        f" the comparisons of that run. {' '.join(setups)}",
        columns=tuple(Column(title=title, numeric=title not in words) for title in titles),
        rows=tuple(rows),
    )


def _effects_figure(table: pd.DataFrame, runs: Sequence[str]) -> Figure | None:
    """Every variant's effect in every run, in points, with its interval; None where no run has one."""
    shown = table[(table["verdict"] != "baseline") & table["delta_mean"].notna()]
    if shown.empty:
        return None
    variants = list(dict.fromkeys(shown["variant"]))
    load_matplotlib()
    with style.context():
        import seaborn as sns

        height = _MARGIN + _ROW_HEIGHT * len(variants) * (len(runs) + 1)
        figure = style.new_figure(max(2.0, height))
        axes = figure.subplots()
        axes.axvline(0, color=style.GREY, linewidth=0.7, linestyle="--", zorder=1)
        colours = sns.color_palette("colorblind", max(len(runs), 1))
        markers = "osD^vPX*"
        step = 0.7 / max(len(runs), 1)
        for number, run in enumerate(runs):
            rows = shown[shown["run"] == run].to_dict("records")
            heights = [variants.index(row["variant"]) + (number - (len(runs) - 1) / 2) * step for row in rows]
            for row, height_at in zip(rows, heights, strict=True):
                if f.is_number(row["delta_ci_low"]) and f.is_number(row["delta_ci_high"]):
                    ends = (100 * row["delta_ci_low"], 100 * row["delta_ci_high"])
                    axes.plot(ends, (height_at, height_at), color=colours[number], linewidth=1.2)
            axes.plot(
                [100 * row["delta_mean"] for row in rows],
                heights,
                linestyle="none",
                marker=markers[number % len(markers)],
                color=colours[number],
                markersize=4.5,
                label=style.legible(run),
            )
        axes.set_yticks(range(len(variants)), [style.legible(f.wrapped(str(v), 28)) for v in variants])
        axes.set_ylim(len(variants) - 0.5, -0.5)
        axes.set_xlabel("Δ test accuracy (pp)")
        note = "Means of paired differences, 95 % simultaneous intervals:"
        figure.legend(loc="outside lower left", fontsize=5.8, title=note, title_fontsize=5.8, alignment="left")
        return style.finish(figure, title="Effects in each run", note="")
