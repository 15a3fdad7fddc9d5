"""The simulation that checks the statistics: it detects errors, keeps its contract, and (long) its promises hold."""

from __future__ import annotations

import gc
import json
import math
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from ablations.statistics import EQUIVALENT, HELPS, INCONCLUSIVE, decide
from benchmarks import simulated_cells, statistics
from benchmarks.simulated_studies import DISTRIBUTIONS, earlier_fixed


@pytest.mark.parametrize(("hits", "trials"), [(0, 50), (3, 100), (500, 10_000), (20, 20)])
def test_monte_carlo_interval_against_mpmath(hits: int, trials: int) -> None:
    """Clopper and Pearson 1934: at each end of the interval, the observation has a probability of half a percent."""
    found = simulated_cells.rate(hits, trials)
    if hits:
        assert float(mpmath.betainc(hits, trials - hits + 1, 0, found["low"], regularized=True)) == pytest.approx(
            0.005, abs=1e-9
        )
    if hits < trials:
        assert float(mpmath.betainc(hits + 1, trials - hits, 0, found["high"], regularized=True)) == pytest.approx(
            0.995, abs=1e-9
        )
    assert found["low"] <= found["rate"] <= found["high"]


def test_the_baseline_is_shared() -> None:
    data = DISTRIBUTIONS["normal"].draw(np.random.default_rng(0), 20_000, np.zeros(2), 3, 1.0)
    assert data.shape == (20_000, 2, 3)
    assert np.corrcoef(data[:, 0].ravel(), data[:, 1].ravel())[0, 1] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_every_distribution_has_the_requested_effects(name: str) -> None:
    effects = np.array([0.0, 1.0, -1.0])
    data = DISTRIBUTIONS[name].draw(np.random.default_rng(0), 20_000, effects, 5, 0.5)
    mean, error = data.mean(axis=(0, 2)), data.std(axis=(0, 2)) / math.sqrt(data[:, 0].size)
    assert (np.abs(mean - effects) < 6 * error + 0.002).all()


def test_the_rule_before_was_holm_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "collect", lambda: 0)  # which statsmodels calls at every correction, 400 times here
    values = np.random.default_rng(0).normal(0.6, 0.5, (200, 4, 5))
    found = earlier_fixed(values, 1.0)
    for study, verdicts in zip(values, found, strict=True):
        difference = multipletests(stats.ttest_1samp(study, 0, axis=1).pvalue, method="holm")[1]
        equivalence = [DescrStatsW(row).ttost_mean(-1.0, 1.0)[0] for row in study]
        same = multipletests(equivalence, method="holm")[1]
        np.testing.assert_array_equal(
            verdicts, np.where(same <= 0.05, EQUIVALENT, np.where(difference <= 0.05, HELPS, INCONCLUSIVE))
        )


def test_a_procedure_that_errs_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a correction for the family the simulation must break the promise."""

    def uncorrected(differences: Any, margin: float, *, grid: float | None = None) -> Any:
        found = decide(differences[:, :, np.newaxis, :], margin, grid=grid)
        return type(found)(**{name: value[..., 0] for name, value in vars(found).items()})

    monkeypatch.setattr(simulated_cells, "decide", uncorrected)
    cell = simulated_cells.simulate(np.random.default_rng(0), 1000, DISTRIBUTIONS["normal"], np.zeros(8), 5, 3.0)
    assert statistics.errs(cell)
    assert cell["rate"] > 0.1
    assert cell["before"]["rate"] < 0.08


def test_a_verdict_that_its_intervals_do_not_show_is_found_out() -> None:
    ends = np.array([[0.2, -0.2, -2.0, -0.5]]), np.array([[3.0, 3.0, 2.0, 0.5]])
    found = simulated_cells.disagrees(np.array([[HELPS, HELPS, EQUIVALENT, EQUIVALENT]]), ends, ends)
    assert found.tolist() == [[False, True, True, False]]


def test_report_keeps_the_contract(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(statistics, "SHORT", 100)
    monkeypatch.setattr(statistics, "SHORT_FAMILIES", (1, 3))
    status = statistics.main(["--short", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert set(report["family_wise_error"]) == {"fixed", "auto"}
    assert {"coverage", "power", "looks", "tuning", "stops", "broken"} <= set(report)
    assert report["studies"] == 100
    assert report["disagree"] == 0
    assert status == int(bool(report["broken"]))
    for mode in ("fixed", "auto"):
        assert {"rate", "low", "high", "holds", "cells", "worst"} <= set(report["family_wise_error"][mode])
    statistics.show(report)
    assert "100 simulated studies per cell" in capsys.readouterr().out


def test_wrong_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        statistics.main(["--shorter"])
    assert end.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.long
def test_promises_hold_over_ten_thousand_studies_per_cell() -> None:
    report = statistics.run(10_000, seed=1, families=(1, 2, 3, 4, 7))
    assert report["broken"] == []
    assert all(result["holds"] for result in report["family_wise_error"].values())
