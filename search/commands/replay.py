"""`replay`: search methods compared on a table, with regrets, ranks, importances and a figure."""

from __future__ import annotations

import math
import sys
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ablations.reporting.figures import StudyFigure, save_figures
from ablations.reporting.tables import csv_text
from ablations.running.context import require_writable
from search.benchmark.figures import regret_plot
from search.benchmark.importance import functional_anova
from search.benchmark.replay import check_methods, compare_methods, exhaustive_regret, runs_frame, summary
from search.benchmark.tabular import Table
from search.results.plots import importance_plot
from xception.base.files import write_atomically

__all__ = ["replay"]


def replay(path: Path, methods: Sequence[str], *, trials: int, repeats: int, seed: int, out: Path) -> int:
    """Simulate searches with each method and write the results to `<out>/replay`; return the exit status.

    Raises:
        ValueError: an option or the table does not fit; the message names it.
    """
    for name, value, least in (("--trials", trials, 1), ("--repeats", repeats, 2), ("--seed", seed, 0)):
        if value < least:
            raise ValueError(f"{name}: {value} is not allowed; {least} or more")
    table = Table.read(path)
    check_methods(methods, table)
    require_writable(out)
    runs = compare_methods(
        table, methods, trials=trials, repeats=repeats, seed=seed, say=lambda line: print(line, file=sys.stderr)
    )
    folder = out / "replay"
    folder.mkdir(exist_ok=True)
    floors = [exhaustive_regret(table, seed + repeat) for repeat in range(repeats)]
    result = summary(runs, trials, floors).sort_values("test_regret", ignore_index=True)
    write_atomically(folder / "summary.csv", csv_text(result))
    write_atomically(folder / "regrets.csv", csv_text(runs_frame(runs)))
    shares = functional_anova(table.grid, [table.at(values).val_accuracy for values in table.grid])
    write_atomically(
        folder / "importance.csv", csv_text(pd.DataFrame({"dimension": shares.keys(), "importance": shares.values()}))
    )
    about = ", ".join(str(table.about[name]) for name in ("dataset", "training", "seeds") if name in table.about)
    note = f"{len(table.grid)} networks of the space {table.space.name}, all of them trained ({about})."
    regret = regret_plot(runs, trials, title=f"Search methods on {table.space.name}", note=note)
    rows = result.to_dict("records")
    spoken = "; ".join(f"{row['method']}: regret {100 * row['test_regret']:.2f} pp" for row in rows)
    what = f"What matters in {table.space.name}"
    method = (
        "Exact functional ANOVA of the mean over seeds; the rest to 1 are interactions of three and more, and noise."
    )
    importance = importance_plot(shares, objective="val_accuracy", title=what, note=f"{note} {method}")
    figures = [
        StudyFigure(name="regret", alt=spoken, figure=regret),
        StudyFigure(
            name="importance", alt=", ".join(f"{name} {share:.2f}" for name, share in shares.items()), figure=importance
        ),
    ]
    save_figures(figures, folder / "figures")
    print(_shown(result))
    print(f"Results: {folder}", file=sys.stderr)
    return 0


def _shown(result: pd.DataFrame) -> str:
    """The table as text."""
    lines = ["method        regret (pp)            lower than random (pp)  trainings  networks  own ms/trial  trials/s"]
    for row in result.to_dict("records"):
        less = "" if math.isnan(row.get("lower_than_random", math.nan)) else _interval(row, "lower_than_random")
        lines.append(
            f"{row['method']:<12}  {_interval(row, 'test_regret'):<21}  {less:<22}  {row['trainings']:>9.1f}"
            f"  {row['networks']:>8.1f}  {row['own_ms_per_trial']:>12.2f}  {row['trials_per_second']:>8.0f}"
        )
    floor = 100 * result["floor"].iloc[0]
    lines.append(f"{'floor':<12}  {floor:.2f} pp: a search that sees every network once, with one seed")
    return "\n".join(lines)


def _interval(row: Mapping[Hashable, Any], name: str) -> str:
    low, high = 100 * row[f"{name}_ci_low"], 100 * row[f"{name}_ci_high"]
    return f"{100 * row[name]:.2f} [{low:.2f}, {high:.2f}]"
