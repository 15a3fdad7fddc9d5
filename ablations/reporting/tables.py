"""One comparison as CSV, Parquet, Markdown, LaTeX and HTML, and the trials behind it as `runs.csv` and `curves.csv`.

Files for programs hold plain numbers and fractions; tables for people hold percent, points and SI prefixes, made once
(`display_table`) and then written in three languages: LaTeX by pandas' Styler (booktabs), Markdown by tabulate, HTML
by a template. What a column is stands in `columns.py`; a cell is bold only where the statistics bear it out.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.reporting.columns import COLUMNS, TABLE_COLUMNS, UNSTEADY, TableColumn
from xception.base import formatting as f
from xception.base.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CURVE_COLUMNS",
    "RUN_COLUMNS",
    "TABLE_COLUMNS",
    "Cell",
    "Column",
    "DisplayTable",
    "busy_sentence",
    "csv_text",
    "curves_frame",
    "display_table",
    "runs_frame",
    "table_frame",
    "to_html",
    "to_latex",
    "to_markdown",
    "write_runs",
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
BUSY_SPREAD = 0.2  # width of a median's interval, as a fraction; rounds go on until it is 0.02, or time is up
BUSY_LOAD = 2.0  # processes that ran or waited; the measurement itself is one
LONG_TABLE = 40  # rows; more do not fit on a page

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",  # behind a line's end these would be read as its argument
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    '"': "''",
    "\N{MINUS SIGN}": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "Δ": r"$\Delta$",
    "δ": r"$\delta$",
    "α": r"$\alpha$",
    "ε": r"$\varepsilon$",
    "→": r"$\rightarrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "·": r"$\cdot$",
    "µ": r"$\mu$",
    "–": "--",
    "—": "---",
    "’": "'",
    "…": r"\ldots{}",
    "\N{FIGURE SPACE}": r"\phantom{0}",
    "\N{PUNCTUATION SPACE}": r"\phantom{.}",
    "\N{NO-BREAK SPACE}": "~",
    "\n": " ",
    "\r": " ",
    "\t": " ",
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column for people: its title with the unit, and whether it holds numbers (set to the right) or words."""

    title: str
    numeric: bool = True


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell for people: its text, the number or text it sorts by (None sorts last), and whether it is bold."""

    text: str
    order: float | str | None = None
    bold: bool = False


@dataclass(frozen=True, kw_only=True)
class DisplayTable:
    """A table made for people, before it is written in one language or another."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


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


def display_table(comparison: pd.DataFrame, *, title: str, setup: str = "") -> DisplayTable:
    """Return the comparison as people read it: percent, points, SI prefixes, "not measured", and a caption that says
    what everything means.

    Raises:
        ValueError: the comparison is empty or lacks a column.
    """
    table = table_frame(comparison)
    if table.empty:
        raise ValueError("comparison: it has no variants; at least one")
    rows = table.to_dict("records")
    best = {str(row["variant"]) for row in rows if f.is_number(row.get("is_best")) and row["is_best"]}
    columns = [column for column in COLUMNS if column.title is not None and _is_shown(column, table)]
    cells = [_cells(column, rows, best) for column in columns]
    return DisplayTable(
        caption=_caption(table, title, best, setup),
        columns=tuple(Column(title=column.title or "", numeric=column.numeric) for column in columns),
        rows=tuple(zip(*cells, strict=True)),
    )


def _is_shown(column: TableColumn, table: pd.DataFrame) -> bool:
    if column.name not in table:
        return False
    if column.name in ("num_collapsed", "success_rate") and not any_above_chance(table):
        return False
    if column.name in UNSTEADY:
        causes = ("num_diverged",) if column.name == "delta_mean_at_chance" else ("num_diverged", "num_collapsed")
        return any((table[name] > 0).any() for name in causes if name in table)
    return not column.rare or bool((table[column.name] > 0).any())


def any_above_chance(table: pd.DataFrame) -> bool:
    """Return whether a trial of the comparison ended above chance; else a share of them says nothing of the variants,
    as in runs so short that no network can do better than guessing.
    """
    return "success_rate" not in table or bool((table["success_rate"] > 0).any())


def _cells(column: TableColumn, rows: Sequence[Mapping[Any, Any]], best: set[str]) -> list[Cell]:
    """One column for people; numbers sort by their value, text by itself."""
    texts = [column.text(row) for row in rows]
    shown = f.aligned(texts) if column.numeric and column.aligned else texts
    orders: list[float | str | None]
    if column.numeric:
        orders = [float(row[column.name]) if f.is_number(row[column.name]) else None for row in rows]
    else:
        orders = list(texts)
    bold = [column.name == "test_accuracy_mean" and str(row["variant"]) in best for row in rows]
    return [Cell(text=t, order=o, bold=b) for t, o, b in zip(shown, orders, bold, strict=True)]


