"""Curves for TensorBoard: what was shown is what its own reader finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations.execution.events import Epoch, Finished
from ablations.execution.progress import Label, ProgressDisplay
from ablations.records.record import Record

pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of tensorboard's own imports


def test_curves_are_read_back(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from ablations.execution.tensorboard import CurveLog

    rows = [{"epoch": e, "train_loss": 2.0 / e, "val_loss": 2.5 / e, "val_accuracy": 0.25 * e} for e in (1, 2)]
    with CurveLog(tmp_path) as log:
        display = ProgressDisplay(log=log)
        display.expect({"k": Label(variant="../with / residuals", seed=3, num_epochs=2, cost=1.0)})
        for row in rows:
            display.show(Epoch("k", row))
        display.show(Finished(Record(key="k", trial="{}", status="complete", test_accuracy=0.5, curves=rows)))
    (folder,) = [p.parent for p in tmp_path.rglob("events.*")]
    assert folder.is_relative_to(tmp_path)
    assert folder.name == "seed 3"
    events = EventAccumulator(str(folder)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("val_accuracy")] == [(1, 0.25), (2, 0.5)]
    assert [e.value for e in events.Scalars("test_accuracy")] == [0.5]
