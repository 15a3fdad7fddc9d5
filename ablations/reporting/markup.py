"""Display tables, and their text in Markdown (by tabulate), LaTeX (by pandas' Styler, with booktabs) and HTML (by a
template).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Cell", "Column", "DisplayTable", "to_html", "to_latex", "to_markdown"]


LONG_TEXT = 40  # characters of a cell that stay on one line in LaTeX
LONG_TABLE = 40  # rows; more do not fit on a page
SHORT_TITLE = 12  # characters of a column's title that stay on one line in LaTeX


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


@dataclass(frozen=True, kw_only=True)
class Column:
    """A display column: its title with the unit, and whether it holds numbers (set to the right) or words."""

    title: str
    numeric: bool = True


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A display cell: its text, the number or text it sorts by (None sorts last), whether it is bold, and a picture
    that HTML shows before the text, as a data URI.
    """

    text: str
    order: float | str | None = None
    bold: bool = False
    picture: str = ""


@dataclass(frozen=True, kw_only=True)
class DisplayTable:
    """A table for readers, before it is written in a markup language."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


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

    A table that is wider than the text is made smaller until it fits; with few columns it keeps the paper's size. A
    paper needs booktabs and graphicx, and longtable for more than 40 rows.
    """
    import pandas as pd

    texts = pd.DataFrame([[c.text for c in row] for row in table.rows], columns=[c.title for c in table.columns])
    bold = pd.DataFrame(
        [["textbf:--rwrap;" if c.bold else "" for c in row] for row in table.rows], columns=texts.columns
    )
    styler = (
        texts.style.hide(axis="index")
        .format(_latex)
        .format_index(_latex_title, axis="columns")
        .apply(lambda _: bold, axis=None)
    )
    layout = "".join(_latex_column(table, place) for place in range(len(table.columns)))
    caption, safe_label = _latex(table.caption), re.sub(r"[^A-Za-z0-9:-]", "-", label)
    if len(table.rows) > LONG_TABLE:
        inner = styler.to_latex(
            hrules=True, column_format=layout, environment="longtable", caption=caption, label=safe_label
        )
        body = f"{{\\tiny\\setlength{{\\tabcolsep}}{{2pt}}\n{inner}}}\n"
    else:
        inner = styler.to_latex(hrules=True, column_format=layout).strip()
        body = (
            "\\begin{table*}[!ht]\n\\centering\\setlength{\\tabcolsep}{3pt}\n"
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


def _markdown(text: str) -> str:
    text = re.sub(r"<(?![\s\d.])", "&lt;", text.replace("&", "&amp;")).replace(">", "&gt;")  # "<0.001" begins no tag
    return re.sub(r"[\\`*|$~]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])", lambda m: "\\" + m[0], text)


def _markdown_cell(cell: Cell) -> str:
    if not cell.bold:
        return _markdown(cell.text)
    inner = cell.text.strip()
    return _markdown(cell.text).replace(_markdown(inner), f"**{_markdown(inner)}**")


def _latex_column(table: DisplayTable, place: int) -> str:
    """Numbers to the right, words to the left, and sentences in a column that breaks lines."""
    if table.columns[place].numeric:
        return "r"
    return "l" if max((len(row[place].text) for row in table.rows), default=0) <= LONG_TEXT else r"p{0.35\linewidth}"


def _latex_title(title: object) -> str:
    """The title of a column; a long one in two lines, so that it does not make the column wider than its cells."""
    words = str(title).split(" ")
    if len(str(title)) <= SHORT_TITLE or len(words) == 1:
        return _latex(title)
    breaks = [(" ".join(words[:at]), " ".join(words[at:])) for at in range(1, len(words))]
    lines = min(breaks, key=lambda two: max(map(len, two)))
    return rf"\shortstack{{{_latex(lines[0])}\\{_latex(lines[1])}}}"


def _latex(text: object) -> str:
    """LaTeX that prints the text: letters that pdfLaTeX has no glyph for are named by their code point."""
    return "".join(
        LATEX.get(c) or (c if c.isprintable() and ord(c) < 0x180 else f"{{[}}U+{ord(c):04X}{{]}}") for c in str(text)
    )