def to_markdown(table: DisplayTable) -> str:
    """Return the table in GitHub's Markdown, the caption below it; nothing in a name is read as markup."""
    from tabulate import tabulate

    body = tabulate(
        [[_markdown_cell(cell) for cell in row] for row in table.rows],
        headers=[_markdown(c.title) for c in table.columns],
        tablefmt="pipe",
        disable_numparse=True,
        preserve_whitespace=True,
        colalign=["right" if c.numeric else "left" for c in table.columns],
    )
    return f"{body}\n\n{_markdown(table.caption)}\n"


def to_latex(table: DisplayTable, *, label: str) -> str:
    r"""Return a LaTeX file that compiles by itself and can be taken into a paper by `\input` as it is.

    A paper needs booktabs and graphicx, and longtable for more than 40 variants.
    """
    import pandas as pd

    texts = pd.DataFrame([[c.text for c in row] for row in table.rows], columns=[c.title for c in table.columns])
    bold = pd.DataFrame(
        [["textbf:--rwrap;" if c.bold else "" for c in row] for row in table.rows], columns=texts.columns
    )
    styler = (
        texts.style.hide(axis="index")
        .format(_latex)
        .format_index(_latex, axis="columns")
        .apply(lambda _: bold, axis=None)
    )
    layout = "".join("r" if c.numeric else "l" for c in table.columns)
    caption, safe_label = _latex(table.caption), re.sub(r"[^A-Za-z0-9:-]", "-", label)
    if len(table.rows) > LONG_TABLE:
        inner = styler.to_latex(
            hrules=True, column_format=layout, environment="longtable", caption=caption, label=safe_label
        )
        body = f"{{\\tiny\\setlength{{\\tabcolsep}}{{2pt}}\n{inner}}}\n"
    else:
        inner = styler.to_latex(hrules=True, column_format=layout).strip()
        body = (
            "\\begin{table*}[!ht]\n\\centering\n"
            f"\\caption{{{caption}}}\n\\label{{{safe_label}}}\n"
            "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
            f"{inner}%\n}}\n\\end{{table*}}\n"
        )
    return LATEX_BEFORE + body + LATEX_AFTER


def to_html(table: DisplayTable, *, name: str = "comparison") -> str:
    """Return a page with a `<table>` with scopes and a caption, in the style of the reports; `name` begins the ids in
    it. The text of every cell is escaped.
    """
    from ablations.reporting.templates import read, render

    return render("table_page.html.jinja", table=table, name=name, styles=read("report.css"))


def write_tables(
    comparison: pd.DataFrame, folder: Path, *, title: str, label: str = "tab:comparison", setup: str = ""
) -> DisplayTable:
    """Write `table.csv`, `.parquet`, `.md`, `.tex` and `.html` into a folder, each whole or not at all; return the
    table for people. `setup` is the sentence that says what was trained.

    Raises:
        ValueError: the comparison is empty or lacks a column.
        OSError: the folder cannot be written.
    """
    table = table_frame(comparison)
    people = display_table(comparison, title=title, setup=setup)
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
    """Return the table as CSV in which no text is taken for a formula by a spreadsheet.

    Text that a spreadsheet would compute (it begins with =, @ or a control character, or with + or - and is more
    than a name) gets an apostrophe in front, as OWASP advises.
    """
    safe = table.copy()
    for name in table.columns:
        if not (table[name].dtype.kind in "biuf" if hasattr(table[name].dtype, "kind") else False):
            safe[name] = table[name].map(_no_formula)
    return str(safe.to_csv(index=False, lineterminator="\n"))


def _caption(table: pd.DataFrame, title: str, best: set[str], setup: str) -> str:
    measured = table["test_accuracy_ci_low"].notna().any()
    interval = ", ± half the width of its 95 % confidence interval" if measured else ""
    sentences = [_sentence(_line(title)), data_sentence(table, setup), f"Test accuracy: mean over n seeds{interval}."]
    base = table.loc[table["verdict"] == "baseline", "variant"]
    if len(table) > len(base) and len(base):
        k = len(table) - len(base)
        together = "" if k == 1 else f", simultaneous over all {k} comparisons"
        from_what = _line(base.iloc[0]) if len(base) == 1 else "the baseline above"
        sentences += [
            f"Δ: mean of the per-seed differences from {from_what}, in percentage points (pp), with a 95 % and a 90 %"
            f" interval{together}.",
            "The verdict is read off these two: no meaningful effect where the 90 % interval is within ±δ; otherwise"
            " helps or hurts where the 95 % interval is above or below 0; otherwise inconclusive.",
        ]
        if "stopped" in table and table["stopped"].notna().any():
            sentences.append(
                "Seeds were added as needed: the intervals allow for every look, and an effect that stopped a variant"
                " early is likely overestimated."
            )
    if (table["num_diverged"] > 0).any():
        sentences.append("Diverged trials are left out of Δ, and count at chance accuracy in the line beside it.")
    if "success_rate" in table and table["success_rate"].notna().any() and not any_above_chance(table):
        sentences.append("No trial ended above chance: validation accuracies are within what guessing reaches.")
    if (table["num_failed"] > 0).any():
        sentences.append("A failed trial drops its pair.")
    margins = sorted({float(m) for m in table["delta_margin"].dropna()})
    sentences += [f"Smallest difference that matters: δ = {f.percent(m)} pp." for m in margins]
    if "looked_before" in table and table["looked_before"].notna().any():
        sentences.append("Some comparisons were looked at before with fewer seeds; their error is not controlled.")
    if best & set(base):
        sentences.append("Bold: the baseline, as every other variant hurts.")
    elif best:
        sentences.append("Bold: best (helps, and no paired contrast shows it worse than the largest effect).")
    devices = sorted({str(d) for d in table["latency_device"].dropna()})
    if table["latency_ms"].notna().any():
        sentences.append(
            "Latency: median and its 95 % interval, eager float32 inference, batch 1, channels-last, all rows measured"
            f" together{', on ' + f.join_words(devices) if devices else ''}."
        )
        sentences += busy_sentence(table)
    sentences.append("Params: trainable. MACs: multiply-accumulates of convolutions and linear layers for one image.")
    return " ".join(sentences)


