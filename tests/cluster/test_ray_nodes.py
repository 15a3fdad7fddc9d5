"""Nodes that are lost, and nodes without access to the driver's files: every trial has one record, the same as without
faults.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ablations.execution.events import Epoch, Event, Notice
from ablations.execution.execute import execute
from ablations.execution.executor import SerialExecutor
from ablations.execution.ray_executor import RayExecutor
from ablations.execution.task import Task
from ablations.records.store import Store
from tests.command import ROOT
from tests.servers import add_node
from tests.trials import bits, finished, small_task
from xception.data import load
from xception.data.names import find

pytestmark = pytest.mark.long  # a cluster is started, loses nodes and is joined again


def test_a_node_lost_in_the_middle_of_a_study_costs_no_record(ray_cluster: Any, tmp_path: Path) -> None:
    expected = finished(SerialExecutor().run([small_task(seed, epochs=25) for seed in range(3)]))
    store = Store(f"sqlite:///{tmp_path}/records.db")
    tasks = [replace(small_task(seed, epochs=25), trials=tmp_path / "trials") for seed in range(3)]
    doomed, other = add_node(ray_cluster, num_cpus=2, resources={"place": 2}), None
    events: list[Event] = []
    for event in execute(tasks, store, RayExecutor(resources={"place": 1})):
        events.append(event)
        if other is None and len({e.key for e in events if isinstance(e, Epoch)}) == 2:
            ray_cluster.remove_node(doomed, allow_graceful=False)
            other = add_node(ray_cluster, num_cpus=2, resources={"place": 2})
    ray_cluster.remove_node(other, allow_graceful=False)
    lost = [event.key for event in events if isinstance(event, Notice) and "worker was lost" in event.line]
    assert len(lost) == len(set(lost)) == 2
    for key in lost:  # they continued from their checkpoints
        assert [event.row["epoch"] for event in events if isinstance(event, Epoch) and event.key == key].count(1) == 1
    assert {key: bits(record) for key, record in finished(events).items()} == {
        key: bits(record) for key, record in expected.items()
    }
    assert {key: bits(record) for key, record in store.get().items()} == {
        key: bits(record) for key, record in expected.items()
    }
    assert store.claim_owners() == {}
    store.close()


def test_a_lost_raylet_ends_the_study_with_one_line(tmp_path: Path) -> None:
    """In a separate process with a Ray cluster of this machine only."""
    words = ["run_ablation.py", "--study", "residuals", "--scale", "smoke", "--dataset", "synthetic", "--epochs", "400"]
    words += ["--out", str(tmp_path), "--executor", "ray"]
    environment = os.environ | {"PYTHONWARNINGS": "error"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment, "cwd": ROOT}
    with subprocess.Popen([sys.executable, *words], **pipes) as driver:  # type: ignore[call-overload]
        try:
            _kill_raylet_once_a_trial_runs(driver.pid, tmp_path / "trials")
            _, told = driver.communicate(timeout=120)
        finally:
            driver.kill()
    assert driver.returncode == 2, told
    assert told.strip().splitlines()[-1].startswith("run_ablation.py: --executor ray: Ray has ended on this machine")
    assert "Traceback" not in told


def _kill_raylet_once_a_trial_runs(driver: int, trials: Path) -> None:
    deadline = time.monotonic() + 120
    while not any(trials.glob("*/step-*")):
        assert time.monotonic() < deadline, "no trial was begun"
        time.sleep(0.2)  # polls another process; does not wait for a fixed time
    children = subprocess.run(["pgrep", "-P", str(driver), "-x", "raylet"], capture_output=True, text=True, check=True)
    os.kill(int(children.stdout), signal.SIGKILL)


def test_checkpoints_records_and_data_travel_where_storage_is_not_shared(
    ray_cluster: Any, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    images = tmp_path / "images"
    make_images(images)
    source = find(f"folder:{images}", None)
    task = replace(small_task(0, epochs=3, source=source), trials=tmp_path / "trials")
    load(source, 8)  # the driver has decoded it, so nothing is left to decode
    images.rename(tmp_path / "moved")
    node = add_node(
        ray_cluster, num_cpus=1, resources={"far": 1}, env_vars={"XCEPTION_CACHE": str(tmp_path_factory.mktemp("far"))}
    )
    executor = RayExecutor(is_storage_shared=False, resources={"far": 0.5})
    try:
        first = list(executor.run([task]))
        assert any("is sent the data" in event.line for event in first if isinstance(event, Notice))
        record = finished(first)[task.key]
        assert record.status == "complete", record.reason
        folder = tmp_path / "trials" / task.key
        assert (folder / "record.json").is_file()
        # Lost from the database, it is found in the driver's folder by a node that was sent it.
        again = list(executor.run([task]))
        assert any("is sent the files" in event.line for event in again if isinstance(event, Notice))
        assert finished(again)[task.key] == record
        assert not any(isinstance(event, Epoch) for event in again)
    finally:
        ray_cluster.remove_node(node, allow_graceful=True)


def make_images(folder: Path) -> None:
    """Write a folder of images of two classes, in two splits."""
    rng = np.random.default_rng(0)
    for split, num in (("train", 100), ("val", 70)):
        for i in range(num):
            place = folder / split / f"class{i % 2}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(place / f"{i}.png")


def test_more_than_any_node_has_is_refused(ray_cluster: Any) -> None:
    with pytest.raises(ValueError, match=r"5 cores and 0 GPUs for one trial can never be met; .* 1 cores, 0 GPUs"):
        RayExecutor(cpus_per_trial=5)
    with pytest.raises(ValueError, match=r"0\.5 GPUs"):
        RayExecutor(gpus_per_trial=0.5)
    with pytest.raises(ValueError, match="1 moon"):
        RayExecutor(resources={"moon": 1})


def test_a_fraction_of_a_core_makes_room_for_more_at_once(ray_cluster: Any) -> None:
    taken: list[Task] = []

    def tasks() -> Iterator[Task]:
        for seed in range(9):
            taken.append(small_task(seed, epochs=100_000))
            yield taken[-1]

    node = add_node(ray_cluster, num_cpus=1, resources={"shared": 9})
    events = RayExecutor(cpus_per_trial=0.5, resources={"shared": 1}).run(tasks())
    next(events)
    events.close()  # type: ignore[attr-defined]
    ray_cluster.remove_node(node, allow_graceful=True)
    assert len(taken) == 2
