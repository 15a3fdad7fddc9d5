"""Every architectural choice of the Xception family as a frozen, validated config.

Chollet 2017, *Xception: Deep Learning with Depthwise Separable Convolutions* (arXiv:1610.02357). The defaults are the
paper's network, so `XceptionConfig()` is the preset `paper` and every other config says how it differs from the paper.
One rule holds throughout: a field that would have no effect beside the others must stay at its default.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from xception.base.canonical import Config, IdleFieldError
from xception.network.config_parts import (
    FIXED_MAP_POOLS,
    TOWERS,
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
    ResidualKind,
    StemConfig,
    need_at_least,
    refuse_idle,
)

__all__ = [
    "Activation",
    "Downsampling",
    "EntryFlowConfig",
    "ExitFlowConfig",
    "HeadConfig",
    "Initialisation",
    "MiddleFlowConfig",
    "ModelConfig",
    "ModuleShape",
    "NormConfig",
    "OperatorConfig",
    "ResidualConfig",
    "ResidualKind",
    "StemConfig",
    "TorchvisionConfig",
    "XceptionConfig",
]


@dataclasses.dataclass(frozen=True)
class ModuleShape:
    """One module as resolved from a config: channels in, channels after each convolution, stride, and its shortcut."""

    name: str
    in_channels: int
    widths: tuple[int, ...]
    stride: int
    shortcut: ResidualKind

    @property
    def out_channels(self) -> int:
        """Channels of the module's output."""
        return self.widths[-1]