def busy_sentence(table: pd.DataFrame) -> list[str]:
    """Return a warning where the machine did other work while latency was measured, by its load or by how far the
    medians' intervals reach; nothing where it did not.
    """
    loads = [float(one) for one in table["latency_load"].dropna()] if "latency_load" in table else []
    load, spread = max(loads, default=0.0), _latency_spread(table)
    if load < BUSY_LOAD and spread < BUSY_SPREAD:
        return []
    signs = [f"load {load:.1f}"] if loads else []
    if spread >= BUSY_SPREAD:
        signs.append(f"an interval as wide as {100 * spread:.0f} % of its median")
    return [
        f"The machine was busy meanwhile ({', '.join(signs)}): these latencies are longer than on a quiet machine;"
        " compare them with one another only."
    ]


def _latency_spread(table: pd.DataFrame) -> float:
    """The widest interval of a median latency as a fraction of the median; 0 where none is known."""
    names = ("latency_ci_low_ms", "latency_ci_high_ms", "latency_ms")
    if any(name not in table for name in names):
        return 0.0
    low, high, median = (table[name].astype(float) for name in names)
    widest = ((high - low) / median).max()
    return float(widest) if f.is_number(widest) else 0.0


def data_sentence(table: pd.DataFrame, setup: str = "") -> str:
    """Return which data the rows come from and what was trained on them (the scale alone where no setup is known), and
    a warning where the data are synthetic.
    """
    sets = [_line(d) for d in dict.fromkeys(table["dataset"].dropna())]
    scales = [_line(s) for s in dict.fromkeys(table["scale"].dropna())]
    if "overrides" in table:
        scales = [f"{s} with {_line(words)}" if words else s for s in scales for words in table["overrides"].head(1)]
    text = f"Data: {f.join_words(sets) or 'unknown'}" + (
        "." if setup else f"; scale: {f.join_words(scales) or 'unknown'}."
    )
    text += f" {setup}" if setup else ""
    return text + (
        " Synthetic images: these numbers say nothing about photographs."
        if any("synthetic" in d.lower() for d in sets)
        else ""
    )


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    """Counts as nullable integers, so that a missing one does not turn the others into floats."""
    table = table.copy()
    for name in COUNTS:
        if name in table:
            numbers = table[name].astype("Float64")
            table[name] = numbers.round().astype("Int64")
    return table


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _line(value: object) -> str:
    """Text on one line, without control characters."""
    return "".join(c if c.isprintable() else " " for c in str(value)).strip()


def _no_formula(value: Hashable) -> Hashable:
    if isinstance(value, str) and re.match(r"[=@\t\r\n]|[+-](?![\w .@]*$)", value):
        return "'" + value
    return value


def _markdown(text: str) -> str:
    text = re.sub(r"<(?![\s\d.])", "&lt;", text.replace("&", "&amp;")).replace(">", "&gt;")  # "<0.001" begins no tag
    return re.sub(r"[\\`*|$~]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])", lambda m: "\\" + m[0], text)


def _markdown_cell(cell: Cell) -> str:
    if not cell.bold:
        return _markdown(cell.text)
    inner = cell.text.strip()
    return _markdown(cell.text).replace(_markdown(inner), f"**{_markdown(inner)}**")


def _latex(text: object) -> str:
    """LaTeX that prints the text: letters that pdfLaTeX has no glyph for are named by their code point."""
    return "".join(
        LATEX.get(c) or (c if c.isprintable() and ord(c) < 0x180 else f"{{[}}U+{ord(c):04X}{{]}}") for c in str(text)
    )


LATEX_BEFORE = (
    "% Compiles by itself, and by \\input in a paper that loads booktabs, graphicx and (for long tables) longtable.\n"
    r"""\makeatletter
\ifx\@nodocument\relax\def\tableisalone{0}\else\def\tableisalone{1}\fi
\makeatother
\ifnum\tableisalone=1
  \documentclass{article}
  \usepackage{booktabs,graphicx,longtable}
  \usepackage[margin=2cm]{geometry}
  \pagestyle{empty}
  \def\tableend{\end{document}}
  \begin{document}
\else
  \let\tableend\relax
\fi
"""
)
LATEX_AFTER = "\\tableend\n"
