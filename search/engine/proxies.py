"""Zero-cost proxies: scores of untrained networks from one batch, whose rank correlation with trained accuracy is
measured, not assumed.

- `grad_norm`: the norm of the loss's gradient (Abdelfattah et al. 2021, arXiv:2101.08134);
- `synflow`: the sum over parameters of |θ · ∂R/∂θ| for the network of absolute weights on an input of ones, as a
  logarithm (Tanaka et al. 2020, arXiv:2006.05467);
- `naswot`: the log-determinant of the kernel of activation patterns over the batch (Mellor et al. 2021,
  arXiv:2006.04647).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ablations.records.store import Store
from search.engine.search_plan import SearchPlan
from xception.base.canonical import key_of
from xception.data import load
from xception.data.augment import normalise
from xception.data.splits import split
from xception.network.config import XceptionConfig
from xception.network.initialisation import initialise
from xception.network.model import build

__all__ = ["Proxies", "grad_norm", "naswot", "rank_correlation", "synflow"]

_BATCH = 64
_VERSION = 1  # raised where a score changes its meaning


class Proxies:
    """Scores of networks on the first training images of seed 0, computed once each and kept in the store."""

    def __init__(self, names: Sequence[str], plan: SearchPlan, store: Store) -> None:
        self._names, self._plan, self._store = names, plan, store
        self._batch: tuple[Tensor, Tensor] | None = None

    def __call__(self, network: XceptionConfig) -> dict[str, float]:
        """Return the scores of a network by name."""
        data = self._plan.design.dataset
        key = key_of(["proxies", _VERSION, network, data.fingerprint, data.image_size, data.val_size])
        known: dict[str, float] = dict(self._store.measurement(key) or {})
        missing = [name for name in self._names if name not in known]
        if missing:
            known |= self._computed(missing, network)
            self._store.put_measurement(key, "proxies", known)
        return {name: known[name] for name in self._names}

    def _computed(self, names: Sequence[str], network: XceptionConfig) -> dict[str, float]:
        if self._batch is None:
            data = self._plan.design.dataset
            dataset = load(self._plan.source.seen_by(data), data.image_size)
            train = split(dataset, data, 0).train
            images, labels = train.batch(torch.arange(min(_BATCH, len(train))))
            self._batch = normalise(images, dataset.statistics), labels
        images, labels = self._batch
        out: dict[str, float] = {}
        for name in names:
            model = build(network)
            initialise(model, network.initialisation, seed=0)
            match name:
                case "grad_norm":
                    out[name] = grad_norm(model, images, labels)
                case "synflow":
                    out[name] = synflow(model, images.shape[1:])
                case _:
                    out[name] = naswot(model, images)
        return out


def grad_norm(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the Euclidean norm of the cross-entropy's gradient over all parameters, of images (N, C, H, W) in training
    mode.
    """
    model.train()
    with _own_randomness():
        loss = nn.functional.cross_entropy(model(images), labels)
    gradients = torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad])
    return math.sqrt(sum(float(g.double().square().sum()) for g in gradients))


def synflow(model: nn.Module, shape: Sequence[int]) -> float:
    """Return log Σ |θ · ∂R/∂θ|, R the sum of the outputs of the network with absolute parameters on ones of shape (C,
    H, W).
    """
    model.double().eval()  # products over many layers leave the range of float32
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()
    parameters = [p for p in model.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(
        model(torch.ones(1, *shape, dtype=torch.float64)).sum(), parameters, allow_unused=True
    )
    total = sum(
        float((p.detach() * g).abs().sum()) for p, g in zip(parameters, gradients, strict=True) if g is not None
    )
    return math.log(total) if 0 < total < math.inf else -math.inf if total == 0 else math.inf


@torch.no_grad()
def naswot(model: nn.Module, images: Tensor) -> float:
    """Return log |det K|, K (N, N) counting the activations on which two images agree in sign."""
    model.train()
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64)

    def count(module: nn.Module, inputs: Any, output: Tensor) -> None:
        codes = (output > 0).flatten(1).double()
        kernel.add_(codes @ codes.T + (1 - codes) @ (1 - codes).T)

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, _ACTIVATIONS)]
    with _own_randomness():
        model(images)
    for hook in hooks:
        hook.remove()
    return float(torch.linalg.slogdet(kernel).logabsdet)


_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Hardswish, nn.Mish)


def rank_correlation(
    scores: Mapping[str, Sequence[float]], accuracies: Sequence[float], seed: int = 0
) -> list[dict[str, Any]]:
    """Return Spearman's ρ and Kendall's τ of each proxy with accuracy, with 95 % bootstrap intervals over the
    candidates.

    With fewer than five candidates, or if all are equal, the numbers are NaN.
    """
    from scipy import stats

    accuracy = np.asarray(accuracies, dtype=np.float64)
    generator = np.random.default_rng(seed)
    rows = []
    for name, values in scores.items():
        score = np.asarray(values, dtype=np.float64)
        row: dict[str, Any] = {"proxy": name, "n": len(score)}
        for word, measure in (("spearman", stats.spearmanr), ("kendall", stats.kendalltau)):
            estimate, low, high = math.nan, math.nan, math.nan
            if len(score) >= 5 and np.ptp(score[np.isfinite(score)]) > 0 and np.ptp(accuracy) > 0:
                estimate = float(measure(score, accuracy).statistic)
                drawn = []
                for _ in range(1000):
                    chosen = generator.integers(0, len(score), len(score))
                    if len(set(score[chosen])) > 1 and len(set(accuracy[chosen])) > 1:
                        drawn.append(float(measure(score[chosen], accuracy[chosen]).statistic))
                low, high = (float(q) for q in np.quantile(drawn, (0.025, 0.975)))
            row |= {word: estimate, f"{word}_ci_low": low, f"{word}_ci_high": high}
        rows.append(row)
    return rows


@contextmanager
def _own_randomness() -> Iterator[None]:
    """Dropout and dropped paths draw from torch's global generator: they get a seed of their own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
