"""One comparison as CSV, Parquet, Markdown, LaTeX and HTML, and the trials behind it as `runs.csv` and `curves.csv`.

Files for programs have plain numbers and fractions; display tables have percent, points and SI prefixes, made once by
`display_table`. `columns.py` defines the columns; a cell is bold only where the statistics bear it out.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.reporting.captions import any_above_chance, caption
from ablations.reporting.columns import COLUMNS, TABLE_COLUMNS, UNSTEADY, TableColumn
from ablations.reporting.markup import Cell, Column, DisplayTable, to_html, to_latex, to_markdown
from xception.base import formatting as f
from xception.base.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CURVE_COLUMNS",
    "RUN_COLUMNS",
    "TABLE_COLUMNS",
    "csv_text",
    "curves_frame",
    "display_table",
    "runs_frame",
    "table_frame",
    "write_runs",
    "write_table",
    "write_tables",
]

RUN_COLUMNS = (
    "key",
    "study",
    "variant",
    "seed",
    "dataset",
    "scale",
    "status",
    "val_accuracy",
    "test_accuracy",
    "test_top5_accuracy",
    "params",
    "macs",
    "train_seconds",
    "images_per_second",
    "device",
    "preset",
    "epochs",
    "train_size",
    "image_size",
    "batch_size",
    "learning_rate",
    "precision",
)
CURVE_COLUMNS = ("key", "variant", "seed", "epoch", "train_loss", "val_loss", "val_accuracy")
COUNTS = (*(column.name for column in COLUMNS if column.whole), "seed", "epoch")


def table_frame(comparison: pd.DataFrame) -> pd.DataFrame:
    """Return the comparison with the contract's columns in their order, then any others; counts are whole numbers.

    Raises:
        ValueError: a column that a comparison always has is missing.
    """
    import pandas as pd

    needed = [c.name for c in COLUMNS if not (c.measured_later or c.extra)]
    absent = [name for name in needed if name not in comparison]
    if absent:
        raise ValueError(
            f"comparison: columns {', '.join(absent)} are missing; it has"
            f" {', '.join(map(str, comparison.columns)) or 'none'}"
        )
    more = [c for c in comparison.columns if c not in TABLE_COLUMNS]
    out = comparison.reindex(columns=[*TABLE_COLUMNS, *more]).reset_index(drop=True)
    return _whole(pd.DataFrame(out))


def runs_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per trial that was run (complete, diverged or failed), with the contract's columns."""
    ran = frame[frame["status"] != "missing"]
    return _whole(ran.reindex(columns=list(RUN_COLUMNS)).reset_index(drop=True))


def curves_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per trial and epoch, with the contract's columns; a trial without curves has none."""
    import pandas as pd

    rows = [
        {"key": key, "variant": variant, "seed": seed, **{name: point.get(name) for name in CURVE_COLUMNS[3:]}}
        for key, variant, seed, curves in zip(
            frame["key"], frame["variant"], frame["seed"], frame["curves"], strict=True
        )
        if isinstance(curves, Sequence) and not isinstance(curves, str)
        for point in curves
    ]
    return _whole(pd.DataFrame(rows, columns=list(CURVE_COLUMNS)))


def display_table(
    comparison: pd.DataFrame, *, title: str, setup: str = "", columns: Sequence[str] = ()
) -> DisplayTable:
    """Return the comparison for display: percent, points, SI prefixes, "not measured", and a caption that says
    what everything means. `columns` are the names of those that are shown; without any, all that have something to
    show.

    Raises:
        ValueError: the comparison is empty or lacks a column.
    """
    table = table_frame(comparison)
    if table.empty:
        raise ValueError("comparison: it has no variants; at least one")
    rows = table.to_dict("records")
    best = {str(row["variant"]) for row in rows if f.is_number(row.get("is_best")) and row["is_best"]}
    shown = [column for column in COLUMNS if column.title is not None and _is_shown(column, table)]
    if columns:
        named = {column.name: column for column in COLUMNS if column.name in table}
        shown = [named[name] for name in columns if name in named]
    cells = [_cells(column, rows, best) for column in shown]
    return DisplayTable(
        caption=caption(table, title, best, setup, {column.name for column in shown}),
        columns=tuple(Column(title=column.title or "", numeric=column.numeric) for column in shown),
        rows=tuple(zip(*cells, strict=True)),
    )