class XceptionConfig(Config):
    """A network of the Xception family; the default is the paper's, for 299×299 images and 1000 classes.

    `width_multiplier` scales every width of stem and flows to the nearest multiple of `channel_divisor` (1 unless
    segments or norm groups must divide the channels), at least one multiple. `padding` is what strided layers do on
    even maps: `symmetric` pads both sides alike, `same` (Keras) bottom and right only. `input_size`, in pixels, is
    given only where the head's kernel depends on it; `for_data` fills it in.
    """

    num_classes: int = 1000
    """Classes to tell apart."""
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
    downsampling: Downsampling = "max_pool"
    """How a module reduces resolution."""
    padding: Literal["symmetric", "same"] = "symmetric"
    """Where strided layers pad even maps: both sides alike, or bottom and right only."""
    initialisation: Initialisation = "he_normal"
    """How weights are drawn at the start."""

    def for_data(self, *, num_classes: int, in_channels: int, input_size: int) -> XceptionConfig:
        """Return this network for a data set: its classes, its channels and, where the head needs it, its image size in
        pixels.

        Raises:
            ValueError: the images are too small for the network, or leave its head nothing to pool.
        """
        from xception.network.closed_form import last_map_size

        last_map_size(self, input_size)
        needed = input_size if self.head.pool in FIXED_MAP_POOLS else None
        return self.replace(num_classes=num_classes, in_channels=in_channels, input_size=needed)

    @property
    def channel_divisor(self) -> int:
        """The number that must divide every width of stem and flows: the lowest common multiple of segments and norm
        groups.
        """
        groups = self.norm.groups if self.norm.kind == "group" else 1
        return math.lcm(self.operator.segments, groups)

    def channels(self, width: int) -> int:
        """The channels that a nominal width comes to after the width multiplier."""
        if self.width_multiplier == 1.0:
            return width
        divisor = self.channel_divisor
        return max(1, math.floor(width * self.width_multiplier / divisor + 0.5)) * divisor

    def modules(self) -> tuple[ModuleShape, ...]:
        """The modules from entry to exit, with channels and shortcuts resolved."""
        return self._modules({})

    def _modules(self, kinds: dict[str, ResidualKind | None]) -> tuple[ModuleShape, ...]:
        """The modules, with the residual kind of the named flows ('network' is the common one) replaced."""
        out: list[ModuleShape] = []
        channels = self.channels(self.stem.widths[-1])
        common = kinds.get("network") or self.residual.kind

        def add(name: str, widths: tuple[int, ...], stride: int, own: ResidualKind | None) -> None:
            nonlocal channels
            kind = kinds.get(name.partition(".")[0], own) or common
            keeps_shape = channels == widths[-1] and stride == 1
            if kind != "none" and keeps_shape:
                kind = "identity"
            elif kind == "identity":
                kind = "none"
            out.append(ModuleShape(name, channels, widths, stride, kind))
            channels = widths[-1]

        if self.entry is not None:
            for i, (width, stride) in enumerate(zip(self.entry.widths, self.entry.strides, strict=True)):
                add(f"entry.{i}", (self.channels(width),) * self.entry.convolutions, stride, self.entry.residual)
        for i in range(self.middle.modules):
            width = channels if self.middle.width is None else self.channels(self.middle.width)
            add(f"middle.{i}", (width,) * self.middle.convolutions, 1, self.middle.residual)
        if self.exit is not None:
            width, count = self.channels(self.exit.width), self.exit.convolutions
            widths = (channels, *(width,) * (count - 1)) if count > 1 else (width,)
            add("exit.module", widths, self.exit.stride, self.exit.residual)
        return tuple(out)

    @property
    def trunk_channels(self) -> int:
        """Channels of the last map, which the head sees."""
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

    def validate(self) -> None:
        """Check the rules between parts."""
        need_at_least(self, "num_classes", 1)
        need_at_least(self, "in_channels", 1)
        self._validate_widths()
        self._validate_residuals()
        self._validate_spatial()
        if self.norm.placement == "each_convolution" and (self.operator.kind == "regular" or not self.modules()):
            where = "with operator.kind='regular'" if self.modules() else "where no flow is left"
            raise IdleFieldError(
                f"XceptionConfig.norm.placement: 'each_convolution' has no effect {where}; use 'after_convolution'",
                path="norm.placement",
                value="after_convolution",
            )
        tail = self.exit.tail_intermediate_activation if self.exit is not None else None
        if tail is not None and (self.operator.kind == "regular" or tail == self.operator.inner_activation):
            source = "intermediate" if self.operator.tower_activation is None else "tower"
            raise IdleFieldError(
                f"XceptionConfig.exit.tail_intermediate_activation: {tail!r} has no effect with "
                f"operator.kind={self.operator.kind!r} and operator.{source}_activation="
                f"{self.operator.inner_activation!r}; leave it at None",
                path="exit.tail_intermediate_activation",
            )
        normed_inside = self.norm.placement == "each_convolution"
        if self.operator.tower_norm is not None and (
            self.norm.kind == "none" or self.operator.tower_norm == normed_inside
        ):
            raise IdleFieldError(
                f"XceptionConfig.operator.tower_norm: {self.operator.tower_norm!r} has no effect with "
                f"norm.kind={self.norm.kind!r} and norm.placement={self.norm.placement!r}; leave it at None",
                path="operator.tower_norm",
            )

    def _validate_widths(self) -> None:
        if not 0 < self.width_multiplier <= 64:
            raise ValueError(
                f"XceptionConfig.width_multiplier: {self.width_multiplier!r} is not allowed; a number above 0, at"
                " most 64"
            )
        divisor, towers = self.channel_divisor, TOWERS.get(self.operator.kind, 1)
        widths = self.widths()
        if self.width_multiplier != 1.0 and all(self.channels(w) == w for w in widths.values()):
            raise IdleFieldError(
                f"XceptionConfig.width_multiplier: {self.width_multiplier!r} changes no width; leave it at 1.0",
                path="width_multiplier",
                value=1.0,
            )
        for path, nominal in widths.items():
            channels = self.channels(nominal)
            if channels % divisor:
                raise ValueError(
                    f"XceptionConfig.{path}: {nominal} is not allowed; a multiple of {divisor}, which operator.segments"
                    " and the groups of a group norm must divide"
                )
            least = towers * divisor
            if channels < least and not path.startswith("stem"):
                raise ValueError(
                    f"XceptionConfig.{path}: {nominal} is not allowed with operator.kind={self.operator.kind!r}; "
                    f"at least {least} channels, it comes to {channels}"
                )
        modules = self.modules()
        if self.middle.width is not None:
            incoming = next(m.in_channels for m in modules if m.name == "middle.0")
            if self.channels(self.middle.width) == incoming:
                raise IdleFieldError(
                    f"XceptionConfig.middle.width: {self.middle.width} is the width that comes in; leave it at None",
                    path="middle.width",
                )
        tail = self.exit.tail_widths if self.exit is not None else ()
        operated = {w for m in modules for w in m.widths} | {self.channels(w) for w in tail}
        if min((w for m in modules for w in m.widths), default=towers * divisor) < towers * divisor:
            raise ValueError(
                f"XceptionConfig.operator.kind: {self.operator.kind!r} is not allowed on modules of {min(operated)}"
                f" channels; at least {towers * divisor} channels"
            )
        if self.operator.segments > 1 and operated == {self.operator.segments}:
            raise ValueError(
                f"XceptionConfig.operator.segments: {self.operator.segments} is one segment per channel; "
                "use operator.kind='pointwise_depthwise'"
            )
        if not operated and self.operator != OperatorConfig():
            raise IdleFieldError(
                f"XceptionConfig.operator: {self.operator!r} has no effect where no flow is left; leave it at the"
                " default",
                path="operator",
                value=OperatorConfig(),
            )

    def _validate_residuals(self) -> None:
        modules = self.modules()
        has = {m.shortcut for m in modules} - {"none"}
        for name, kind in [("network", self.residual.kind), *self._own_residuals()]:
            path = "residual.kind" if name == "network" else f"{name}.residual"
            earlier: tuple[ResidualKind | None, ...] = (
                ("projection", "none") if name == "network" else (None, "projection", "none")
            )
            for other in earlier[: earlier.index(kind)] if kind in earlier else earlier:
                if self._modules({name: other}) == modules:
                    raise IdleFieldError(
                        f"XceptionConfig.{path}: {kind!r} gives the same network as {other!r} here; use {other!r}",
                        path=path,
                        value=other,
                    )
        if not has:
            if self.residual.stochastic_depth:
                raise IdleFieldError(
                    f"XceptionConfig.residual.stochastic_depth: {self.residual.stochastic_depth!r} has no effect "
                    "without shortcuts; leave it at 0.0",
                    path="residual.stochastic_depth",
                    value=0.0,
                )
            if self.norm.placement == "after_sum":
                raise IdleFieldError(
                    "XceptionConfig.norm.placement: 'after_sum' has no effect without shortcuts; use"
                    " 'after_convolution'",
                    path="norm.placement",
                    value="after_convolution",
                )
        ends_in_norm = self.norm.kind != "none" and self.norm.placement in ("after_convolution", "each_convolution")
        if self.residual.zero_init and not (has and ends_in_norm):
            raise IdleFieldError(
                "XceptionConfig.residual.zero_init: True has no effect here; it needs shortcuts around branches that"
                " end in a norm (norm.placement 'after_convolution' or 'each_convolution')",
                path="residual.zero_init",
                value=False,
            )

    def _own_residuals(self) -> list[tuple[str, ResidualKind]]:
        """Flows that have a residual kind of their own."""
        flows = [("entry", self.entry), ("middle", self.middle), ("exit", self.exit)]
        return [(name, flow.residual) for name, flow in flows if flow is not None and flow.residual is not None]

    def _validate_spatial(self) -> None:
        strided = any(m.stride > 1 for m in self.modules())
        if not strided:
            refuse_idle(self, ("downsampling",), "where no module has stride 2")
        padded_stem = any(stride > 1 and padded for _, stride, padded in self.stem.convolutions())
        unpadded = (
            self.downsampling == "strided" and self.operator.kernel_size == 1 and self.operator.kind != "inception"
        )
        if not padded_stem and (not strided or unpadded):
            refuse_idle(self, ("padding",), "where no padded layer has stride 2")
        if self.head.pool in FIXED_MAP_POOLS:
            if self.input_size is None:
                return  # incomplete until for_data; the network refuses to be built
            from xception.network.closed_form import last_map_size

            size = last_map_size(self, self.input_size)
            if size == 1:
                raise ValueError(
                    f"XceptionConfig.head.pool: {self.head.pool!r} is not allowed at input_size={self.input_size},"
                    " where the last map is 1×1 and there is nothing to pool; allowed: 'average', 'max', or a larger"
                    " input"
                )
        else:
            refuse_idle(self, ("input_size",), f"with head.pool={self.head.pool!r}")


