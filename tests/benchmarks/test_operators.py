"""Candidate kernels compute what PyTorch's do, and the benchmark prints shares and ratios."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import pytest
import torch
from torch import nn

from benchmarks import operators
from benchmarks.candidate_kernels import use_candidates
from xception.profile.subjects import read_subjects


def as_it_is(kernel: Callable[..., None]) -> Callable[..., None]:
    """Run a kernel as plain Python."""
    return kernel


@pytest.mark.parametrize(("norm", "depthwise"), [(True, False), (False, True), (True, True)])
def test_candidates_give_the_values_and_gradients_of_torch(norm: bool, depthwise: bool) -> None:
    torch.manual_seed(0)
    batch_norm = nn.BatchNorm2d(4)
    nn.init.normal_(batch_norm.weight)
    nn.init.normal_(batch_norm.bias)
    ours = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), nn.Sequential(batch_norm), nn.ReLU())
    theirs = copy.deepcopy(ours)
    images = (torch.randn(3, 4, 10, 10) + 5).contiguous(memory_format=torch.channels_last)
    weights = torch.randn_like(images)
    assert use_candidates(ours, norm=norm, depthwise=depthwise, run=as_it_is) == norm + depthwise
    found = []
    for network in (ours, theirs):
        leaf = images.clone().requires_grad_()
        out = network(leaf)
        (out * weights).sum().backward()
        assert leaf.grad is not None
        found.append([out, leaf.grad, *(p.grad for p in network.parameters()), *network.buffers()])
    for own, reference in zip(*found, strict=True):
        if reference.is_floating_point():
            torch.testing.assert_close(own, reference, rtol=1e-4, atol=1e-4)


def test_norm_without_a_relu_after_it_stays() -> None:
    network = nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.ReLU())
    assert use_candidates(network, norm=True, depthwise=True, run=as_it_is) == 0


def test_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(operators, "prepare_process", lambda threads: None)
    one_module = ("model.entry.widths=16", "model.entry.strides=2", "model.middle.modules=0", "model.exit=null")
    (small,) = read_subjects("cifar_tiny", None, 8, set=one_module)  # the profiler takes long over many operators
    monkeypatch.setattr(operators, "read_subjects", lambda *_: [small])
    monkeypatch.setattr(operators, "BATCH_SIZE", 2)
    monkeypatch.setattr(operators, "CANDIDATES", {"depthwise by the flipped kernel": (False, True)})
    assert operators.main(["--short", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ratios"]["torch"]["median"] == 1
    assert document["ratios"]["depthwise by the flipped kernel"]["n"] == 10
    assert document["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
