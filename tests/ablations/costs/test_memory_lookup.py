"""Peak memory in a store: kept by device, from one device per table, and never from an unknown GPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ablations.costs.memory_lookup import memory_on_one_device, put_missing_memory
from ablations.design.options import Options
from ablations.design.plan_study import plan_study
from ablations.design.study_plan import StudyPlan
from ablations.records.store import Store
from ablations.studies import get_study


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'records.db'}")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def plan() -> StudyPlan:
    return plan_study(get_study("residuals"), Options(scale="smoke", dataset="synthetic", seeds=2))


def use_gpu(monkeypatch: pytest.MonkeyPatch, name: str, peak_bytes: int) -> None:
    """Make every measurement on `cuda:0` one of a GPU with the given name."""
    monkeypatch.setattr("xception.profile.latency.check_device", lambda device: device)
    monkeypatch.setattr("xception.profile.environment.device_title", lambda device: name)
    monkeypatch.setattr(
        "xception.profile.memory.measure_memory", lambda *_, **__: SimpleNamespace(peak_bytes=peak_bytes)
    )


def shown(store: Store, plan: StudyPlan) -> list[int]:
    found = memory_on_one_device(store, {name: plan.trials()[name, 0] for name in plan.designs})
    return [row["inference_memory_bytes"] for row in found.values()]


def test_each_device_has_a_measurement_of_its_own(
    store: Store, plan: StudyPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = plan.designs.values()
    for design in (first, second):
        put_missing_memory(store, design, "cpu")
    counted = shown(store, plan)
    assert len(counted) == 2
    use_gpu(monkeypatch, "GPU A", 1)
    put_missing_memory(store, first, "cuda:0")
    assert shown(store, plan) == counted  # the GPU has measured one network of two
    put_missing_memory(store, second, "cuda:0")
    assert shown(store, plan) == [1, 1]
    use_gpu(monkeypatch, "GPU B", 2)
    put_missing_memory(store, first, "cuda:0")
    assert shown(store, plan) == [1, 1]
    put_missing_memory(store, second, "cuda:0")
    assert sorted({row.get("device", "") for row in store.measurements("memory")}) == ["", "GPU A", "GPU B"]
    assert shown(store, plan) == [2, 2]  # of two GPUs with all networks, the one with the last measurement
    before = store.all_measurements()
    put_missing_memory(store, first, "cuda:0")
    assert store.all_measurements() == before


def test_stores_of_earlier_versions_are_read_apart_from_unknown_gpus(store: Store, plan: StudyPlan) -> None:
    for design in plan.designs.values():
        put_missing_memory(store, design, "cpu")
    counted = shown(store, plan)
    (key, _, values), _ = store.all_measurements()
    assert "device" not in values  # the form in which earlier versions wrote counts
    store.put_measurement(key, "memory", {**values, "inference_memory_bytes": 3, "memory_method": "CUDA allocator"})
    assert len(shown(store, plan)) == 1
    assert 3 not in shown(store, plan)
    for design in plan.designs.values():
        put_missing_memory(store, design, "cpu")
    assert shown(store, plan) == counted
