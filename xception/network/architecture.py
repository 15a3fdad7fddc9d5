"""The fields of an Xception's config, and what they resolve to: modules with their channels, strides and operators.

Chollet 2017, *Xception: Deep Learning with Depthwise Separable Convolutions* (arXiv:1610.02357). Rules between fields
are in `xception.network.config_checks`.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from xception.base.canonical import Config
from xception.network.config_parts import (
    AttentionConfig,
    Downsampling,
    EntryFlowConfig,
    ExitFlowConfig,
    HeadConfig,
    Initialisation,
    MiddleFlowConfig,
    NormConfig,
    ResidualConfig,
    ResidualKind,
    StemConfig,
)
from xception.network.config_rules import Activation
from xception.network.nodes import spatial_size
from xception.network.operator_config import OperatorConfig

__all__ = ["Architecture", "ModuleShape"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModuleShape:
    """One module as resolved from a config: channels in, channels after each convolution, stride, shortcut, and its own
    settings.

    `dilation` multiplies that of the operator. `activated` is true if its input is activated already. `drop_path` is
    the probability of dropping its branch.
    """

    name: str
    in_channels: int
    widths: tuple[int, ...]
    stride: int
    shortcut: ResidualKind
    operator: OperatorConfig
    activation: Activation
    dilation: int
    activated: bool
    drop_path: float

    @property
    def out_channels(self) -> int:
        """Channels of the module's output."""
        return self.widths[-1]

    @property
    def uses_activation(self) -> bool:
        """Whether the module contains its activation."""
        return not self.activated or len(self.widths) > 1 or self.operator.operator.activates


