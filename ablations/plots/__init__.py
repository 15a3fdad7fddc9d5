"""Figures as functions of a frame of records: `study_figures` makes all that a study has data for, `save_figures` writes them.

Every function returns a `Figure`; nothing here touches pyplot's state, and matplotlib is imported on first use.
"""

from __future__ import annotations

from ablations.plots.collection import SavedFigure, StudyFigure, distance_figures, save_figure, save_figures, study_figures

__all__ = ["SavedFigure", "StudyFigure", "distance_figures", "save_figure", "save_figures", "study_figures"]
