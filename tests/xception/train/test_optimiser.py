"""Optimisers: PyTorch's own to the bit, without the two seconds that their guards against torch.compile take."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tests.command import call
from tests.xception.train.tiny_training import tiny_model, tiny_recipe
from xception.network.model import build
from xception.train.optimiser import build_optimiser
from xception.train.recipe import SGD, AdamW, RMSprop

pytestmark = pytest.mark.numeric

_TRAINING = """
import sys

from tests.xception.train.tiny_training import tiny_model, tiny_recipe
from xception.data import load
from xception.data.names import find
from xception.train.loop import fit

dataset = load(find("synthetic", None), 32)
data = dataset.source.config(image_size=32, train_size=64, val_size=16, test_size=16)
result = fit(model=tiny_model(), recipe=tiny_recipe(epochs=1), dataset=dataset, data=data, seed=0)
gpu = [name for name in sys.modules if name.startswith("xception.cuda.") or name == "xception.train.cuda_graph"]
print(result.status, "torch._dynamo" in sys.modules, gpu)
"""


@pytest.mark.parametrize(
    "kind", [SGD(nesterov=True, weight_decay=1e-3), RMSprop(weight_decay=1e-3), AdamW(weight_decay=1e-2)]
)
def test_steps_are_those_of_pytorch(kind: SGD | RMSprop | AdamW) -> None:
    network = build(tiny_model())
    other = copy.deepcopy(network)
    ours = build_optimiser(network, tiny_recipe(optimizer=kind))
    theirs = {SGD: torch.optim.SGD, RMSprop: torch.optim.RMSprop, AdamW: torch.optim.AdamW}[type(kind)]
    assert isinstance(ours, theirs)
    named = dict(zip(network.parameters(), other.parameters(), strict=True))
    groups = [{**group, "params": [named[p] for p in group["params"]]} for group in ours.param_groups]
    reference: torch.optim.Optimizer = theirs(groups)
    images, labels = torch.rand(16, 3, 32, 32), torch.arange(16) % 10
    for _ in range(3):
        for model, optimiser in ((network, ours), (other, reference)):
            optimiser.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(model(images), labels).backward()
            optimiser.step()
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))
    assert all(p.requires_grad for p in network.parameters())
    assert len(ours.state) == len(reference.state) > 0


def test_training_on_a_cpu_imports_neither_dynamo_nor_gpu_modules() -> None:
    assert call("-c", _TRAINING).stdout.split() == ["complete", "False", "[]"]


def test_decay_may_spare_depthwise_kernels() -> None:
    model = build(tiny_model())
    optimizer = SGD(weight_decay=1e-3)
    decayed = {
        decay: {
            id(p)
            for group in build_optimiser(model, tiny_recipe(optimizer=optimizer, decay=decay)).param_groups
            for p in group["params"]
            if group["weight_decay"]
        }
        for decay in ("weights", "dense_weights")
    }
    spared = {name for name, p in model.named_parameters() if id(p) in decayed["weights"] - decayed["dense_weights"]}
    assert spared
    assert spared == {name for name, _ in model.named_parameters() if name.endswith("depthwise.weight")}