class Architecture(Config):
    """The fields of `XceptionConfig`, which checks them, and what they resolve to."""

    num_classes: int = 1000
    """Number of classes."""
    in_channels: int = 3
    """Channels of the images."""
    input_size: int | None = None
    """Side of the images in pixels, where the head's kernel depends on it."""
    width_multiplier: float = 1.0
    """Factor on all widths of stem and flows."""
    stem: StemConfig = StemConfig()
    entry: EntryFlowConfig | None = EntryFlowConfig()
    middle: MiddleFlowConfig = MiddleFlowConfig()
    exit: ExitFlowConfig | None = ExitFlowConfig()
    head: HeadConfig = HeadConfig()
    operator: OperatorConfig = OperatorConfig()
    norm: NormConfig = NormConfig()
    activation: Activation = "relu"
    """The activation of all layers."""
    residual: ResidualConfig = ResidualConfig()
    attention: AttentionConfig = AttentionConfig()
    downsampling: Downsampling = "max_pool"
    """How a module reduces resolution."""
    pool_size: Literal[2, 3, 5] = 3
    """Side of the pooling kernels, in pixels."""
    output_stride: Literal[2, 4, 8, 16] | None = None
    """Pixels of the image per pixel of the last map; further strides become dilation; None: all strides."""
    padding: Literal["symmetric", "same"] = "symmetric"
    """Where strided layers pad even maps: both sides equally, or bottom and right only."""
    initialisation: Initialisation = "he_normal"
    """Distribution of the initial weights."""

    def last_map_size(self, input_size: int) -> int:
        """Return the side, in pixels, of the last map before the head, from the strides alone.

        Raises:
            ValueError: the image is too small for the stem.
        """
        size = input_size
        for kernel_size, stride, padded in self.stem.convolutions():
            size = spatial_size(size, kernel_size, stride, padding="symmetric" if padded else "valid")
            if size < 1:
                raise ValueError(
                    f"input_size: {input_size} is not allowed; at least {self.least_input_size}, as the stem leaves"
                    " nothing of a smaller image"
                )
        for module in self.modules():
            size = spatial_size(size, 3, module.stride)
        return size

    @property
    def least_input_size(self) -> int:
        """The side in pixels of the smallest images for which the stem's output is not empty."""
        size = 1
        for kernel_size, stride, padded in reversed(self.stem.convolutions()):
            size = (size - 1) * stride + (1 if padded else kernel_size)
        return size

    @property
    def channel_divisor(self) -> int:
        """The number that must divide every width of stem and flows: the lowest common multiple of segments and norm
        groups.
        """
        groups = self.norm.groups if self.norm.kind == "group" else 1
        return math.lcm(groups, *(operator.segments for operator in self.operators))

    @property
    def operators(self) -> tuple[OperatorConfig, ...]:
        """The network's operator and those that flows and modules override it with."""
        out = [self.operator]
        for flow in (self.entry, self.middle, self.exit):
            own = flow.operator if flow is not None else None
            out += own if isinstance(own, tuple) else [own] if own is not None else []
        return tuple(out)

    @property
    def tail_operator(self) -> OperatorConfig:
        """The operator of the exit flow's tail."""
        own = self.exit.operator if self.exit is not None else None
        return self.operator if own is None else own

    @property
    def tail_activation(self) -> Activation:
        """The activation of the exit flow's tail."""
        own = self.exit.activation if self.exit is not None else None
        return self.activation if own is None else own

    @property
    def shortcut_norm(self) -> bool:
        """Whether a norm follows the projections of shortcuts."""
        if self.residual.norm is not None:
            return self.residual.norm
        return self.norm.kind != "none" and self.norm.placement not in ("before_activation", "after_activation")

    def channels(self, width: int) -> int:
        """The channels of a nominal width after the width multiplier."""
        if self.width_multiplier == 1.0:
            return width
        divisor = self.channel_divisor
        return max(1, math.floor(width * self.width_multiplier / divisor + 0.5)) * divisor

    def modules(self, kinds: dict[str, ResidualKind | None] | None = None) -> tuple[ModuleShape, ...]:
        """The modules from entry to exit, with channels and shortcuts resolved; `kinds` replaces the residual kind of
        the named flows ('network' is the common one).
        """
        kinds = kinds or {}
        out: list[ModuleShape] = []
        channels = self.channels(self.stem.widths[-1])
        common = kinds.get("network") or self.residual.kind
        reached = math.prod(stride for _, stride, _ in self.stem.convolutions())
        dilation = 1
        count = self.num_modules

        def add(
            flow: EntryFlowConfig | MiddleFlowConfig | ExitFlowConfig, i: int, name: str, widths: list[int], stride: int
        ) -> None:
            nonlocal channels, reached, dilation
            own_dilation = dilation
            if self.output_stride is not None and reached * stride > self.output_stride:
                dilation *= stride
                stride = 1
            reached *= stride
            kind = kinds.get(name.partition(".")[0], flow.residual) or common
            keeps_shape = channels == widths[-1] and stride == 1
            if kind != "none" and keeps_shape:
                kind = "identity"
            elif kind == "identity":
                kind = "none"
            operator, activation = flow.operator, flow.activation
            own_drop, linear = flow.stochastic_depth, self.residual.stochastic_depth * (len(out) + 1) / count
            shape = ModuleShape(
                name=name,
                in_channels=channels,
                widths=tuple(widths),
                stride=stride,
                shortcut=kind,
                operator=(operator[i] if isinstance(operator, tuple) else operator) or self.operator,
                activation=(activation[i] if isinstance(activation, tuple) else activation) or self.activation,
                dilation=own_dilation,
                activated=not out and self.norm.placement != "before_activation",
                drop_path=linear if own_drop is None else own_drop,
            )
            out.append(shape)
            channels = widths[-1]

        if self.entry is not None:
            for i, (width, stride) in enumerate(zip(self.entry.widths, self.entry.strides, strict=True)):
                add(self.entry, i, f"entry.{i}", [self.channels(width)] * self.entry.convolutions, stride)
        for i in range(self.middle.modules):
            width = channels if self.middle.width is None else self.channels(self.middle.width)
            add(self.middle, i, f"middle.{i}", [width] * self.middle.convolutions, 1)
        if self.exit is not None:
            width, convolutions = self.channels(self.exit.width), self.exit.convolutions
            widths = [channels, *[width] * (convolutions - 1)] if convolutions > 1 else [width]
            add(self.exit, 0, "exit.module", widths, self.exit.stride)
        return tuple(out)

    @property
    def num_modules(self) -> int:
        """The total number of modules of the flows."""
        entry = len(self.entry.widths) if self.entry is not None else 0
        return entry + self.middle.modules + (self.exit is not None)

    @property
    def tail_dilation(self) -> int:
        """The factor on the dilation of the tail's operators."""
        modules = self.modules()
        if self.output_stride is None or not modules:
            return 1
        assert self.exit is not None
        last = modules[-1]
        return last.dilation * (self.exit.stride if last.stride != self.exit.stride else 1)

    @property
    def trunk_channels(self) -> int:
        """Channels of the last map, the head's input."""
        if self.exit is not None and self.exit.tail_widths:
            return self.channels(self.exit.tail_widths[-1])
        modules = self.modules()
        return modules[-1].out_channels if modules else self.channels(self.stem.widths[-1])

    def widths(self) -> dict[str, int]:
        """Nominal widths by dotted field path, as given, before the width multiplier."""
        out = {f"stem.widths[{i}]": w for i, w in enumerate(self.stem.widths)}
        if self.entry is not None:
            out |= {f"entry.widths[{i}]": w for i, w in enumerate(self.entry.widths)}
        if self.middle.width is not None:
            out["middle.width"] = self.middle.width
        if self.exit is not None:
            out["exit.width"] = self.exit.width
            out |= {f"exit.tail_widths[{i}]": w for i, w in enumerate(self.exit.tail_widths)}
        return out
