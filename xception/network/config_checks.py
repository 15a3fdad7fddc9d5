"""The rules between the parts of a network's config: sizes that must fit, and fields that must have an effect.

Each check raises ValueError, which names the field, the value and what is allowed.
"""

from __future__ import annotations

import math

from xception.base.canonical import IdleFieldError
from xception.network.architecture import Architecture, ModuleShape
from xception.network.config_parts import FIXED_MAP_POOLS, ResidualKind
from xception.network.config_rules import need_at_least, refuse_idle
from xception.network.operator_config import OperatorConfig

__all__ = ["check"]


def check(config: Architecture) -> None:
    """Check a config against all rules between its parts."""
    need_at_least(config, "num_classes", 1)
    need_at_least(config, "in_channels", 1)
    modules = config.modules()
    _check_widths(config, modules)
    _check_own_operators(config, modules)
    _check_residuals(config, modules)
    _check_shortcuts(config, modules)
    _check_attention(config, modules)
    _check_strides(config, modules)
    _check_placement(config, modules)
    _check_last_map(config)


def _refuse(path: str, value: object, reason: str) -> None:
    raise ValueError(f"XceptionConfig.{path}: {value!r} {reason}")


def _idle(path: str, value: object, reason: str, leave_at: object = None) -> None:
    """Raise IdleFieldError for a value that has no effect; `leave_at` is the value to leave it at."""
    raise IdleFieldError(f"XceptionConfig.{path}: {value!r} {reason}", path=path, value=leave_at)


def _check_widths(config: Architecture, modules: tuple[ModuleShape, ...]) -> None:
    if not 0 < config.width_multiplier <= 64:
        _refuse("width_multiplier", config.width_multiplier, "is not allowed; a number above 0, at most 64")
    divisor = config.channel_divisor
    widest = max(config.operators, key=lambda operator: operator.towers)
    towers, widths = widest.towers, config.widths()
    if config.width_multiplier != 1.0 and all(config.channels(w) == w for w in widths.values()):
        _idle("width_multiplier", config.width_multiplier, "changes no width; leave it at 1.0", 1.0)
    for path, nominal in widths.items():
        channels = config.channels(nominal)
        if channels % divisor:
            _refuse(
                path,
                nominal,
                f"is not allowed; a multiple of {divisor}, which operator.segments and the groups of a group norm must"
                " divide",
            )
        if channels < towers * divisor and not path.startswith("stem"):
            _refuse(
                path,
                nominal,
                f"is not allowed with operator.kind={widest.kind!r}; at least {towers * divisor} channels, it gives"
                f" {channels}",
            )
    if config.middle.width is not None:
        incoming = next(m.in_channels for m in modules if m.name == "middle.0")
        if config.channels(config.middle.width) == incoming:
            _idle("middle.width", config.middle.width, "is the width that comes in; leave it at None")
    narrowest = min((w for m in modules for w in m.widths), default=towers * divisor)
    if narrowest < towers * divisor:
        _refuse(
            "operator.kind",
            widest.kind,
            f"is not allowed on modules of {narrowest} channels; at least {towers * divisor} channels",
        )
    for module in modules:
        kernels = module.operator.mixed_kernels
        if module.operator.kind == "mixed_separable" and min(module.in_channels, *module.widths) < len(kernels):
            _refuse(
                "operator.mixed_kernels",
                kernels,
                f"is not allowed on {min(module.in_channels, *module.widths)} channels; at most one kernel for each",
            )


