"""The curves of a run for TensorBoard, one log per trial, written as the epochs come."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ablations.execution.events import Epoch, Event, Finished
from ablations.execution.progress import Label

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["CurveLog"]


class CurveLog:
    """Writes each trial's losses and accuracies below `<folder>/<variant>/seed N`; use it in a `with`.

    Raises:
        ValueError: the package tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        if find_spec("tensorboard") is None:  # refused before anything is trained
            raise ValueError("--tensorboard: needs the package tensorboard; install the extra `tensorboard`")
        self.folder = folder
        self._labels: dict[str, Label] = {}
        self._writers: dict[str, SummaryWriter] = {}

    def __enter__(self) -> CurveLog:
        return self

    def __exit__(self, *_: object) -> None:
        for key in list(self._writers):
            self._close(key)

    def expect(self, labels: dict[str, Label]) -> None:
        """Add the names of trials that are about to run, by key."""
        self._labels |= labels

    def show(self, event: Event) -> None:
        """Write an event."""
        if isinstance(event, Epoch):
            for name in ("train_loss", "val_loss", "val_accuracy"):
                self._writer(event.key).add_scalar(name, event.row[name], event.row["epoch"])
        elif isinstance(event, Finished) and event.record.key in self._labels:
            record = event.record
            if record.test_accuracy is not None:
                last = record.curves[-1]["epoch"] if record.curves else 0
                self._writer(record.key).add_scalar("test_accuracy", record.test_accuracy, last)
            self._close(record.key)

    def _writer(self, key: str) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        if key not in self._writers:
            label = self._labels[key]
            name = re.sub(r"[^\w .@+-]", "_", label.variant).strip(" .") or "variant"
            self._writers[key] = SummaryWriter(str(self.folder / name / f"seed {label.seed}"))
        return self._writers[key]

    def _close(self, key: str) -> None:
        if key in self._writers:
            self._writers.pop(key).close()
