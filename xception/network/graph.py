"""The network graph: the layers of a config, as plain data, before any tensor exists.

`network(config)` is the one description that the torch network is built from (`xception.network.blocks`), that
parameters and MACs are counted on in closed form (`xception.network.closed_form`), and that shows whether two configs
are the same network. A node is a layer (convolution, norm, ...) or joins nodes (`xception.network.nodes`). The names of
children become the names of parameters; they do not depend on which other layers a variant has.
"""

from __future__ import annotations

import dataclasses

from xception.network.config import ModuleShape, OperatorConfig, XceptionConfig
from xception.network.config_parts import FIXED_MAP_POOLS
from xception.network.gates import gate
from xception.network.nodes import (
    Activate,
    AntiAliasedPool,
    ChannelScale,
    Convolution,
    Dropout,
    FixedMap,
    Flatten,
    Gate,
    GlobalPool,
    Linear,
    Named,
    Node,
    Norm,
    Pool,
    Residual,
    Sequence,
    Slices,
    Towers,
)
from xception.network.operators import OPERATORS, Surroundings

__all__ = ["network", "operator_node"]


def network(config: XceptionConfig, *, in_place: bool = True) -> Sequence:
    """Return the whole network: stem, entry, middle, exit, final, head; with activations in place where that is safe,
    unless they are only counted.

    Raises:
        ValueError: the head's kernel depends on the input size and the config does not set it.
    """
    if config.head.pool in FIXED_MAP_POOLS and config.input_size is None:
        raise ValueError(
            f"XceptionConfig.input_size: None is not allowed with head.pool={config.head.pool!r}; "
            "an image size in pixels, as given by for_data(...)"
        )
    stem, *flows, final = _trunk(config).children
    if not in_place:
        return Sequence((stem, *flows, final, ("head", _head(config))))
    safe = [(name, _each_in_place(flow)) for name, flow in flows]
    whole = [(name, _in_place(part)[0]) for name, part in (stem, final, ("head", _head(config)))]
    return Sequence((whole[0], *safe, *whole[1:]))


def operator_node(
    config: XceptionConfig,
    own: OperatorConfig,
    channels: int,
    width: int,
    stride: int,
    *,
    activation: str | None = None,
    between: str | None = None,
    dilation: int = 1,
) -> Node:
    """A convolution operator from `channels` to `width` in this network.

    `activation` and `between` are given where they differ from those of network and operator; `dilation` multiplies
    that of the operator.
    """
    inside = config.norm.placement == "each_convolution" if own.tower_norm is None else own.tower_norm
    surroundings = Surroundings(
        kernel_size=own.kernel_size,
        dilation=own.dilation * dilation,
        depth_multiplier=own.depth_multiplier,
        segments=own.segments,
        expansion=own.expansion,
        mixed_kernels=own.mixed_kernels,
        asymmetric=own.asymmetric,
        between=own.inner_activation if between is None else between,
        normed_between=inside,
        activation=config.activation if activation is None else activation,
        norm=_norm(config, channels) if config.norm.kind != "none" else None,
        padding=config.padding,
        divisor=config.channel_divisor,
    )
    return OPERATORS[own.kind].build(surroundings, channels, width, stride)


def _trunk(config: XceptionConfig) -> Sequence:
    """Everything before the head."""
    pre_activation = config.norm.placement == "before_activation"
    activated = not pre_activation
    flows: dict[str, list[Named]] = {"entry": [], "middle": [], "exit": []}
    modules = config.modules()
    for shape in modules:
        flow, _, name = shape.name.partition(".")
        flows[flow].append((name, _module(config, shape)))
        activated = False
    if config.exit is not None and config.exit.tail_widths:
        flows["exit"].append(("tail", _tail(config, modules[-1].out_channels)))
        activated = not pre_activation
    final: tuple[Named, ...] = ()
    if not activated:
        normed = pre_activation and config.norm.kind != "none" and config.norm.last
        norms = (("norm", _norm(config, config.trunk_channels)),) if normed else ()
        final = (*norms, ("activation", Activate(config.activation)))
    parts = [(name, Sequence(tuple(children))) for name, children in flows.items()]
    return Sequence((("stem", _stem(config)), *parts, ("final", Sequence(final))))