def _check_own_operators(config: Architecture, modules: tuple[ModuleShape, ...]) -> None:
    tail = config.exit.tail_widths if config.exit is not None else ()
    operated = {w for m in modules for w in m.widths} | {config.channels(w) for w in tail}
    if config.operator.segments > 1 and operated == {config.operator.segments}:
        _refuse(
            "operator.segments",
            config.operator.segments,
            "is one segment per channel; use operator.kind='pointwise_depthwise'",
        )
    if not operated and config.operator != OperatorConfig():
        _idle(
            "operator",
            config.operator,
            "has no effect where no flow is left; leave it at the default",
            OperatorConfig(),
        )
    for name, flow in (("entry", config.entry), ("middle", config.middle), ("exit", config.exit)):
        if flow is None:
            continue
        if flow.operator == config.operator:
            _idle(f"{name}.operator", flow.operator, "is that of the network; leave it at None")
        if flow.activation == config.activation:
            _idle(f"{name}.activation", flow.activation, "is that of the network; leave it at None")
        own = flow.activation
        inside = [m for m in modules if m.name.startswith(f"{name}.")]
        if isinstance(own, tuple):
            idle = any(not m.uses_activation and o != config.activation for m, o in zip(inside, own, strict=True))
        else:
            idle = own is not None and not any(m.uses_activation for m in inside) and not (name == "exit" and tail)
        if idle:
            _idle(
                f"{name}.activation",
                own,
                f"has no effect on {inside[0].name}, whose input is activated already; leave it at None, or give that"
                f" module {config.activation!r}",
            )
    uses = [m.operator is config.operator for m in modules]
    if operated and not any(uses) and (config.tail_operator is not config.operator or not tail):
        default = OperatorConfig()
        if config.operator != default:
            _idle(
                "operator",
                config.operator,
                "has no effect where every flow has its own; leave it at the default",
                OperatorConfig(),
            )
    last = config.exit.tail_intermediate_activation if config.exit is not None else None
    operator = config.tail_operator
    if last is not None and (not operator.operator.between or last == operator.inner_activation):
        source = "intermediate" if operator.tower_activation is None else "tower"
        _idle(
            "exit.tail_intermediate_activation",
            last,
            f"has no effect with operator.kind={operator.kind!r} and operator.{source}_activation="
            f"{operator.inner_activation!r}; leave it at None",
        )
    normed = config.norm.placement == "each_convolution"
    for operator in config.operators:
        own_norm = operator.tower_norm
        if own_norm is not None and (config.norm.kind == "none" or own_norm == normed):
            _idle(
                "operator.tower_norm",
                own_norm,
                f"has no effect with norm.kind={config.norm.kind!r} and norm.placement={config.norm.placement!r}; leave"
                " it at None",
            )


def _check_placement(config: Architecture, modules: tuple[ModuleShape, ...]) -> None:
    if not config.norm.last and not modules and len(config.stem.widths) == 1:
        _refuse("norm.last", False, "is not allowed where no other norm is left; True")
    if config.norm.placement != "each_convolution":
        return
    tail = config.exit is not None and bool(config.exit.tail_widths)
    operators = [m.operator for m in modules] + ([config.tail_operator] if tail else [])
    if not any(operator.operator.between for operator in operators):
        where = f"with operator.kind={operators[0].kind!r}" if operators else "where no flow is left"
        _idle(
            "norm.placement", "each_convolution", f"has no effect {where}; use 'after_convolution'", "after_convolution"
        )
    if all(operator.tower_norm is False or not operator.operator.between for operator in operators):
        _idle(
            "norm.placement",
            "each_convolution",
            "has no effect with tower_norm=False; use 'after_convolution'",
            "after_convolution",
        )


def _check_residuals(config: Architecture, modules: tuple[ModuleShape, ...]) -> None:
    flows = [("entry", config.entry), ("middle", config.middle), ("exit", config.exit)]
    own = [(name, flow.residual) for name, flow in flows if flow is not None and flow.residual is not None]
    for name, kind in [("network", config.residual.kind), *own]:
        path = "residual.kind" if name == "network" else f"{name}.residual"
        earlier: tuple[ResidualKind | None, ...] = (
            ("projection", "none") if name == "network" else (None, "projection", "none")
        )
        for other in earlier[: earlier.index(kind)] if kind in earlier else earlier:
            if config.modules({name: other}) == modules:
                _idle(path, kind, f"gives the same network as {other!r} here; use {other!r}", other)
    has = {m.shortcut for m in modules} - {"none"}
    if not has and config.norm.placement == "after_sum":
        _idle(
            "norm.placement",
            "after_sum",
            "has no effect without shortcuts; use 'after_convolution'",
            "after_convolution",
        )
    ends_in_norm = config.norm.kind != "none" and config.norm.placement in ("after_convolution", "each_convolution")
    if config.residual.zero_init and not (has and ends_in_norm):
        _idle(
            "residual.zero_init",
            True,
            "has no effect here; it needs shortcuts around branches that end in a norm (norm.placement"
            " 'after_convolution' or 'each_convolution')",
            False,
        )
    common = config.residual.stochastic_depth
    for name, flow in flows:
        if flow is None:
            continue
        rate = flow.stochastic_depth
        inside = [m for m in modules if m.name.startswith(f"{name}.")]
        with_shortcut = [i for i, m in enumerate(modules) if m in inside and m.shortcut != "none"]
        if rate is None:
            continue
        if not with_shortcut:
            _idle(f"{name}.stochastic_depth", rate, "has no effect without shortcuts; leave it at None")
        if all(rate == common * (i + 1) / len(modules) for i in with_shortcut):
            _idle(f"{name}.stochastic_depth", rate, "is that of the network; leave it at None")
    by_flow = {name: flow for name, flow in flows if flow is not None}
    follows = [
        m for m in modules if m.shortcut != "none" and by_flow[m.name.partition(".")[0]].stochastic_depth is None
    ]
    if common and not follows:
        where = "where every flow has its own" if has else "without shortcuts"
        _idle("residual.stochastic_depth", common, f"has no effect {where}; leave it at 0.0", 0.0)


