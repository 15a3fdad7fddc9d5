"""Names for points that lie where they lie: beside the mark where they fit, else numbers with a key below the figure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ablations import formatting as f
from ablations import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

__all__ = ["key_note", "name_points"]

DIRECTIONS = 12
DISTANCES = (5.0, 9.0, 14.0, 20.0, 28.0, 38.0)  # typographic points


def key_note(names: Sequence[str]) -> str:
    """Return the key to numbered points, one to a line."""
    return "\n".join(f"{number}  {name}" for number, name in enumerate(names, 1))


def name_points(axes: Axes, at: Sequence[tuple[float, float]], names: Sequence[str], avoid: Sequence[tuple[float, float]] = ()) -> bool:
    """Write names beside points (data coordinates) so that none covers another, a point or the frame; False where they do not fit.

    The figure's size and limits must be final. Where it returns False nothing was written: number the points then.
    """
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]
    scale = axes.figure.dpi / 72
    frame = axes.get_window_extent()
    pixels = [tuple(map(float, axes.transData.transform(xy))) for xy in [*at, *avoid]]
    marks = [_square(x, y, 2.6 * scale) for x, y in pixels]
    placed: list[Bbox] = []
    texts: list[Annotation] = []
    for xy, name in zip(at, names, strict=True):
        text = _place(axes, xy, f.wrapped(style.legible(name), 18), frame, marks, placed, scale)
        if text is None:
            for done in texts:
                done.remove()
            return False
        texts.append(text)
    return True


def _place(
    axes: Axes, xy: tuple[float, float], name: str, frame: Bbox, marks: Sequence[Bbox], placed: list[Bbox], scale: float,
) -> Annotation | None:
    """The name at the nearest free place around its point, with a thin line to it where that is far."""
    for distance, turn in itertools.product(DISTANCES, range(DIRECTIONS)):
        angle = 2 * math.pi * turn / DIRECTIONS
        dx, dy = distance * math.cos(angle), distance * math.sin(angle)
        text = axes.annotate(
            name, xy, xytext=(dx, dy), textcoords="offset points", fontsize=6, linespacing=1.0,
            ha="left" if dx > 0.1 else "right" if dx < -0.1 else "center", va="bottom" if dy > 0.1 else "top" if dy < -0.1 else "center",
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": style.GREY, "shrinkA": 0, "shrinkB": 2} if distance > 9 else None,
        )
        text.set_in_layout(False)
        box = text.get_window_extent()  # type: ignore[call-arg]
        if distance > 9:
            from matplotlib.text import Text

            box = Text.get_window_extent(text)
        room = box.padded(0.8 * scale)
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        if inside and not any(room.overlaps(other) for other in [*marks, *placed]):
            placed.append(room)
            return text
        text.remove()
    return None


def _square(x: float, y: float, half: float) -> Bbox:
    from matplotlib.transforms import Bbox

    return Bbox.from_extents(x - half, y - half, x + half, y + half)
