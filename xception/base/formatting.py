"""Numbers for display: percent, points, counts with SI prefixes, times, aligned at the decimal point.

Files keep plain numbers and fractions; only what is displayed passes through here.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import SupportsFloat

__all__ = [
    "NOT_MEASURED",
    "aligned",
    "count",
    "interval",
    "is_number",
    "join_words",
    "milliseconds",
    "p_value",
    "percent",
    "plural",
    "points",
    "seconds",
    "text_table",
    "wrapped",
]

NOT_MEASURED = "not measured"
MINUS = "\N{MINUS SIGN}"
FIGURE_SPACE = "\N{FIGURE SPACE}"  # as wide as a digit
PUNCTUATION_SPACE = "\N{PUNCTUATION SPACE}"  # as wide as a point
PREFIXES = ("", "k", "M", "G", "T", "P")
NUMBER = re.compile(r"^(?P<sign>[+\N{MINUS SIGN}<-]?)(?P<whole>\d+)(?P<fraction>\.\d+)?(?P<rest>.*)$", re.DOTALL)


def is_number(value: object) -> bool:
    """Whether a cell holds a finite number (None, NaN, pandas.NA and text do not)."""
    return isinstance(value, SupportsFloat) and not isinstance(value, str | bytes) and _finite(value)


def percent(fraction: object, decimals: int = 2) -> str:
    """Return a fraction as percent without its sign: 0.8412 is "84.12"."""
    return f"{100 * _float(fraction):.{decimals}f}" if is_number(fraction) else NOT_MEASURED


def points(fraction: object, decimals: int = 2) -> str:
    """Return a difference of fractions in percentage points, signed: -0.0123 is "−1.23"."""
    if not is_number(fraction):
        return NOT_MEASURED
    text = f"{100 * _float(fraction):+.{decimals}f}"
    if float(text) == 0:
        text = text[1:]  # a zero has no sign
    return text.replace("-", MINUS)


def interval(low: object, high: object, decimals: int = 2, *, signed: bool = False) -> str:
    """Return "[83.80, 84.40]" for two fractions, in percent or, signed, in points."""
    if not (is_number(low) and is_number(high)):
        return NOT_MEASURED
    show = points if signed else percent
    return f"[{show(low, decimals)}, {show(high, decimals)}]"


def count(value: object) -> str:
    """Return a count with three significant digits and an SI prefix: 8399882600 is "8.40 G"."""
    if not is_number(value):
        return NOT_MEASURED
    number = _float(value)
    power = 0
    while power < len(PREFIXES) - 1 and abs(number) >= 999.5:  # 999.6 k would be written 1000 k
        number, power = number / 1000, power + 1
    text = f"{number:.0f}" if power == 0 and number.is_integer() else _significant(number)
    return f"{text} {PREFIXES[power]}".rstrip()


def milliseconds(value: object) -> str:
    """Return a time in ms with three significant digits, without its unit."""
    return _significant(_float(value)) if is_number(value) else NOT_MEASURED


def seconds(value: object) -> str:
    """Return a duration in the two largest units that matter: "8.1 s", "4 min 10 s", "2 h 05 min"."""
    if not is_number(value):
        return NOT_MEASURED
    number = _float(value)
    if number < 59.95:
        return f"{number:.1f} s"
    whole = round(number)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(number / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def p_value(value: object) -> str:
    """Return a p value with three decimals, or "<0.001"."""
    if not is_number(value):
        return NOT_MEASURED
    return "<0.001" if _float(value) < 0.001 else f"{_float(value):.3f}"


def aligned(cells: Sequence[str]) -> list[str]:
    """Return the cells padded so that decimal points line up when the column is right-aligned.

    The padding is made of spaces as wide as a digit or a point, in the number that a cell begins with and in the number
    after "±"; cells that begin with no number are unchanged.
    """
    parts = [cell.split(" ± ") for cell in cells]
    width = max((len(p) for p in parts), default=0)
    columns = [_aligned([p[i] if i < len(p) else "" for p in parts]) for i in range(width)]
    return [" ± ".join(columns[i][row] for i in range(len(p))) for row, p in enumerate(parts)]


def wrapped(name: str, width: int) -> str:
    """Return a name broken into lines of at most `width` characters, after blanks, `_`, `.`, `,`, `=`, `/` and `@`
    where possible.
    """
    pieces = [p for p in re.split(r"(?<=[\s_,=/@-])|(?<=\.)(?!\d)", name) if p]
    lines = [""]
    for piece in pieces:
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        head, *rest = textwrap.wrap(piece, width, drop_whitespace=False) if len(piece.rstrip()) > width else [piece]
        lines[-1] += head
        lines += rest
    return "\n".join(line.strip() for line in lines if line.strip())


def _aligned(cells: Sequence[str]) -> list[str]:
    matches = [NUMBER.match(cell) for cell in cells]
    numbers = [m for m in matches if m]
    left = max((len(m["sign"] + m["whole"]) for m in numbers), default=0)
    digits = max((len(m["fraction"] or "") for m in numbers), default=0)
    any_unit = any(m["rest"] for m in numbers)
    out: list[str] = []
    for cell, match in zip(cells, matches, strict=True):
        if not match:
            out.append(cell)
            continue
        fraction = match["fraction"] or ""
        missing = digits - len(fraction)
        gap = (
            ""
            if not missing
            else (FIGURE_SPACE * missing if fraction else PUNCTUATION_SPACE + FIGURE_SPACE * (missing - 1))
        )
        unit = match["rest"] or (FIGURE_SPACE * 2 if any_unit else "")
        out.append(
            FIGURE_SPACE * (left - len(match["sign"] + match["whole"]))
            + match["sign"]
            + match["whole"]
            + fraction
            + gap
            + unit
        )
    return out


def _significant(number: float) -> str:
    """Three significant digits, never in exponent form."""
    if number == 0:
        return "0.00"
    decimals = 2 - math.floor(math.log10(abs(number)))
    text = f"{number:.{min(max(decimals, 0), 6)}f}"
    if len(text.replace(".", "").lstrip("-0")) > 3 and "." in text:  # 9.999 rounds to 10.00
        text = f"{number:.{max(decimals - 1, 0)}f}"
    return text.replace("-", MINUS)


def _float(value: object) -> float:
    if not isinstance(value, SupportsFloat):
        raise ValueError(f"value: {value!r} is not allowed; a number")
    return float(value)


def _finite(value: SupportsFloat) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):  # pandas.NA does not convert to a float
        return False


def plural(number: int, noun: str) -> str:
    """Return a number with its noun: `1 epoch`, `2,000 epochs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def join_words(words: Iterable[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    items = list(words)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def text_table(header: Sequence[str], body: Iterable[Sequence[str]], *, left: int) -> str:
    """Return a table of text: the first `left` columns flush left, the others right; a short row ends with its last
    cell.
    """
    rows = [list(header), *(list(row) for row in body)]
    full = [row for row in rows if len(row) == len(header)]
    widths = [max(len(row[i]) for row in (full if i >= left else rows)) for i in range(len(header))]
    lines = []
    for row in rows:
        flush_left = [i < left or len(row) < len(header) for i in range(len(row))]
        cells = [cell.ljust(widths[i]) if flush_left[i] else cell.rjust(widths[i]) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
