"""Random valid configs: small networks drawn from the whole space, each field only where it has an effect."""

from __future__ import annotations

import re
from typing import Any, get_args

from hypothesis import strategies as st

from xception.network.config import (
    Activation,
    Downsampling,
    EntryFlowConfig,
    ExitFlowConfig,
    HeadConfig,
    Initialisation,
    MiddleFlowConfig,
    NormConfig,
    OperatorConfig,
    ResidualConfig,
    StemConfig,
    XceptionConfig,
)
from xception.network.config_rules import MaybeActivation
from xception.network.operators import OPERATORS

INPUT_SIZE = 32
PLACEMENTS = ["after_convolution", "each_convolution", "before_activation", "after_activation", "after_sum"]
maybe_activation = st.sampled_from(get_args(MaybeActivation))


@st.composite
def configs(draw: st.DrawFn) -> XceptionConfig:
    """A valid config whose network is small and takes images of 32×32 pixels."""
    operator = draw(_operators())
    norm = draw(_norms(operator))
    if "tower_norm" in operator.operator.reads and norm.kind != "none" and draw(st.booleans()):
        operator = operator.replace(tower_norm=norm.placement != "each_convolution")
    unit = 4 * operator.segments * (norm.groups if norm.kind == "group" else 1)
    widths = st.integers(1, 3).map(lambda n: n * unit)
    stem = draw(_stems(widths))
    entry = draw(st.none() | _entries(widths))
    middle = draw(_middles(widths))
    exit = draw(st.none() | _exits(widths, operator))
    fields: dict[str, Any] = {
        "num_classes": draw(st.integers(2, 5)),
        "in_channels": draw(st.integers(1, 4)),
        "stem": stem,
        "entry": entry,
        "middle": middle,
        "exit": exit,
        "operator": operator,
        "norm": norm,
        "activation": draw(st.sampled_from(get_args(Activation))),
        "residual": ResidualConfig(kind=draw(st.sampled_from(["projection", "identity", "none"]))),
        "initialisation": draw(st.sampled_from(get_args(Initialisation))),
        "padding": draw(st.sampled_from(["symmetric", "same"])),
        "downsampling": draw(st.sampled_from(get_args(Downsampling))),
        "head": draw(_heads()),
    }
    config = settle(fields)
    extras = {
        "residual.stochastic_depth": draw(st.sampled_from([0.0, 0.3])),
        "residual.zero_init": draw(st.booleans()),
        "residual.tap": draw(st.sampled_from(["input", "activated"])),
        "residual.norm": draw(st.sampled_from([None, True, False])),
        "residual.bias": draw(st.sampled_from([None, True, False])),
        "residual.pooling": draw(st.sampled_from(["none", "average", "max"])),
        "residual.layer_scale": draw(st.sampled_from([0.0, 0.1])),
        "attention.kind": draw(st.sampled_from(["none", "se", "eca"])),
        "attention.reduction": draw(st.sampled_from([16, 2])),
        "pool_size": draw(st.sampled_from([3, 3, 2, 5])),
        "output_stride": draw(st.sampled_from([None, 2, 4, 8])),
        **{
            f"{flow}.{name}": draw(values)
            for flow in ("entry", "middle", "exit")
            if fields[flow] is not None
            for name, values in _OF_A_FLOW.items()
        },
        "width_multiplier": draw(st.sampled_from([1.0, 0.7, 1.3])),
    }
    for path, value in extras.items():
        config = accepted(config, path, value)
    if config.head.pool in ("global_depthwise", "flatten"):
        try:
            config = config.for_data(
                num_classes=config.num_classes, in_channels=config.in_channels, input_size=INPUT_SIZE
            )
        except ValueError:  # the last map is 1×1
            config = config.replace_at("head.pool", "max")
    return config


_OF_A_FLOW: dict[str, st.SearchStrategy[Any]] = {
    "stochastic_depth": st.sampled_from([None, None, 0.0, 0.2]),
    "activation": st.sampled_from([None, None, "gelu", ("gelu", "relu"), "linear"]),
    "operator": st.sampled_from(
        [
            *(None, None, None, None),
            OperatorConfig(kind="regular"),
            OperatorConfig(kind="inverted_bottleneck", kernel_size=5),
            OperatorConfig(dilation=2),
            (OperatorConfig(), OperatorConfig(kernel_size=5)),
        ]
    ),
}


def accepted(config: XceptionConfig, path: str, value: Any) -> XceptionConfig:
    """The config with a field changed, or unchanged if the change is refused."""
    try:
        return config.replace_at(path, value)
    except ValueError:
        return config


def settle(fields: dict[str, Any]) -> XceptionConfig:
    """A config of the drawn fields; a field that is refused together with the others goes back to its default, since
    the error names it.
    """
    while True:
        try:
            return XceptionConfig(**fields)
        except ValueError as error:
            reason = str(error)
        named = re.match(r"XceptionConfig\.(\w+)\.?(\w+)?", reason)
        assert named is not None, reason
        part, leaf = named.groups()
        before = fields[part]
        if leaf and part != "operator":
            fields = {**fields, part: before.replace(**{leaf: type(before).__dataclass_fields__[leaf].default})}
        else:
            fields = {**fields, part: getattr(XceptionConfig(), part)}
        assert fields[part] != before, reason