def _stem(config: XceptionConfig) -> Sequence:
    placement = config.norm.placement
    units: list[Named] = []
    channels = config.in_channels
    for i, (nominal, (kernel_size, stride, padded)) in enumerate(
        zip(config.stem.widths, config.stem.convolutions(), strict=True)
    ):
        width = config.channels(nominal)
        padding = "valid" if not padded else config.padding if stride > 1 else "symmetric"
        biased = config.norm.kind == "none"
        convolution = Convolution(channels, width, kernel_size, stride, bias=biased, padding=padding)
        before = "NAC" if i else "C"
        order = {"before_activation": before, "after_activation": "CAN"}.get(placement, "CNA")
        units.append((str(i), _unit(config, convolution, channels, width, order, config.activation)))
        channels = width
    return Sequence(tuple(units))


def _module(config: XceptionConfig, shape: ModuleShape) -> Sequence | Residual:
    """One module. Where its input is activated already, the first unit begins with its convolution."""
    placement, residual = config.norm.placement, config.residual
    order = {"before_activation": "NAC", "after_activation": "ANC"}.get(placement, "ACN")
    channels, last = shape.in_channels, len(shape.widths) - 1
    has_shortcut = shape.shortcut != "none"
    normed_sum = placement == "after_sum" and has_shortcut
    units: list[Named] = []
    before: Sequence | None = None
    for i, width in enumerate(shape.widths):
        stride = shape.stride if i == last and config.downsampling == "strided" else 1
        convolution = operator_node(
            config, shape.operator, channels, width, stride, activation=shape.activation, dilation=shape.dilation
        )
        steps = order
        if i == 0 and (shape.activated or (residual.tap == "activated" and has_shortcut)):
            first, steps = steps[: steps.index("C")], steps[steps.index("C") :]
            before = None if shape.activated else _unit(config, None, channels, channels, first, shape.activation)
        if i == last and normed_sum:
            steps = steps.replace("N", "")
        zero_init = i == last and residual.zero_init and has_shortcut
        units.append((str(i), _unit(config, convolution, channels, width, steps, shape.activation, zero_init)))
        channels = width
    if shape.stride > 1 and config.downsampling != "strided":
        units.append(("pool", _downsampling(config, channels, shape.stride)))
    if config.attention.kind != "none":
        units.append(("attention", gate(config.attention, channels)))
    if residual.layer_scale and has_shortcut:
        units.append(("layer_scale", ChannelScale(channels, residual.layer_scale)))
    branch = Sequence(tuple(units))
    if not has_shortcut:
        return Sequence((("branch", branch),))
    norm = _norm(config, channels) if normed_sum and config.norm.kind != "none" else None
    return Residual(branch, _shortcut(config, shape), shape.drop_path, norm, before)


def _shortcut(config: XceptionConfig, shape: ModuleShape) -> Sequence | None:
    if shape.shortcut == "identity":
        return None
    residual, stride = config.residual, shape.stride
    children: list[Named] = []
    if residual.pooling != "none" and stride > 1:
        children.append(("pool", Pool(residual.pooling, stride, config.padding, config.pool_size)))
        stride = 1
    biased = config.norm.kind == "none" if residual.bias is None else residual.bias
    convolution = Convolution(shape.in_channels, shape.out_channels, 1, stride, bias=biased, padding="valid")
    children.append(("convolution", convolution))
    if config.shortcut_norm:
        children.append(("norm", _norm(config, shape.out_channels)))
    return Sequence(tuple(children))


def _downsampling(config: XceptionConfig, channels: int, stride: int) -> Node:
    if config.downsampling == "anti_aliased":
        return AntiAliasedPool(channels, config.padding)
    kind = "max" if config.downsampling == "max_pool" else "average"
    return Pool(kind, stride, config.padding, config.pool_size)


