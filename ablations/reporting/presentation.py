"""How results are shown: the columns of the main display table, the style and the width of figures."""

from __future__ import annotations

from dataclasses import dataclass

from ablations.design.options import FigureStyle, PresentationOptions
from ablations.reporting.columns import chosen_columns
from ablations.reporting.style import COLUMN_WIDTH, FULL_WIDTH

__all__ = ["AS_USUAL", "Presentation", "presentation_of"]

WIDTHS = {"one": COLUMN_WIDTH, "two": FULL_WIDTH}
LEAST_WIDTH, MOST_WIDTH = 3.0, 10.0  # inches; in less the labels of an axis leave no room for what is drawn


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """The columns of the main display table (none: all that have something to show), and the style and the width in
    inches of figures (None: each figure's own).
    """

    columns: tuple[str, ...] = ()
    figure_style: FigureStyle = "report"
    figure_width: float | None = None


AS_USUAL = Presentation()


def presentation_of(options: PresentationOptions) -> Presentation:
    """Return the presentation that the options ask for.

    Raises:
        ValueError: `--columns` names a column that cannot be shown, or `--figure-width` is too small or too large.
    """
    asked = options.figure_width
    width = asked if isinstance(asked, float | int | None) else WIDTHS[asked]
    if width is not None and not LEAST_WIDTH <= width <= MOST_WIDTH:
        raise ValueError(
            f"--figure-width: {asked!r} is not allowed; one, two, or {LEAST_WIDTH:g} to {MOST_WIDTH:g} inches"
        )
    return Presentation(
        columns=() if options.columns is None else chosen_columns(options.columns),
        figure_style=options.figure_style,
        figure_width=width,
    )
