"""Main effects and interactions of a study whose variants are a full factorial, written beside its table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ablations.analysis.effect_rows import EFFECT_COLUMNS
from ablations.analysis.interactions import interactions
from ablations.reporting.markup import Cell, Column, DisplayTable
from ablations.reporting.tables import write_table
from xception.base import formatting as f

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["has_effects", "write_effects"]

COLUMNS = ("effect", *EFFECT_COLUMNS)


def has_effects(frame: pd.DataFrame) -> bool:
    """Return whether the variants of a frame are each combination of the levels of two factors or more, each once."""
    cells = [
        tuple(sorted(levels.items()))
        for levels in frame.drop_duplicates("variant")["levels"]
        if isinstance(levels, dict)
    ]
    if not cells or len(cells) != frame["variant"].nunique() or len(set(cells)) != len(cells):
        return False
    factors = {tuple(name for name, _ in cell) for cell in cells}
    if len(factors) != 1 or len(next(iter(factors))) < 2:
        return False
    grid = 1
    for position in range(len(cells[0])):
        grid *= len({cell[position] for cell in cells})
    return grid == len(cells)


def write_effects(frame: pd.DataFrame, folder: Path, *, study: str) -> DisplayTable:
    """Write `effects.csv`, `.md` and `.tex` into a folder and return the effects for display."""
    effects = interactions(frame)
    table = _display(effects)
    write_table(folder, "effects", effects.reindex(columns=list(COLUMNS)), table, study=study)
    return table


def _display(effects: pd.DataFrame) -> DisplayTable:
    rows = []
    for row in effects.to_dict("records"):
        texts = (
            str(row["effect"]),
            str(row["n"]),
            f.points(row["mean"]),
            f.interval(row["low"], row["high"], signed=True),
            f.interval(row["equivalence_low"], row["equivalence_high"], signed=True),
            str(row["verdict"]),
        )
        rows.append(tuple(Cell(text=text, order=text) for text in texts))
    titles = ("Effect", "n", "Mean (pp)", "95 % interval (pp)", "90 % interval (pp)", "Verdict")
    return DisplayTable(
        caption="An effect is the change in accuracy when a factor moves from its baseline level, averaged over the"
        " levels of the other factors; an interaction (×) is how much one effect changes when the other factor moves"
        f" too. Intervals are simultaneous over all {len(rows)} effects.",
        columns=tuple(Column(title=title, numeric=title not in ("Effect", "Verdict")) for title in titles),
        rows=tuple(rows),
    )