def _is_shown(column: TableColumn, table: pd.DataFrame) -> bool:
    if column.name not in table or column.optional:
        return False
    if column.name in ("num_collapsed", "success_rate") and not any_above_chance(table):
        return False
    if column.name in UNSTEADY:
        causes = ("num_diverged",) if column.name == "delta_mean_at_chance" else ("num_diverged", "num_collapsed")
        return any((table[name] > 0).any() for name in causes if name in table)
    return not column.rare or bool((table[column.name] > 0).any())


def _cells(column: TableColumn, rows: Sequence[Mapping[Any, Any]], best: set[str]) -> list[Cell]:
    """The cells of a column; numbers sort by value, text alphabetically."""
    texts = [column.text(row) for row in rows]
    shown = f.aligned(texts) if column.numeric and column.aligned else texts
    orders: list[float | str | None]
    if column.numeric:
        orders = [float(row[column.name]) if f.is_number(row[column.name]) else None for row in rows]
    else:
        orders = list(texts)
    bold = [column.name == "test_accuracy_mean" and str(row["variant"]) in best for row in rows]
    return [Cell(text=t, order=o, bold=b) for t, o, b in zip(shown, orders, bold, strict=True)]


def write_table(folder: Path, name: str, table: pd.DataFrame, people: DisplayTable | None, *, study: str) -> None:
    """Write a table as `NAME.csv` and, if there is a display table, that as `NAME.md` and `NAME.tex`.

    Raises:
        OSError: the folder cannot be written.
    """
    write_atomically(folder / f"{name}.csv", csv_text(table))
    if people is not None:
        write_atomically(folder / f"{name}.md", to_markdown(people))
        write_atomically(folder / f"{name}.tex", to_latex(people, label=f"tab:{study}-{name.replace('_', '-')}"))


def write_tables(
    comparison: pd.DataFrame,
    folder: Path,
    *,
    title: str,
    label: str = "tab:comparison",
    setup: str = "",
    columns: Sequence[str] = (),
) -> DisplayTable:
    """Write `table.csv`, `.parquet`, `.md`, `.tex` and `.html` into a folder, each whole or not at all; return the
    display table. `setup` is the sentence on what was trained; `columns` are those of the display table, while
    `table.csv` always has all.

    Raises:
        ValueError: the comparison is empty or lacks a column.
        OSError: the folder cannot be written.
    """
    table = table_frame(comparison)
    people = display_table(comparison, title=title, setup=setup, columns=columns)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "table.csv", csv_text(table))
    write_atomically(folder / "table.parquet", table.to_parquet(index=False))
    write_atomically(folder / "table.md", to_markdown(people))
    write_atomically(folder / "table.tex", to_latex(people, label=label))
    write_atomically(folder / "table.html", to_html(people))
    return people


def write_runs(frame: pd.DataFrame, folder: Path) -> None:
    """Write `runs.csv` (one row per trial) and `curves.csv` (one row per trial and epoch), each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "runs.csv", csv_text(runs_frame(frame)))
    write_atomically(folder / "curves.csv", csv_text(curves_frame(frame)))


def csv_text(table: pd.DataFrame) -> str:
    """Return the table as CSV in which a spreadsheet takes no text for a formula.

    Text that a spreadsheet would compute (it begins with =, @ or a control character, or with + or - and is more
    than a name) gets an apostrophe in front, as OWASP advises.
    """
    safe = table.copy()
    for name in table.columns:
        if not (table[name].dtype.kind in "biuf" if hasattr(table[name].dtype, "kind") else False):
            safe[name] = table[name].map(_no_formula)
    return str(safe.to_csv(index=False, lineterminator="\n"))


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    """Counts as nullable integers, so that a missing one does not turn the others into floats."""
    table = table.copy()
    for name in COUNTS:
        if name in table:
            numbers = table[name].astype("Float64")
            table[name] = numbers.round().astype("Int64")
    return table


def _no_formula(value: Hashable) -> Hashable:
    if isinstance(value, str) and re.match(r"[=@\t\r\n]|[+-](?![\w .@]*$)", value):
        return "'" + value
    return value
