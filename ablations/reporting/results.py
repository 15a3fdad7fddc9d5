"""The results of a run: its folder, and the frames that it was written from."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from ablations.analysis.settings import SettingsComparison

__all__ = ["Results"]

# The figures that a notebook shows, of those that the folder has.
_SHOWN = {
    "differences": "Paired differences of each variant from its baseline, every seed a point.",
    "accuracy": "Test accuracy of each variant, every seed a point.",
    "settings": "Effects of each variant in every setting.",
}


@dataclass(frozen=True, kw_only=True)
class Results:
    """The folder of a run, the frame of its records, and the comparison with costs, one row per variant.

    For a study in several settings, both frames have the rows of all settings, with a column for each field in which
    they differ, and `settings` is their joint comparison. A notebook shows verdicts, table and the first figures.
    """

    folder: Path
    frame: pd.DataFrame
    comparison: pd.DataFrame
    settings: SettingsComparison | None = None

    def _repr_html_(self) -> str:
        """Return what a notebook shows: escaped, without scripts, and with the figures inside."""
        from ablations.reporting.tables import display_table
        from ablations.reporting.templates import render

        if self.settings is None:
            compared = self.comparison[self.comparison["verdict"] != "baseline"]
            verdicts = list(zip(compared["variant"], compared["verdict_text"], compared["sentence"], strict=True))
            table = display_table(self.comparison, title=self._study) if len(self.comparison) else None
        else:
            answers = self.settings.answers
            verdicts = [
                (variant, "", text) for variant, text in zip(answers["variant"], answers["sentence"], strict=True)
            ]
            table = None
        return render(
            "results.html.jinja",
            study=self._study,
            verdicts=verdicts,
            table=table,
            figures=list(self._figures()),
            folder=str(self.folder),
        )

    @property
    def _study(self) -> str:
        return str(self.frame["study"].iloc[0]) if len(self.frame) else self.folder.name

    def _figures(self) -> Iterator[dict[str, str]]:
        for name, alt in _SHOWN.items():
            path = self.folder / "figures" / f"{name}.svg"
            if path.is_file():
                yield {"alt": alt, "data": base64.b64encode(path.read_bytes()).decode("ascii")}
