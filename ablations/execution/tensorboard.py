"""The trials of a run for TensorBoard, one log each, written epoch by epoch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.execution.trackers import CURVES, METRICS, TrackedTrial
from ablations.records.record import Record

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["TensorBoard"]


class TensorBoard:
    """Writes each trial below `<folder>/<variant>/seed N`.

    Raises:
        ValueError: the package tensorboard is not installed.
    """

    name = "TensorBoard"

    def __init__(self, folder: Path) -> None:
        if find_spec("tensorboard") is None:  # refused before anything is trained
            raise ValueError("--tensorboard: needs the package tensorboard; install the extra `tensorboard`")
        self.folder = folder
        self._writers: dict[str, SummaryWriter] = {}

    def epoch(self, trial: TrackedTrial, row: Mapping[str, Any]) -> None:
        """Write one epoch's losses and accuracies."""
        for name in CURVES:
            if row.get(name) is not None:
                self._writer(trial).add_scalar(name, row[name], row["epoch"])

    def finish(self, trial: TrackedTrial, record: Record) -> None:
        """Write the final metrics, and close the trial's log."""
        last = record.curves[-1]["epoch"] if record.curves else 0
        for name in METRICS:
            value = getattr(record, name)
            if value is not None and name not in CURVES:
                self._writer(trial).add_scalar(name, value, last)
        if trial.key in self._writers:
            self._writers.pop(trial.key).close()

    def close(self) -> None:
        """Close the logs of trials that have not ended."""
        while self._writers:
            self._writers.popitem()[1].close()

    def _writer(self, trial: TrackedTrial) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        if trial.key not in self._writers:
            name = re.sub(r"[^\w .@+-]", "_", trial.variant).strip(" .") or "variant"
            writer = SummaryWriter(str(self.folder / name / f"seed {trial.seed}"))
            about = {"key": trial.key, "study": trial.study, **trial.parameters}
            writer.add_text("parameters", f"```\n{json.dumps(about, indent=1)}\n```")
            self._writers[trial.key] = writer
        return self._writers[trial.key]
