"""The network as plain data: what a config comes to, layer by layer, before any tensor exists.

`network(config)` is the one description that the torch network is built from (`xception.network.blocks`), that
parameters and MACs are counted on in closed form (`xception.network.closed_form`), and on which two configs can be seen
to be one network. A node is a layer (convolution, norm, ...) or one of three ways to join nodes: `Sequence`, `Towers`,
`Residual`. Names of children become the names of parameters; they do not depend on which other layers a variant has.
"""

from __future__ import annotations

import dataclasses

from xception.network.config import ModuleShape, XceptionConfig
from xception.network.config_parts import FIXED_MAP_POOLS
from xception.network.nodes import (
    Activate,
    AntiAliasedPool,
    Convolution,
    Dropout,
    FixedMap,
    Flatten,
    GlobalPool,
    Linear,
    Named,
    Node,
    Pool,
    Residual,
    Sequence,
    Towers,
)
from xception.network.operators import norm_node, operator

__all__ = ["network"]


def network(config: XceptionConfig) -> Sequence:
    """Return the whole network: stem, entry, middle, exit, final, head.

    Raises:
        ValueError: the head's kernel depends on the input size and the config does not say it yet.
    """
    if config.head.pool in FIXED_MAP_POOLS and config.input_size is None:
        raise ValueError(
            f"XceptionConfig.input_size: None is not allowed with head.pool={config.head.pool!r}; "
            "an image size in pixels, as given by for_data(...)"
        )
    stem, *flows, final = _trunk(config).children
    safe = [(name, _each_in_place(flow)) for name, flow in flows]
    whole = [(name, _in_place(part)[0]) for name, part in (stem, final, ("head", _head(config)))]
    return Sequence((whole[0], *safe, *whole[1:]))


def _trunk(config: XceptionConfig) -> Sequence:
    """Everything before the head."""
    stem = _stem(config)
    pre_activation = config.norm.placement == "before_activation"
    activated = not pre_activation
    flows: dict[str, list[Named]] = {"entry": [], "middle": [], "exit": []}
    modules = config.modules()
    for i, shape in enumerate(modules):
        flow, _, name = shape.name.partition(".")
        flows[flow].append(
            (name, _module(config, shape, activated, config.residual.stochastic_depth * (i + 1) / len(modules)))
        )
        activated = False
    if config.exit is not None and config.exit.tail_widths:
        tail = _tail(config, modules[-1].out_channels)
        flows["exit"].append(("tail", tail))
        activated = not pre_activation
    final: tuple[Named, ...] = ()
    if not activated:
        norms = (
            (("norm", norm_node(config, config.trunk_channels)),)
            if pre_activation and config.norm.kind != "none"
            else ()
        )
        final = (*norms, ("activation", Activate(config.activation)))
    parts = [(name, Sequence(tuple(children))) for name, children in flows.items()]
    return Sequence((("stem", stem), *parts, ("final", Sequence(final))))


def _stem(config: XceptionConfig) -> Sequence:
    units: list[Named] = []
    channels = config.in_channels
    for i, (nominal, (kernel_size, stride, padded)) in enumerate(
        zip(config.stem.widths, config.stem.convolutions(), strict=True)
    ):
        width = config.channels(nominal)
        padding = "valid" if not padded else config.padding if stride > 1 else "symmetric"
        convolution = Convolution(
            channels, width, kernel_size, stride, bias=config.norm.kind == "none", padding=padding
        )
        if config.norm.placement == "before_activation":
            unit = (
                _unit(config, convolution, channels, width, order="NAC")
                if i
                else Sequence((("convolution", convolution),))
            )
        else:
            unit = _unit(
                config,
                convolution,
                channels,
                width,
                order="CAN" if config.norm.placement == "after_activation" else "CNA",
            )
        units.append((str(i), unit))
        channels = width
    return Sequence(tuple(units))


