"""One look for all figures: column width, small type, colours and marks that survive colour blindness and a grey
printer.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/). Figures are made as objects, never through
pyplot's global state: `with style.context(): figure = style.new_figure(2.0)`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from xception.base.drawing import load_matplotlib
from xception.base.fonts import families, legible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BAND",
    "BLUE",
    "COLUMN_WIDTH",
    "DASHES",
    "FULL_WIDTH",
    "GREY",
    "INK",
    "MARKERS",
    "PALETTE",
    "SKY",
    "VERDICT_MARKS",
    "VERMILION",
    "Mark",
    "context",
    "finish",
    "legible",
    "new_figure",
    "within_percent",
    "without_words",
]

COLUMN_WIDTH = 3.3  # inches: one column of a two-column paper
FULL_WIDTH = 6.9  # both columns
INK, GREY, BAND = "#1a1a1a", "#777777", "#e3e3e3"
BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9"
PALETTE = (INK, BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2.5)), (0, (8, 2)), (0, (3, 2, 1, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


@dataclass(frozen=True, kw_only=True)
class Mark:
    """How a verdict is drawn: its shape distinguishes it where colour is lost."""

    colour: str
    marker: str
    filled: bool = True


VERDICT_MARKS = {
    "baseline": Mark(colour=INK, marker="D"),
    "helps": Mark(colour=BLUE, marker="^"),
    "hurts": Mark(colour=VERMILION, marker="v"),
    "no meaningful effect": Mark(colour=GREY, marker="s"),
    "inconclusive": Mark(colour=GREY, marker="o", filled=False),
}


@contextmanager
def context() -> Iterator[None]:
    """Apply the shared style to what is made (or saved) inside; matplotlib's own settings are restored afterwards."""
    load_matplotlib()
    import matplotlib as mpl
    import seaborn as sns

    rc = {
        **sns.axes_style("ticks"),
        "font.family": list(families()),
        "font.size": 7,
        "axes.titlesize": 7,
        "axes.labelsize": 7,
        "xtick.labelsize": 6.5,
        "ytick.labelsize": 6.5,
        "legend.fontsize": 6.5,
        "figure.titlesize": 8,
        "figure.titleweight": "bold",
        "figure.labelsize": 5.8,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "xtick.minor.size": 1.5,
        "ytick.minor.size": 1.5,
        "xtick.minor.width": 0.4,
        "ytick.minor.width": 0.4,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#ececec",
        "grid.linewidth": 0.5,
        "axes.axisbelow": True,
        "lines.linewidth": 1.1,
        "lines.markersize": 4,
        "legend.frameon": False,
        "figure.dpi": 100,
        "savefig.dpi": 300,
        "savefig.facecolor": "white",
        "figure.facecolor": "white",
        "text.parse_math": False,  # names are names, whatever dollars they hold
        "svg.fonttype": "path",
        "svg.hashsalt": "xception",
        "pdf.fonttype": 42,  # TrueType, embedded whole: type 3 is refused by some printers
        "path.simplify": True,
    }
    with mpl.rc_context(rc):
        yield


def new_figure(height: float, *, width: float = COLUMN_WIDTH) -> Figure:
    """Return an empty figure of that size in inches, whose layout makes room for all labels."""
    load_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.02))


def finish(figure: Figure, *, title: str, note: str) -> Figure:
    """Put a title above and a note below (data, n, method of the interval), wrapped to the figure's width."""
    width = figure.get_figwidth()
    heading = "\n".join(textwrap.wrap(legible(title), int(width * 16)))
    most = int(width * (23 if width >= FULL_WIDTH else 23.5))  # characters of a line
    lines = [line for part in legible(note).split("\n") for line in textwrap.wrap(part, most)]
    figure.suptitle(heading, x=0.012, ha="left")
    figure.supxlabel("\n".join(lines), x=0.012, ha="left", color="#444444", linespacing=1.25)
    figure.set_figheight(figure.get_figheight() + _height(heading, "\n".join(lines)))
    return figure


def without_words(figure: Figure) -> tuple[str, str]:
    """Remove the title and the note of a finished figure, except the key to numbered points, and return both for a
    paper's caption.
    """
    heading, note = figure.get_suptitle(), figure.get_supxlabel()
    above, sign, key = f"\n{note}".partition("\n1  ")
    kept = f"1  {key}" if sign else ""
    with context():
        figure.suptitle("")
        figure.supxlabel(kept, x=0.012, ha="left", color="#444444", linespacing=1.25)
    figure.set_figheight(figure.get_figheight() - _height(heading, note) + (_height("", kept) if kept else 0.0))
    return heading.replace("\n", " "), above.replace("\n", " ").strip()


def _height(heading: str, note: str) -> float:
    """The height in inches that a title and a note take up."""
    lines = [len(text.splitlines()) for text in (heading, note)]
    return 0.125 * lines[0] + 0.105 * lines[1]


def within_percent(axes: Axes, axis: Literal["x", "y"]) -> None:
    """Limit an axis of accuracies in percent to 0 to 100, with room for a mark at either end."""
    low, high = axes.get_xlim() if axis == "x" else axes.get_ylim()
    room = 0.03 * (high - low)
    ends = max(low, -room), min(high, 100 + room)
    (axes.set_xlim if axis == "x" else axes.set_ylim)(*ends)
