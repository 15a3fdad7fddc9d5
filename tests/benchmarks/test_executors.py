"""The simulation of a cluster with given times: losses are reported by cause, and the planner's order loses least."""

from __future__ import annotations

import pytest

from benchmarks.executors import Measured, cycles, simulate

UNLIKE = Measured(
    work=[1.0, 2.0, 4.0, 16.0],
    seconds=[[1.0, 1.1], [2.0, 2.1], [4.0, 4.2], [16.0, 15.0]],
    start_seconds=3.0,
    driver_seconds=0.01,
)


@pytest.mark.parametrize("num_workers", [1, 8, 256])
@pytest.mark.parametrize("planned", [True, False])
def test_efficiency_and_what_is_lost_are_all_there_is(num_workers: int, planned: bool) -> None:
    row = simulate(UNLIKE, 1000, num_workers, 150.0, planned=planned)
    lost = sum(value for name, value in row.items() if name.startswith("lost_"))
    assert row["efficiency"] + lost == pytest.approx(1.0)
    assert row["hours"] * 3600 * num_workers * row["efficiency"] == pytest.approx(1000 * 150.0)


def test_one_worker_without_cost_is_all_training() -> None:
    free = Measured(work=[1.0], seconds=[[2.0]], start_seconds=0.0, driver_seconds=0.0)
    assert simulate(free, 100, 1, 10.0, planned=True)["efficiency"] == pytest.approx(1.0)


def test_the_costly_first_leaves_less_idle_at_the_end_than_the_costly_last() -> None:
    planned, listed = (simulate(UNLIKE, 100, 16, 150.0, planned=p) for p in (True, False))
    assert planned["lost_at_the_end"] < listed["lost_at_the_end"]


def test_a_driver_that_is_slow_limits_many_workers() -> None:
    slow = Measured(work=UNLIKE.work, seconds=UNLIKE.seconds, start_seconds=3.0, driver_seconds=5.0)
    row = simulate(slow, 1000, 256, 150.0, planned=True)
    assert row["lost_to_the_driver"] > 0.5


def test_a_workers_cycle_goes_from_one_end_to_the_next() -> None:
    # Two workers, whose trials take 2 s and 3 s; the time between an end and the next start belongs to the next trial.
    moments = [
        ("start", 0.0),
        ("start", 0.0),
        ("end", 2.0),
        ("start", 2.1),
        ("end", 3.0),
        ("start", 3.1),
        ("end", 4.0),
        ("end", 6.0),
    ]
    assert cycles(moments) == [2.0, 3.0, 2.0, 3.0]