def _module(config: XceptionConfig, shape: ModuleShape, activated: bool, drop_path: float) -> Sequence | Residual:
    """One module; `activated` says that its input already is, so that the first unit begins with its convolution."""
    placement = config.norm.placement
    order = {"before_activation": "NAC", "after_activation": "ANC"}.get(placement, "ACN")
    channels, last = shape.in_channels, len(shape.widths) - 1
    normed_sum = placement == "after_sum" and shape.shortcut != "none"
    units: list[Named] = []
    for i, width in enumerate(shape.widths):
        stride = shape.stride if i == last and config.downsampling == "strided" else 1
        convolution = operator(config, channels, width, stride)
        steps = order
        if i == 0 and activated:
            steps = steps[steps.index("C") :]
        if i == last and normed_sum:
            steps = steps.replace("N", "")
        zero_init = i == last and config.residual.zero_init and shape.shortcut != "none"
        units.append((str(i), _unit(config, convolution, channels, width, steps, zero_init)))
        channels = width
    if shape.stride > 1 and config.downsampling != "strided":
        units.append(("pool", _downsampling(config, channels, shape.stride)))
    branch = Sequence(tuple(units))
    if shape.shortcut == "none":
        return Sequence((("branch", branch),))
    norm = norm_node(config, channels) if normed_sum and config.norm.kind != "none" else None
    return Residual(branch, _shortcut(config, shape), drop_path, norm)


def _shortcut(config: XceptionConfig, shape: ModuleShape) -> Sequence | None:
    if shape.shortcut == "identity":
        return None
    bare = config.norm.kind == "none" or config.norm.placement in ("before_activation", "after_activation")
    convolution = Convolution(
        shape.in_channels, shape.out_channels, 1, shape.stride, bias=config.norm.kind == "none", padding="valid"
    )
    norms = () if bare else (("norm", norm_node(config, shape.out_channels)),)
    return Sequence((("convolution", convolution), *norms))


def _downsampling(config: XceptionConfig, channels: int, stride: int) -> Node:
    if config.downsampling == "anti_aliased":
        return AntiAliasedPool(channels, config.padding)
    return Pool("max" if config.downsampling == "max_pool" else "average", stride, config.padding)


def _tail(config: XceptionConfig, channels: int) -> Sequence:
    assert config.exit is not None
    order = {"before_activation": "NAC", "after_activation": "CAN"}.get(config.norm.placement, "CNA")
    units: list[Named] = []
    for i, nominal in enumerate(config.exit.tail_widths):
        width = config.channels(nominal)
        convolution = operator(config, channels, width, 1, config.exit.tail_intermediate_activation)
        units.append((str(i), _unit(config, convolution, channels, width, order)))
        channels = width
    return Sequence(tuple(units))


def _head(config: XceptionConfig) -> Sequence:
    channels = config.trunk_channels
    children: list[Named] = []
    features = channels
    if config.input_size is not None:
        from xception.network.closed_form import last_map_size

        size = last_map_size(config, config.input_size)
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
    config: XceptionConfig, convolution: Node, channels: int, width: int, order: str, zero_init: bool = False
) -> Sequence:
    """Activation (A), convolution (C) and norm (N) in an order, such as "ACN" for the paper's modules."""
    children: list[Named] = []
    for i, step in enumerate(order):
        if step == "A":
            children.append(("activation", Activate(config.activation)))
        elif step == "C":
            children.append(("convolution", convolution))
        elif config.norm.kind != "none":
            before = i < order.index("C")
            children.append(("norm", norm_node(config, channels if before else width, zero_init)))
    return Sequence(tuple(children))


def _in_place(node: Node, fresh: bool = False) -> tuple[Node, bool]:
    """The node with activations in place where that is safe, and whether its output may be overwritten.

    `fresh` says that the input was made by a layer that does not keep it for the backward pass and that nothing else
    reads it: the output of a convolution, norm, pooling or linear layer. What a shortcut, another tower or the caller
    reads is not.
    """
    if isinstance(node, Activate):
        return dataclasses.replace(node, in_place=fresh), False
    if isinstance(node, Sequence):
        children: list[Named] = []
        for name, child in node.children:
            changed, fresh = _in_place(child, fresh)
            children.append((name, changed))
        return Sequence(tuple(children)), fresh
    if isinstance(node, Towers):
        return Towers(tuple((name, _in_place(child)[0]) for name, child in node.children)), True
    if isinstance(node, Residual):
        branch = _in_place(node.branch)[0]
        assert isinstance(branch, Sequence)
        return dataclasses.replace(node, branch=branch), False
    return node, fresh if isinstance(node, FixedMap | Flatten | Dropout) else True


def _each_in_place(flow: Node) -> Sequence:
    """A flow with activations in place; the input of each part may be kept by the caller as a feature map."""
    assert isinstance(flow, Sequence)
    return Sequence(tuple((name, _in_place(part)[0]) for name, part in flow.children))
