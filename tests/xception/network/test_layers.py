"""Layers against definitions: padding, pooling, stochastic depth, and the equivalences between convolution
operators.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.networks import part
from xception.network.blocks import build
from xception.network.config import (
    EntryFlowConfig,
    ExitFlowConfig,
    OperatorConfig,
    ResidualConfig,
    StemConfig,
    XceptionConfig,
)
from xception.network.graph import operator_node
from xception.network.layers import (
    AntiAliasedPool2d,
    DropPath,
    FixedMap,
    SameConv2d,
    SamePool2d,
    convolution,
    same_padding,
)
from xception.network.model import Xception
from xception.network.nodes import Convolution, Norm, Pool, Sequence

pytestmark = pytest.mark.numeric


def config(**fields: Any) -> XceptionConfig:
    return XceptionConfig(
        stem=StemConfig(kind="cifar", widths=(12,)),
        entry=EntryFlowConfig(widths=(12,), strides=(2,)),
        exit=ExitFlowConfig(width=24, tail_widths=()),
        operator=OperatorConfig(**fields),
    )


def images(channels: int = 12, size: int = 9) -> torch.Tensor:
    return torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("size", "expected"), [(299, (1, 1)), (74, (0, 1)), (147, (1, 1)), (2, (0, 1)), (1, (1, 1))])
def test_same_padding_is_that_of_keras(size: int, expected: Any) -> None:
    assert same_padding(size, 3, 2) == expected


@pytest.mark.parametrize("shape", [(8, 8), (7, 7), (8, 7), (2, 1)])
@pytest.mark.parametrize("kind", ["max", "average"])
def test_same_pool_leaves_padding_out(shape: Any, kind: str) -> None:
    x = -1 - torch.rand(2, 3, *shape)
    pads = [*same_padding(shape[1], 3, 2), *same_padding(shape[0], 3, 2)]
    if kind == "max":
        expected = F.max_pool2d(F.pad(x, pads, value=-torch.inf), 3, 2)
    else:
        count = F.avg_pool2d(F.pad(torch.ones_like(x), pads), 3, 2, divisor_override=1)
        expected = F.avg_pool2d(F.pad(x, pads), 3, 2, divisor_override=1) / count
    torch.testing.assert_close(SamePool2d(kind, 2)(x), expected)


@pytest.mark.parametrize("size", [8, 9])
def test_same_convolution_pads_bottom_and_right(size: int) -> None:
    layer = SameConv2d(3, 4, 5, 2, dilation=2)
    x = torch.randn(1, 3, size, size)
    before, after = same_padding(size, 5, 2, 2)
    expected = F.conv2d(F.pad(x, [before, after] * 2), layer.weight, layer.bias, 2, 0, 2)
    torch.testing.assert_close(layer(x), expected)
    assert layer(x).shape[2:] == ((size + 1) // 2,) * 2


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_anti_aliased_pool_keeps_constants(padding: str, size: int) -> None:
    out = AntiAliasedPool2d(3, padding)(torch.full((1, 3, size, size), -2.0))
    torch.testing.assert_close(out, torch.full((1, 3, (size + 1) // 2, (size + 1) // 2), -2.0))


def test_anti_aliased_pool_shifts_less_than_max_pool() -> None:
    x = torch.rand(8, 1, 33, 33, generator=torch.Generator().manual_seed(0))

    def change(pool: Callable[[Tensor], Tensor]) -> float:
        return float((pool(x[..., :32, :32]) - pool(x[..., 1:, 1:])).abs().mean())

    assert change(AntiAliasedPool2d(1, "symmetric")) < change(lambda y: F.max_pool2d(y, 3, 2, 1))


def test_stochastic_depth_drops_whole_examples_and_keeps_the_mean() -> None:
    layer = DropPath(0.25).train()
    torch.manual_seed(0)
    out = layer(torch.ones(20_000, 2, 1, 1))
    assert sorted(out.unique().tolist()) == pytest.approx([0, 1 / 0.75])
    assert torch.equal(out[:, 0], out[:, 1])
    assert abs(float(out.mean()) - 1) < 0.02
    assert torch.equal(layer.eval()(torch.ones(3, 2, 1, 1)), torch.ones(3, 2, 1, 1))


def test_a_head_for_one_map_refuses_others() -> None:
    with pytest.raises(
        ValueError, match="the last map is 3×4; the head was made for 4×4, which is what 32×32 images give"
    ):
        FixedMap(4, 32)(torch.zeros(1, 2, 3, 4))


def operator_module(config: XceptionConfig, channels: int = 12, width: int = 12, stride: int = 1) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(operator_node(config, config.operator, channels, width, stride)).double()


@pytest.mark.parametrize("stride", [1, 2])
def test_simplified_inception_is_three_segments(stride: int) -> None:
    """The equivalence of the paper's Figures 2 and 3."""
    towers = operator_module(config(kind="simplified_inception"), stride=stride)
    segments = operator_module(config(kind="segmented", segments=3), stride=stride)
    inner = [towers.get_submodule(f"tower{i}") for i in range(3)]
    with torch.no_grad():
        part(segments, "pointwise").weight.copy_(torch.cat([part(tower, "pointwise").weight for tower in inner]))
        part(segments, "spatial").weight.copy_(torch.cat([part(tower, "spatial0").weight for tower in inner]))
    torch.testing.assert_close(segments(images()), towers(images()))


