"""The simulation that checks the statistics: that it sees errors, that it keeps its contract, and (long) that its
promises hold.
"""

from __future__ import annotations

import json

import mpmath
import numpy as np
import pytest

from benchmarks import statistics


@pytest.mark.parametrize(("hits", "trials"), [(0, 50), (3, 100), (500, 10_000), (20, 20)])
def test_monte_carlo_interval_against_mpmath(hits, trials):
    """Clopper and Pearson 1934: at each end, what was seen has a probability of half a percent."""
    found = statistics.rate(hits, trials)
    if hits:
        assert float(mpmath.betainc(hits, trials - hits + 1, 0, found["low"], regularized=True)) == pytest.approx(
            0.005, abs=1e-9
        )
    if hits < trials:
        assert float(mpmath.betainc(hits + 1, trials - hits, 0, found["high"], regularized=True)) == pytest.approx(
            0.995, abs=1e-9
        )
    assert found["low"] <= found["rate"] <= found["high"]


def test_the_baseline_is_shared():
    data = statistics.differences(statistics.accuracies(np.random.default_rng(0), 20_000, 2, 3))
    assert data.shape == (20_000, 2, 3)
    assert np.corrcoef(data[:, 0].ravel(), data[:, 1].ravel())[0, 1] == pytest.approx(0.5, abs=0.02)


def test_a_procedure_that_errs_is_found_out(monkeypatch):
    """Without a correction for the family the simulation must break the promise."""
    careless = statistics.decide

    def uncorrected(differences, margin):
        return careless(differences[:, :, np.newaxis, :], margin)

    def flattened(data, n, margin=statistics.MARGIN):
        found = uncorrected(data, margin)
        return type(found)(**{name: value[..., 0] for name, value in vars(found).items()})

    monkeypatch.setattr(statistics, "decided", flattened)
    found = statistics.family_wise_error(np.random.default_rng(0), 1000)
    assert not found["fixed"]["holds"]
    assert found["fixed"]["rate"] > 0.1


def test_report_keeps_the_contract(monkeypatch, capsys):
    monkeypatch.setattr(statistics, "SHORT", 400)
    status = statistics.main(["--short", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert set(report["family_wise_error"]) == {"fixed", "auto"}
    assert {"coverage", "power", "saving", "broken"} <= set(report)
    assert report["studies"] == 400
    assert status == int(bool(report["broken"]))
    for mode in ("fixed", "auto"):
        assert {"rate", "low", "high", "holds", "cells", "mixed"} <= set(report["family_wise_error"][mode])
    statistics.show(report)
    assert "400 simulated studies per cell" in capsys.readouterr().out


def test_wrong_use_is_one_line(capsys):
    with pytest.raises(SystemExit) as end:
        statistics.main(["--shorter"])
    assert end.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.long
def test_promises_hold_over_ten_thousand_studies_per_cell():
    report = statistics.run(statistics.SHORT, seed=1)
    assert report["broken"] == []
    for mode in ("fixed", "auto"):
        assert all(cell["low"] <= 0.05 for cell in report["family_wise_error"][mode]["cells"])
    assert all(cell["high"] >= 0.95 for cell in report["coverage"]["normal"])
    assert all(abs(cell["rate"] - cell["analytic"]) <= 0.02 for cell in report["power"])