class TorchvisionConfig(Config):
    """A classification network of torchvision, as the paper's tables compare with; Inception V3 without auxiliary
    tower.

    `stem="cifar"` gives a ResNet its customary form for 32×32 images: a 3×3 first convolution of stride 1 and no
    pooling.
    """

    name: Literal["vgg16", "resnet18", "resnet50", "resnet152", "inception_v3"]
    """Which network."""
    num_classes: int = 1000
    """Classes to tell apart."""
    in_channels: int = 3
    """Channels of the images."""
    stem: Literal["imagenet", "cifar"] = "imagenet"
    """A ResNet's first layers: for 224-pixel images or for 32-pixel ones."""
    initialisation: Initialisation = "he_normal_fan_out"
    """How weights are drawn at the start."""

    def validate(self) -> None:
        """Check counts, and that the CIFAR stem is a ResNet's."""
        need_at_least(self, "num_classes", 1)
        need_at_least(self, "in_channels", 1)
        if not self.name.startswith("resnet"):
            refuse_idle(self, ("stem",), f"with name={self.name!r}: only ResNets have one")

    @property
    def least_input_size(self) -> int:
        """The side in pixels of the smallest images that the network can take."""
        return {"vgg16": 32, "inception_v3": 75}.get(self.name, 1)

    def for_data(self, *, num_classes: int, in_channels: int, input_size: int) -> TorchvisionConfig:
        """Return this network for a data set; its image size in pixels must be one that the network can take."""
        least = self.least_input_size
        if input_size < least:
            raise ValueError(f"input_size: {input_size} is not allowed for torchvision:{self.name}; at least {least}")
        return self.replace(num_classes=num_classes, in_channels=in_channels)


ModelConfig = XceptionConfig | TorchvisionConfig
