"""What networks cost is counted and timed once per network, and timing takes a share of the training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ablations.costs.variant_costs import count, latency_budget, measure_costs
from ablations.design.options import Options
from ablations.design.plan_study import plan_study
from ablations.records.store import Store
from ablations.studies import get_study


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'records.db'}")
    yield opened
    opened.close()


def test_networks_are_measured_once(store: Store, tmp_path: Path) -> None:
    plan = plan_study(get_study("residuals"), Options(out=tmp_path, scale="smoke", dataset="synthetic", seeds=2))
    measure_costs(plan.designs, store, device="cpu", time_budget_s=0.01)
    before = store.all_measurements()
    kinds = [kind for _, kind, _ in before]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "complexity": 2,
        "latency": 2,
        "latency column": 1,
        "memory": 2,
    }
    assert all(row["n"] >= 20 for row in store.measurements("latency"))
    measure_costs(plan.designs, store, device="cpu", time_budget_s=0.01)
    assert store.all_measurements() == before


def test_counts_of_our_networks_are_those_of_a_forward_pass(tmp_path: Path) -> None:
    from xception.network.model import build
    from xception.profile.complexity import complexity

    plan = plan_study(get_study("operators"), Options(out=tmp_path, scale="smoke", dataset="synthetic", seeds=1))
    for design in list(plan.designs.values())[:3]:
        counted = complexity(build(design.model), (3, 32, 32))
        expected = {n: getattr(counted, n) for n in ("params", "macs", "fvcore_total", "activations")}
        assert next(iter(count(design, "cuda:0").values())) == expected


@pytest.mark.parametrize(("seconds", "budget"), [(0.0, 3.0), (1000.0, 5.0), (1e5, 30.0)])
def test_timing_takes_a_share_of_the_training(seconds: float, budget: float) -> None:
    assert latency_budget(seconds) == budget


def test_a_network_that_no_memory_holds_leaves_the_others_their_costs(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ablations.costs.variant_costs import stored_costs
    from xception.network import model

    plan = plan_study(get_study("residuals"), Options(out=tmp_path, scale="smoke", dataset="synthetic", seeds=2))
    whole, (small, large) = model.build, plan.designs

    def build(config: object, *more: object, **named: object) -> object:
        if config == plan.designs[large].model:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: 9 TB")
        return whole(config, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("xception.network.model.build", build)
    monkeypatch.setattr("xception.profile.latency.build", build)
    measure_costs(plan.designs, store, device="cpu", time_budget_s=0.01)
    stored_plan = plan.stored_plan()
    store.put_plan(stored_plan)
    from dataclasses import replace

    from ablations.execution.task import failed
    from tests.trials import small_task

    for trial in plan.trials().values():
        task = replace(small_task(0), trial=trial)
        store.put(replace(failed(task, "none"), status="complete"))
    costs = stored_costs(store, stored_plan).set_index("variant")
    assert costs.loc[small, ["params", "macs", "latency_ms", "inference_memory_bytes"]].notna().all()
    assert costs.loc[large, ["params", "macs", "latency_ms", "inference_memory_bytes"]].isna().all()