@st.composite
def _operators(draw: st.DrawFn) -> OperatorConfig:
    kind: Any = draw(st.sampled_from(list(OPERATORS)))
    kernel_size = draw(st.sampled_from([3, 3, 5, 1]))
    reads = OPERATORS[kind].reads
    if "kernel_size" not in reads:
        kernel_size = 3
    between: Any = draw(maybe_activation) if "intermediate_activation" in reads else "none"
    own = (
        draw(st.none() | maybe_activation.filter(lambda a: a != "none"))
        if "tower_activation" in OPERATORS[kind].reads
        else None
    )
    return OperatorConfig(
        kind=kind,
        kernel_size=kernel_size,
        dilation=draw(st.sampled_from([1, 2])) if kernel_size > 1 else 1,
        depth_multiplier=draw(st.sampled_from([1, 2])) if kind == "separable" else 1,
        segments=draw(st.sampled_from([1, 2, 4])) if kind == "segmented" else 1,
        expansion=draw(st.sampled_from([2, 4])) if kind == "inverted_bottleneck" else 4,
        mixed_kernels=draw(st.sampled_from([(3, 5, 7), (5, 3)])) if kind == "mixed_separable" else (3, 5, 7),
        asymmetric=draw(st.booleans()) if "asymmetric" in reads and kernel_size > 1 else False,
        intermediate_activation=between if own is None else "none",
        tower_activation=own,
    )


@st.composite
def _norms(draw: st.DrawFn, operator: OperatorConfig) -> NormConfig:
    kind: Any = draw(st.sampled_from(["batch", "group", "layer", "none"]))
    if kind == "none":
        return NormConfig(kind="none")
    placement: Any = draw(st.sampled_from(PLACEMENTS))
    if placement == "each_convolution" and not operator.operator.between:
        placement = "after_convolution"
    return NormConfig(
        kind=kind,
        epsilon=draw(st.sampled_from([1e-3, 1e-5])),
        momentum=draw(st.sampled_from([0.1, 0.01])) if kind == "batch" else 0.1,
        groups=draw(st.sampled_from([2, 4])) if kind == "group" else 8,
        placement=placement,
        last=draw(st.booleans()) if placement == "before_activation" else True,
    )


@st.composite
def _stems(draw: st.DrawFn, widths: st.SearchStrategy[int]) -> StemConfig:
    kind: Any = draw(st.sampled_from(["paper", "aligned", "cifar", "patchify"]))
    patch_size = draw(st.sampled_from([2, 4])) if kind == "patchify" else 4
    return StemConfig(kind=kind, patch_size=patch_size, widths=tuple(draw(st.lists(widths, min_size=1, max_size=2))))


@st.composite
def _entries(draw: st.DrawFn, widths: st.SearchStrategy[int]) -> EntryFlowConfig:
    chosen = draw(st.lists(widths, min_size=1, max_size=3))
    return EntryFlowConfig(
        widths=tuple(chosen),
        strides=tuple(draw(st.sampled_from([1, 2])) for _ in chosen),
        convolutions=draw(st.integers(1, 3)),
        residual=draw(_kinds),
    )


@st.composite
def _middles(draw: st.DrawFn, widths: st.SearchStrategy[int]) -> MiddleFlowConfig:
    modules = draw(st.integers(0, 2))
    if modules == 0:
        return MiddleFlowConfig(modules=0)
    return MiddleFlowConfig(
        modules=modules, convolutions=draw(st.integers(1, 3)), width=draw(st.none() | widths), residual=draw(_kinds)
    )


@st.composite
def _exits(draw: st.DrawFn, widths: st.SearchStrategy[int], operator: OperatorConfig) -> ExitFlowConfig:
    tail = tuple(draw(st.lists(widths, max_size=2)))
    own = draw(st.none() | maybe_activation) if tail and operator.operator.between else None
    return ExitFlowConfig(
        width=draw(widths),
        stride=draw(st.sampled_from([1, 2])),
        convolutions=draw(st.integers(1, 3)),
        tail_widths=tail,
        tail_intermediate_activation=None if own == operator.inner_activation else own,
        residual=draw(_kinds),
    )


@st.composite
def _heads(draw: st.DrawFn) -> HeadConfig:
    return HeadConfig(
        pool=draw(st.sampled_from(["average", "max", "global_depthwise", "flatten"])),
        hidden=tuple(draw(st.lists(st.integers(3, 8), max_size=2))),
        dropout=draw(st.sampled_from([0.0, 0.5])),
    )


_kinds: st.SearchStrategy[Any] = st.sampled_from([None, None, "projection", "identity", "none"])
