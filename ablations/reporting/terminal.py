"""A table in Markdown made as wide as a terminal: the least important columns are left out first, and named."""

from __future__ import annotations

import re
import textwrap

__all__ = ["fitted"]

_KEPT = ("Variant", "Test accuracy", "Δ (pp)", "Verdict", "Effect", "Mean")
_LEFT_OUT_FIRST = ("Training", "Params", "MACs", "Latency", "p", "90 %", "n", "95 %", "")


def fitted(markdown: str, width: int) -> str:
    """Return a table and its caption with at most `width` characters in a line, where the columns that are always kept
    allow it.
    """
    table, _, caption = markdown.strip().partition("\n\n")
    rows = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in table.splitlines()]
    titles = [cell.strip() for cell in rows[0]]
    kept = list(range(len(titles)))
    for start in _LEFT_OUT_FIRST:
        for at in reversed(range(len(titles))):
            is_kept = titles[at].startswith(_KEPT) or not titles[at].startswith(start)
            if at in kept and not is_kept and _width(rows, kept) > width:
                kept.remove(at)
    lines = ["|" + "|".join(row[at] for at in kept) + "|" for row in rows]
    below = [line for paragraph in caption.split("\n\n") for line in textwrap.wrap(paragraph, width)]
    left_out = [title for at, title in enumerate(titles) if at not in kept]
    if left_out:
        below += textwrap.wrap(f"Left out at this width, and in the files: {', '.join(left_out)}.", width)
    return "\n".join([*lines, "", *below, ""])


def _width(rows: list[list[str]], kept: list[int]) -> int:
    return max(sum(len(row[at]) + 1 for at in kept) + 1 for row in rows)
