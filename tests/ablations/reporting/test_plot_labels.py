"""Names in scatter plots: each is nearest to its own mark, or a line leads there."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.text import Annotation

from ablations.reporting import style
from ablations.reporting.plot_labels import name_points

CROWDED = {"3×3": (4.2, 64.4), "1×1": (10.5, 53.0), "5×5": (4.25, 63.8), "7×7": (4.6, 62.5)}
IN_A_ROW = {f"variant {i}": (4.0 + 0.1 * i, 60.0 + 0.1 * i) for i in range(6)}


@pytest.mark.parametrize("points", [CROWDED, IN_A_ROW], ids=["crowded", "in a row"])
def test_a_name_belongs_to_the_nearest_mark_or_has_a_line(points: dict[str, tuple[float, float]]) -> None:
    with style.context():
        figure = style.new_figure(2.6)
        axes = figure.subplots()
        axes.set_xlim(3.6, 11.2)
        axes.set_ylim(51.5, 66.2)
        assert name_points(axes, list(points.values()), list(points))
        figure.draw_without_rendering()
        marks = axes.transData.transform(np.array(list(points.values())))
        written = [child for child in axes.get_children() if isinstance(child, Annotation)]
        assert len(written) == len(points)
        for number, text in enumerate(written):
            if text.arrow_patch is not None:
                continue
            edges = text.get_window_extent().get_points()
            away = np.hypot(*np.maximum(np.maximum(edges[0] - marks, marks - edges[1]), 0).T)
            assert away[number] <= away.min() + 1e-6, text.get_text()
