"""Zero-cost proxies against what can be computed by hand, and the correlation that is shown with them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from ablations.records.store import Store
from search.engine.proxies import Proxies, grad_norm, naswot, rank_correlation, synflow
from tests.search.simulated import make_plan
from xception.network.closed_form import complexity

pytestmark = pytest.mark.numeric


def test_synflow_of_a_linear_network() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False), nn.ReLU(), nn.Linear(3, 2, bias=False))
    first, second = (m.weight.detach().double().abs() for m in model if isinstance(m, nn.Linear))
    flow = float((second @ first @ torch.ones(4, dtype=torch.float64)).sum())
    assert synflow(model, (1, 2, 2)) == pytest.approx(math.log(2 * flow))  # each of two layers carries the whole flow


def test_grad_norm_of_a_linear_network() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False))
    images, labels = torch.randn(5, 1, 2, 2), torch.tensor([0, 1, 2, 0, 1])
    logits = model(images)
    by_hand = (torch.softmax(logits, 1) - nn.functional.one_hot(labels, 3)).T @ images.flatten(1) / 5
    assert grad_norm(model, images, labels) == pytest.approx(float(by_hand.detach().norm()), rel=1e-5)


def test_naswot_of_known_codes() -> None:
    model = nn.Sequential(nn.Flatten(), nn.ReLU())
    images = torch.tensor([[1.0, 1, -1], [1.0, -1, -1], [-1.0, -1, 1]]).view(3, 1, 1, 3)
    kernel = np.array([[3, 2, 0], [2, 3, 1], [0, 1, 3]])  # on how many of three units two images agree
    assert naswot(model, images) == pytest.approx(math.log(np.linalg.det(kernel)))
    assert not model[1]._forward_hooks


def test_scores_of_our_networks_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(tmp_path)
    store = Store(f"sqlite:///{tmp_path / 'records.db'}")
    networks = [plan.network.replace_at("middle.modules", n) for n in (0, 2)]
    names = ("grad_norm", "synflow", "naswot")
    scores = [Proxies(names, plan, store)(network) for network in networks]
    assert all(math.isfinite(value) for found in scores for value in found.values())
    assert scores[0] != scores[1]
    monkeypatch.setattr("search.engine.proxies.build", None)
    assert [Proxies(names, plan, store)(network) for network in networks] == scores
    assert complexity(networks[0], 32).macs < complexity(networks[1], 32).macs
    store.close()


def test_rank_correlation_is_scipys_with_an_interval_around_it() -> None:
    generator = np.random.default_rng(0)
    accuracy = generator.random(30)
    good = accuracy + generator.normal(0, 0.1, 30)
    rows = rank_correlation({"good": good.tolist(), "flat": [1.0] * 30}, accuracy.tolist())
    assert rows[0]["spearman"] == pytest.approx(stats.spearmanr(good, accuracy).statistic)
    assert rows[0]["kendall"] == pytest.approx(stats.kendalltau(good, accuracy).statistic)
    assert rows[0]["spearman_ci_low"] < rows[0]["spearman"] < rows[0]["spearman_ci_high"] <= 1
    assert math.isnan(rows[1]["spearman"])
    assert math.isnan(rank_correlation({"few": [1.0, 2.0]}, [0.1, 0.2])[0]["kendall"])