def _tail(config: XceptionConfig, channels: int) -> Sequence:
    assert config.exit is not None
    order = {"before_activation": "NAC", "after_activation": "CAN"}.get(config.norm.placement, "CNA")
    activation, dilation = config.tail_activation, config.tail_dilation
    between = config.exit.tail_intermediate_activation
    units: list[Named] = []
    for i, nominal in enumerate(config.exit.tail_widths):
        width = config.channels(nominal)
        convolution = operator_node(
            config,
            config.tail_operator,
            channels,
            width,
            1,
            activation=activation,
            between=between,
            dilation=dilation,
        )
        units.append((str(i), _unit(config, convolution, channels, width, order, activation)))
        channels = width
    return Sequence(tuple(units))


def _head(config: XceptionConfig) -> Sequence:
    channels = config.trunk_channels
    children: list[Named] = []
    features = channels
    if config.input_size is not None:
        size = config.last_map_size(config.input_size)
        children.append(("map", FixedMap(size, config.input_size)))
        if config.head.pool == "global_depthwise":
            children.append(("depthwise", Convolution(channels, channels, size, groups=channels, padding="valid")))
            children.append(("pointwise", Convolution(channels, channels, 1, bias=True, padding="valid")))
        else:
            features = channels * size * size
        children.append(("flatten", Flatten()))
    else:
        children.append(("pool", GlobalPool(config.head.pool)))
    for i, width in enumerate(config.head.hidden):
        children += [(f"hidden{i}", Linear(features, width)), (f"activation{i}", Activate(config.activation))]
        features = width
    if config.head.dropout:
        children.append(("dropout", Dropout(config.head.dropout)))
    children.append(("classifier", Linear(features, config.num_classes)))
    return Sequence(tuple(children))


def _unit(
    config: XceptionConfig,
    convolution: Node | None,
    channels: int,
    width: int,
    order: str,
    activation: str,
    zero_init: bool = False,
) -> Sequence:
    """Activation (A), convolution (C) and norm (N) in an order, such as "ACN" for the paper's modules."""
    children: list[Named] = []
    for i, step in enumerate(order):
        if step == "A":
            children.append(("activation", Activate(activation)))
        elif step == "C":
            assert convolution is not None
            children.append(("convolution", convolution))
        elif config.norm.kind != "none":
            before = i < order.find("C")
            children.append(("norm", _norm(config, channels if before else width, zero_init)))
    return Sequence(tuple(children))


def _norm(config: XceptionConfig, channels: int, zero_init: bool = False) -> Norm:
    """The config's norm over `channels`; `zero_init` says that its scale begins at 0."""
    norm = config.norm
    return Norm(norm.kind, channels, norm.epsilon, norm.momentum, norm.groups, zero_init)


def _in_place(node: Node, fresh: bool = False) -> tuple[Node, bool]:
    """Return the node with in-place activations where that is safe, and whether its output may be overwritten.

    `fresh` means that the layer before does not keep the input for the backward pass and that nothing else reads it:
    the output of a convolution, norm, pooling or linear layer. A tensor that a shortcut, another tower or the caller
    reads is not fresh.
    """
    if isinstance(node, Activate):
        return Activate(node.kind, fresh), False
    if isinstance(node, Sequence):
        children: list[Named] = []
        for name, child in node.children:
            changed, fresh = _in_place(child, fresh)
            children.append((name, changed))
        return Sequence(tuple(children)), fresh
    if isinstance(node, Towers | Slices):
        inner = tuple((name, _in_place(child)[0]) for name, child in node.children)
        return dataclasses.replace(node, children=inner), True
    if isinstance(node, Gate):
        inside = _in_place(node.gate)[0]
        assert isinstance(inside, Sequence)
        return Gate(inside), True
    if isinstance(node, Residual):
        branch = _in_place(node.branch)[0]
        before = _in_place(node.before)[0] if node.before is not None else None
        assert isinstance(branch, Sequence)
        assert before is None or isinstance(before, Sequence)
        return dataclasses.replace(node, branch=branch, before=before), False
    return node, fresh if isinstance(node, FixedMap | Flatten | Dropout) else True


def _each_in_place(flow: Node) -> Sequence:
    """A flow with activations in place; the input of each part may be kept by the caller as a feature map."""
    assert isinstance(flow, Sequence)
    return Sequence(tuple((name, _in_place(part)[0]) for name, part in flow.children))