def _check_shortcuts(config: Architecture, modules: tuple[ModuleShape, ...]) -> None:
    residual, norm = config.residual, config.norm
    projections = [m for m in modules if m.shortcut == "projection"]
    if residual.layer_scale and not any(m.shortcut != "none" for m in modules):
        _idle("residual.layer_scale", residual.layer_scale, "has no effect without shortcuts; leave it at 0.0", 0.0)
    if residual.tap != "input" and not any(m.shortcut != "none" and not m.activated for m in modules):
        _idle(
            "residual.tap",
            residual.tap,
            "has no effect without a shortcut around a branch that begins by activating",
            "input",
        )
    if residual.norm is not None:
        usual = norm.kind != "none" and norm.placement not in ("before_activation", "after_activation")
        if norm.kind == "none" or not projections or residual.norm == usual:
            _idle(
                "residual.norm",
                residual.norm,
                f"has no effect with norm.kind={norm.kind!r}, norm.placement={norm.placement!r} and"
                f" {len(projections)} projections; leave it at None",
            )
    if residual.bias is not None:
        absorbed = residual.bias and config.shortcut_norm and norm.kind == "batch"
        if not projections or residual.bias == (norm.kind == "none") or absorbed:
            reason = "in front of a batch norm" if absorbed else f"with {len(projections)} projections here"
            _idle("residual.bias", residual.bias, f"has no effect {reason}; leave it at None")
    if residual.pooling != "none" and not any(m.stride > 1 for m in projections):
        _idle(
            "residual.pooling", residual.pooling, "has no effect without a projection of stride 2; use 'none'", "none"
        )


def _check_attention(config: Architecture, modules: tuple[ModuleShape, ...]) -> None:
    if not modules:
        refuse_idle(config, ("attention",), "where no flow is left")
    reduction, usual = config.attention.reduction, type(config.attention)().reduction
    outs = [m.out_channels for m in modules]
    if reduction != usual and all(max(1, c // reduction) == max(1, c // usual) for c in outs):
        _idle("attention.reduction", reduction, f"gives the same network as {usual} here; use {usual}", usual)


def _check_strides(config: Architecture, modules: tuple[ModuleShape, ...]) -> None:
    wanted = [*(config.entry.strides if config.entry is not None else ()), *(1,) * config.middle.modules]
    wanted += [config.exit.stride] if config.exit is not None else []
    if config.output_stride is not None and wanted == [m.stride for m in modules]:
        _idle("output_stride", config.output_stride, "has no effect here, where strides reach no further; use None")
    exit = config.exit
    if config.output_stride is not None and exit is not None and exit.stride == 1 and not exit.tail_widths:
        reached = math.prod([s for _, s, _ in config.stem.convolutions()] + [m.stride for m in modules])
        if 2 * reached > config.output_stride:
            _idle("exit.stride", 1, f"has no effect with output_stride={config.output_stride}; leave it at 2", 2)
    strided = [m for m in modules if m.stride > 1]
    if not strided:
        refuse_idle(config, ("downsampling",), "where no module has stride 2")
    pools = config.downsampling in ("max_pool", "average_pool") and bool(strided)
    shortcut_pools = config.residual.pooling != "none"
    if not pools and not shortcut_pools:
        refuse_idle(config, ("pool_size",), "where nothing is pooled")
    padded_stem = any(stride > 1 and padded for _, stride, padded in config.stem.convolutions())
    if config.downsampling == "strided":
        padded = any(m.operator.kernel_size > 1 or m.operator.operator.pools for m in strided)
    else:
        padded = bool(strided) and not (pools and config.pool_size == 2)
    if not padded_stem and not padded and not (shortcut_pools and config.pool_size != 2):
        refuse_idle(config, ("padding",), "where no padded layer has stride 2")


def _check_last_map(config: Architecture) -> None:
    if config.head.pool not in FIXED_MAP_POOLS:
        refuse_idle(config, ("input_size",), f"with head.pool={config.head.pool!r}")
    elif config.input_size is not None and config.last_map_size(config.input_size) == 1:
        raise ValueError(
            f"XceptionConfig.head.pool: {config.head.pool!r} is not allowed at input_size={config.input_size},"
            " where the last map is 1×1 and there is nothing to pool; allowed: 'average', 'max', or a larger input"
        )
