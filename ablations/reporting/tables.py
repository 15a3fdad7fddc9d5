"""One comparison as CSV, Parquet, Markdown, LaTeX and HTML, and the trials behind it as `runs.csv` and `curves.csv`.

Files for programs hold plain numbers and fractions; tables for people hold percent, points and SI prefixes, made once
(`people_table`) and then written in three languages: LaTeX by pandas' Styler (booktabs), Markdown by tabulate, HTML
by a template. A cell is bold only where the statistics bear it out (`best_variants`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    "PeopleTable",
    "best_variants",
    "csv_text",
    "curves_frame",
    "people_table",
    "runs_frame",
    "table_frame",
    "to_html",
    "to_latex",
    "to_markdown",
    "write_runs",
    "write_tables",
]

TABLE_COLUMNS = (
    "variant",
    "n",
    "test_accuracy_mean",
    "test_accuracy_ci_low",
    "test_accuracy_ci_high",
    "delta_mean",
    "delta_ci_low",
    "delta_ci_high",
    "p_adjusted",
    "verdict",
    "delta_margin",
    "at_least_margin",
    "more_seeds",
    "params",
    "macs",
    "fvcore_total",
    "latency_ms",
    "latency_device",
    "train_seconds",
    "num_diverged",
    "num_failed",
    "dataset",
    "scale",
)
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
)
CURVE_COLUMNS = ("key", "variant", "seed", "epoch", "train_loss", "val_loss", "val_accuracy")
MEASURED_ELSEWHERE = ("fvcore_total", "latency_ms", "latency_device")  # empty until somebody measures them
COUNTS = ("n", "more_seeds", "params", "macs", "fvcore_total", "num_diverged", "num_failed", "seed", "epoch")
LONG_TABLE = 40  # rows; more do not fit on a page
DASH = "\N{EN DASH}"

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
class PeopleTable:
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

    absent = [c for c in TABLE_COLUMNS if c not in comparison and c not in MEASURED_ELSEWHERE]
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


def best_variants(comparison: pd.DataFrame) -> set[str]:
    """Return the variants that the statistics let us call best: none where they do not.

    These are, of the variants that help, the one of the largest effect and those whose interval of the
    effect overlaps its own; or the baseline where every other variant hurts. Effects against several baselines
    do not compare, so there no variant is best.
    """
    if (comparison["verdict"] == "baseline").sum() > 1:
        return set()
    others = comparison[comparison["verdict"] != "baseline"]
    helping = others[others["verdict"] == "helps"]
    if len(helping):
        top = helping.sort_values("delta_mean", kind="stable").iloc[-1]
        return set(helping.loc[helping["delta_ci_high"] >= top["delta_ci_low"], "variant"])
    if len(others) and (others["verdict"] == "hurts").all():
        return set(comparison.loc[comparison["verdict"] == "baseline", "variant"])
    return set()


def people_table(comparison: pd.DataFrame, *, title: str) -> PeopleTable:
    """Return the comparison as people read it: percent, points, SI prefixes, "not measured", and a caption that says
    what all means.

    Raises:
        ValueError: the comparison is empty or lacks a column.
    """
    table = table_frame(comparison)
    if table.empty:
        raise ValueError("comparison: it has no variants; at least one")
    best = best_variants(table)
    is_base = table["verdict"] == "baseline"
    symmetric = _symmetric(table)

    def column(
        title: str,
        show: Callable[[Any], str],
        name: str,
        *,
        base: str | None = None,
        align: bool = True,
    ) -> tuple[Column, list[Cell]]:
        texts = [base if b and base is not None else show(v) for v, b in zip(table[name], is_base, strict=True)]
        texts = f.aligned(texts) if align else texts
        orders = [float(v) if f.is_number(v) else None for v in table[name]]
        return Column(title=title), [Cell(text=t, order=o) for t, o in zip(texts, orders, strict=True)]

    accuracy = f.aligned([_accuracy(row, symmetric) for _, row in table.iterrows()])
    effects = [
        DASH if b else f.interval(low, high, signed=True)
        for low, high, b in zip(table["delta_ci_low"], table["delta_ci_high"], is_base, strict=True)
    ]
    columns = [
        (Column(title="Variant", numeric=False), [Cell(text=_line(v), order=_line(v)) for v in table["variant"]]),
        column("n", _integer, "n"),
        (
            Column(title="Test accuracy (%)"),
            [
                Cell(text=t, order=float(m) if f.is_number(m) else None, bold=v in best)
                for t, m, v in zip(accuracy, table["test_accuracy_mean"], table["variant"], strict=True)
            ],
        ),
        column("Δ (pp)", f.points, "delta_mean", base=DASH),
        (
            Column(title="Interval of Δ (pp)"),
            [
                Cell(text=t, order=float(o) if f.is_number(o) else None)
                for t, o in zip(effects, table["delta_ci_low"], strict=True)
            ],
        ),
        column("p (Holm)", f.p_value, "p_adjusted", base=DASH),
        (Column(title="Verdict", numeric=False), [Cell(text=v, order=v) for v in table["verdict"].astype(str)]),
        column("Params", f.count, "params"),
        column("MACs", f.count, "macs"),
        column("Latency (ms)", f.milliseconds, "latency_ms"),
        column("Training per trial", f.seconds, "train_seconds", align=False),
    ]
    for name, heading in (("num_diverged", "Diverged"), ("num_failed", "Failed")):
        if (table[name] > 0).any():
            columns.append(column(heading, _integer, name))
    return PeopleTable(
        caption=_caption(table, title, best, symmetric),
        columns=tuple(c for c, _ in columns),
        rows=tuple(zip(*(cells for _, cells in columns), strict=True)),
    )


def to_markdown(table: PeopleTable) -> str:
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


def to_latex(table: PeopleTable, *, label: str) -> str:
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


def to_html(table: PeopleTable, *, name: str = "comparison") -> str:
    """Return a `<table>` with scopes and a caption; `name` begins the ids in it. The text of every cell is escaped."""
    from ablations.reporting.templates import render

    return render("table.html.jinja", table=table, name=name)


def write_tables(comparison: pd.DataFrame, folder: Path, *, title: str, label: str = "tab:comparison") -> PeopleTable:
    """Write `table.csv`, `.parquet`, `.md`, `.tex` and `.html` into a folder, each whole or not at all; return the
    table for people.

    Raises:
        ValueError: the comparison is empty or lacks a column.
        OSError: the folder cannot be written.
    """
    table = table_frame(comparison)
    people = people_table(comparison, title=title)
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


def _caption(table: pd.DataFrame, title: str, best: set[str], symmetric: bool) -> str:
    interval = (
        ""
        if table["test_accuracy_ci_low"].isna().all()
        else (
            ", ± half the width of its 95 % confidence interval" if symmetric else ", and its 95 % confidence interval"
        )
    )
    sentences = [
        _sentence(_line(title)),
        data_sentence(table),
        f"Test accuracy: mean over n seeds{interval}.",
    ]
    base = table.loc[table["verdict"] == "baseline", "variant"]
    if len(table) > len(base) and len(base):
        k = len(table) - len(base)
        together = "the one comparison" if k == 1 else f"all {k} comparisons"
        in_looks = "stopped" in table and table["stopped"].notna().any()
        level = f"hold together for {together} at 95 %"
        if in_looks:
            level = f"have level 1 − α/{k}, α being that of the look where the variant stopped"
        from_what = _line(base.iloc[0]) if len(base) == 1 else "the baseline above"
        sentences.append(
            f"Δ: mean of the per-seed differences from {from_what}, in percentage points (pp); its intervals {level}; p"
            f" is Holm's{', the smallest over looks' if in_looks else ''}."
        )
    if (table["num_diverged"] > 0).any():
        sentences.append("A diverged trial counts at chance accuracy; a failed one takes its pair out.")
    margins = sorted({float(m) for m in table["delta_margin"].dropna()})
    sentences += [f"Smallest difference that matters: δ = {f.percent(m)} pp." for m in margins]
    if best & set(base):
        sentences.append("Bold: the baseline, as every other variant hurts.")
    elif best:
        sentences.append("Bold: best by these statistics (helps, and not told apart from the largest effect).")
    devices = sorted({str(d) for d in table["latency_device"].dropna()})
    if table["latency_ms"].notna().any():
        sentences.append(
            f"Latency: eager float32 inference, batch 1{', on ' + f.join_words(devices) if devices else ''}."
        )
    sentences.append("Params: trainable. MACs: multiply-accumulates of convolutions and linear layers for one image.")
    return " ".join(sentences)


def data_sentence(table: pd.DataFrame) -> str:
    """Return which data and scale the rows come from, and a warning where the data are synthetic."""
    sets = [_line(d) for d in dict.fromkeys(table["dataset"].dropna())]
    scales = [_line(s) for s in dict.fromkeys(table["scale"].dropna())]
    text = f"Data: {f.join_words(sets) or 'unknown'}; scale: {f.join_words(scales) or 'unknown'}."
    return text + (
        " Synthetic images: these numbers say nothing about photographs."
        if any("synthetic" in d.lower() for d in sets)
        else ""
    )


def _accuracy(row: pd.Series[Any], symmetric: bool) -> str:
    mean, low, high = row["test_accuracy_mean"], row["test_accuracy_ci_low"], row["test_accuracy_ci_high"]
    if not (f.is_number(low) and f.is_number(high)):
        return f.percent(mean)
    return (
        f"{f.percent(mean)} ± {f.percent((high - low) / 2)}"
        if symmetric
        else f"{f.percent(mean)} {f.interval(low, high)}"
    )


def _symmetric(table: pd.DataFrame) -> bool:
    """Whether every interval is centred on its mean to what is shown, so that ± says it all."""
    middle = (table["test_accuracy_ci_low"] + table["test_accuracy_ci_high"]) / 2
    return bool(((middle - table["test_accuracy_mean"]).abs().dropna() < 5e-5).all())


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    """Counts as nullable integers, so that a missing one does not turn the others into floats."""
    table = table.copy()
    for name in COUNTS:
        if name in table:
            numbers = table[name].astype("Float64")
            table[name] = numbers.round().astype("Int64")
    return table


def _integer(value: object) -> str:
    return str(int(value)) if f.is_number(value) else f.NOT_MEASURED  # type: ignore[call-overload]


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
