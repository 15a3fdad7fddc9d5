"""What is left of a run: its folder and the frames that the folder was written from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from ablations.analysis.settings import SettingsComparison

__all__ = ["Results"]


@dataclass(frozen=True, kw_only=True)
class Results:
    """The folder of a run, the frame of its records, and the comparison with costs, one row per variant.

    Of a study in several settings both frames have the rows of all settings, with a column for each field in which
    they differ, and `settings` has what they say together.
    """

    folder: Path
    frame: pd.DataFrame
    comparison: pd.DataFrame
    settings: SettingsComparison | None = None
