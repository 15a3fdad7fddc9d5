"""Names for fixed points: beside the mark where they fit, else numbers with a key below the figure.

The library adjustText does less: with sixteen crowded names, four runs gave four layouts, with one or two overlaps and
one to seven covered points each, and it does not report when names do not fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ablations.reporting import style
from xception.base import formatting as f

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["key_note", "name_points"]

DIRECTIONS = 12
DISTANCES = (5.0, 9.0, 14.0, 20.0, 28.0, 38.0)  # typographic points
FAR = 9.0  # from here on a line leads from the name to its point
MARK, GAP = 2.6, 0.8  # half a mark, and the air around a name

Boxes = NDArray[np.float64]  # (boxes, 4): left, bottom, right, top in pixels


def key_note(names: Sequence[str]) -> str:
    """Return the key to numbered points, one to a line."""
    return "\n".join(f"{number}  {name}" for number, name in enumerate(names, 1))


def name_points(
    axes: Axes, at: Sequence[tuple[float, float]], names: Sequence[str], avoid: Sequence[tuple[float, float]] = ()
) -> bool:
    """Write names beside points (data coordinates) so that none covers another, a point or the frame; False where they
    do not fit.

    The figure's size and limits must be final. Where it returns False nothing was written: number the points then.
    """
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]
    scale = axes.figure.dpi / 72
    marks = axes.transData.transform(np.array([*at, *avoid], dtype=float))
    taken: Boxes = np.hstack([marks - MARK * scale, marks + MARK * scale])
    window = axes.get_window_extent()
    frame = np.array([window.x0, window.y0, window.x1, window.y1])
    texts = [f.wrapped(style.legible(name), 18) for name in names]
    offsets: list[tuple[float, float]] = []
    for number, text in enumerate(texts):
        found = _free_place(marks, number, _size(axes, text), frame, taken, scale)
        if found is None:
            return False
        offset, box = found
        offsets.append(offset)
        taken = np.vstack([taken, box])
    for xy, text, (dx, dy) in zip(at, texts, offsets, strict=True):
        line = {"arrowstyle": "-", "linewidth": 0.4, "color": style.GREY, "shrinkA": 0, "shrinkB": 2}
        axes.annotate(
            text,
            xy,
            xytext=(dx, dy),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=6,
            linespacing=1.0,
            arrowprops=line if _is_far(dx, dy, _size(axes, text), scale) else None,
        ).set_in_layout(False)
    return True


def _free_place(
    marks: Boxes, number: int, size: tuple[float, float], frame: Boxes, taken: Boxes, scale: float
) -> tuple[tuple[float, float], Boxes] | None:
    """The nearest free place for the name of one mark: the offset of the name's centre in points, and its box in
    pixels.

    Without a line that leads there, the mark must be the nearest of all.
    """
    width, height = size
    mark = marks[number]
    for distance in DISTANCES:
        for turn in range(DIRECTIONS):
            angle = 2 * math.pi * turn / DIRECTIONS
            across, up = math.cos(angle), math.sin(angle)
            # the name's nearest edge, not its centre, is at that distance
            dx = across * distance * scale + (width / 2 if across > 0.1 else -width / 2 if across < -0.1 else 0.0)
            dy = up * distance * scale + (height / 2 if up > 0.1 else -height / 2 if up < -0.1 else 0.0)
            x, y = mark[0] + dx, mark[1] + dy
            box = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
            inside = (box[:2] >= frame[:2]).all() and (box[2:] <= frame[2:]).all()
            room = box + np.array([-1, -1, 1, 1]) * GAP * scale
            if not inside or ((taken[:, :2] < room[2:]).all(axis=1) & (taken[:, 2:] > room[:2]).all(axis=1)).any():
                continue
            away = np.hypot(*np.maximum(np.maximum(box[:2] - marks, marks - box[2:]), 0).T)
            if distance > FAR or away[number] <= away.min() + 1e-6:
                return (dx / scale, dy / scale), room
    return None


def _size(axes: Axes, text: str) -> tuple[float, float]:
    """Width and height of a name in pixels."""
    probe = axes.text(0, 0, text, fontsize=6, linespacing=1.0)
    box = probe.get_window_extent()
    probe.remove()
    return float(box.width), float(box.height)


def _is_far(dx: float, dy: float, size: tuple[float, float], scale: float) -> bool:
    """Whether the name's edge is so far from its mark that a line must lead there."""
    across, up = abs(dx) - size[0] / scale / 2, abs(dy) - size[1] / scale / 2
    return math.hypot(max(across, 0), max(up, 0)) > FAR + 0.5