def test_the_spectrum_ends_in_pointwise_then_depthwise() -> None:
    """Figure 4: one segment per channel."""
    extreme = operator_module(config(kind="pointwise_depthwise"))
    segmented = config(kind="segmented", segments=6)
    graph = operator_node(segmented, segmented.operator, 12, 12, 1)
    assert isinstance(graph, Sequence)
    assert dict(graph.children)["spatial"] == Convolution(12, 12, 3, groups=6)
    assert (part(extreme, "pointwise").groups, part(extreme, "depthwise").groups) == (1, 12)
    quarters = config(kind="segmented", segments=4)
    full = operator_node(quarters, quarters.operator, 12, 4, 1)
    assert isinstance(full, Sequence)
    spatial = dict(full.children)["spatial"]
    assert isinstance(spatial, Convolution)
    assert spatial.groups == 4


def test_separable_and_reverse_order_agree_on_their_parts() -> None:
    """Depthwise then pointwise equals one regular convolution of their product."""
    separable = operator_module(config())
    kernel = part(separable, "pointwise").weight * part(separable, "depthwise").weight.transpose(0, 1)
    torch.testing.assert_close(F.conv2d(images(), kernel, padding=1), separable(images()))


def test_depth_multiplier_widens_between() -> None:
    module = operator_module(config(depth_multiplier=3), width=8)
    assert part(module, "depthwise").weight.shape == (36, 1, 3, 3)
    assert part(module, "pointwise").weight.shape == (8, 36, 1, 1)


@pytest.mark.parametrize(("width", "shares"), [(16, [4, 4, 4, 4]), (18, [5, 5, 4, 4])])
def test_inception_towers_share_the_channels(width: int, shares: Any) -> None:
    module = operator_module(config(kind="inception"), width=width)
    assert [module.get_submodule(f"tower{i}")(images()).shape[1] for i in range(4)] == shares
    assert module(images()).shape == (2, width, 9, 9)


def test_layer_norm_is_over_channels_and_positions() -> None:
    out = build(Norm("layer", 12, 1e-3, 0.1, 8)).double()(5 + 3 * images())
    torch.testing.assert_close(out.mean((1, 2, 3)), torch.zeros(2, dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize("channels", [3, 6, 8, 11])
def test_a_strided_pointwise_convolution_is_that_of_torch(channels: int) -> None:
    built = convolution(Convolution(channels, 12, 1, stride=2, padding="valid"))
    assert (type(built) is torch.nn.Conv2d) == (channels == 8)
    x = torch.randn(8, channels, 15, 16).contiguous(memory_format=torch.channels_last).requires_grad_()
    built(x).square().sum().backward()
    like = x.detach().contiguous().requires_grad_()
    expected = torch.nn.functional.conv2d(like, built.weight, stride=2)
    expected.square().sum().backward()
    torch.testing.assert_close(built(x), expected)
    torch.testing.assert_close(x.grad, like.grad)


@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize("kind", ["max", "average"])
def test_pooling_kernels_of_other_sizes(kind: str, size: int) -> None:
    """Both paddings give ⌈side / 2⌉ positions, of maps of any side."""
    for padding in ("symmetric", "same"):
        pooled = build(Pool(kind, 2, padding, size))(images(size=8))
        assert pooled.shape[2:] == (4, 4)
        assert build(Pool(kind, 2, padding, size))(images(size=9)).shape[2:] == (5, 5)


def test_networks_with_same_padding_can_be_pickled() -> None:
    for kind in ("max", "average"):
        layer = SamePool2d(kind, 2)
        assert torch.equal(pickle.loads(pickle.dumps(layer))(images()), layer(images()))  # noqa: S301


def test_learned_slopes_and_scales_begin_where_they_should_and_do_not_decay() -> None:
    model = Xception(config().replace(activation="prelu", residual=ResidualConfig(layer_scale=0.125), num_classes=2))
    slopes = [p for name, p in model.named_parameters() if name.endswith("slope")]
    scales = [p for name, p in model.named_parameters() if name.endswith("scale")]
    assert slopes
    assert scales
    assert all(torch.all(p == 0.25) for p in slopes)
    assert all(torch.all(p == 0.125) for p in scales)
