"""The executor over the processes of torchrun: it trains, reports and fails one trial at a time, and ends."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ablations.design.trial import Trial
from ablations.execution.distributed_executor import DistributedExecutor
from ablations.execution.events import Epoch, Finished, Started
from ablations.execution.executor import SerialExecutor
from ablations.execution.task import Task
from tests.command import ROOT
from tests.trials import finished, small_task
from xception.network.config import NormConfig

PROGRAM = """
import os, sys
from pathlib import Path
from tests.ablations.execution.test_distributed_executor import drive
from ablations.execution.distributed_executor import follow

drive(Path(sys.argv[1])) if os.environ["RANK"] == "0" else follow("cpu")
"""


def tasks() -> list[Task]:
    """Two trials that can be trained in several processes, and between them one whose batch norm cannot."""
    with_batch_norm = [small_task(seed, epochs=1) for seed in range(3)]
    return [with_group_norm(task) if task.trial.seed != 1 else task for task in with_batch_norm]


def with_group_norm(task: Task) -> Task:
    model = task.trial.model.replace(norm=NormConfig(kind="group", groups=4))
    trial: Trial = dataclasses.replace(task.trial, model=model)
    return dataclasses.replace(task, trial=trial)


def drive(out: Path) -> None:
    """The first process: train, write the events, and end the others."""
    executor = DistributedExecutor.join("cpu")
    events = list(executor.run(tasks()))
    executor.close()
    heard = [{"kind": type(event).__name__, "key": _key(event)} for event in events]
    records = {
        key: {"status": r.status, "reason": r.reason, "test_loss": r.test_loss, "curves": r.curves}
        for key, r in finished(events).items()
    }
    (out / "heard.json").write_text(json.dumps({"events": heard, "records": records}))


def _key(event: Any) -> str:
    return str(event.record.key if isinstance(event, Finished) else event.key)


@pytest.mark.long
def test_two_processes_train_what_one_trains_and_go_on_after_a_failure(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    torchrun = ["-m", "torch.distributed.run", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    done = subprocess.run(
        [sys.executable, *torchrun, "--nproc-per-node", "2", str(program), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    heard = json.loads((tmp_path / "heard.json").read_text())
    asked = tasks()
    first, failing, last = (task.key for task in asked)
    assert [(event["kind"], event["key"]) for event in heard["events"] if event["kind"] != "Notice"] == [
        *((kind.__name__, first) for kind in (Started, Epoch, Finished)),
        *((kind.__name__, failing) for kind in (Started, Finished)),
        *((kind.__name__, last) for kind in (Started, Epoch, Finished)),
    ]
    records = heard["records"]
    assert {key: record["status"] for key, record in records.items()} == {
        first: "complete",
        failing: "failed",
        last: "complete",
    }
    assert "group norm" in records[failing]["reason"]
    alone = finished(SerialExecutor().run([asked[0], asked[2]]))
    for key, record in alone.items():
        # Two steps in float32, equal except for the order of sums.
        assert abs(records[key]["curves"][0]["train_loss"] - record.curves[0]["train_loss"]) < 1e-4
