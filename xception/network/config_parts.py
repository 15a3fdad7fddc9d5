"""The parts of an Xception's config: stem, flows, head, operator, norm, shortcuts, each with the rules of its own
fields.

One rule holds throughout: a field that would have no effect beside the others must stay at its default.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from xception.base.canonical import Config, IdleFieldError

__all__ = [
    "FIXED_MAP_POOLS",
    "TOWERS",
    "Activation",
    "Downsampling",
    "EntryFlowConfig",
    "ExitFlowConfig",
    "HeadConfig",
    "Initialisation",
    "MaybeActivation",
    "MiddleFlowConfig",
    "NormConfig",
    "OperatorConfig",
    "ResidualConfig",
    "ResidualKind",
    "StemConfig",
    "need_at_least",
    "need_positive",
    "need_probability",
    "refuse_idle",
]

Activation = Literal["relu", "relu6", "leaky_relu", "elu", "silu", "gelu", "hard_swish", "mish"]
MaybeActivation = Literal["none", "relu", "relu6", "leaky_relu", "elu", "silu", "gelu", "hard_swish", "mish"]
ResidualKind = Literal["projection", "identity", "none"]
Downsampling = Literal["max_pool", "strided", "average_pool", "anti_aliased"]
Initialisation = Literal[
    "he_normal", "he_normal_fan_out", "he_uniform", "glorot_uniform", "glorot_normal", "orthogonal", "truncated_normal"
]
TOWERS = {"inception": 4, "simplified_inception": 3}
FIXED_MAP_POOLS = ("global_depthwise", "flatten")


def refuse_idle(config: Config, names: tuple[str, ...], reason: str) -> None:
    """Raise IdleFieldError for the first named field that is not at its default."""
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value: Any = getattr(config, field.name)
        if field.name in names and value != field.default:
            raise IdleFieldError(
                f"{type(config).__name__}.{field.name}: {value!r} has no effect {reason}; leave it at"
                f" {field.default!r}",
                path=field.name,
                value=field.default,
            )


# No machine holds a wider layer, and with more layers a network is counted for minutes.
MOST = 2**20
_MOST_LAYERS = {"modules": 1000, "convolutions": 100}


def need_at_least(config: Config, name: str, least: int) -> None:
    value, most = getattr(config, name), _MOST_LAYERS.get(name, MOST)
    if not least <= value <= most:
        raise ValueError(f"{type(config).__name__}.{name}: {value!r} is not allowed; at least {least}, at most {most}")


def need_positive(config: Config, name: str) -> None:
    values = getattr(config, name)
    if not 1 <= min(values, default=1) <= max(values, default=1) <= MOST:
        raise ValueError(f"{type(config).__name__}.{name}: {values!r} is not allowed; each at least 1, at most {MOST}")


def need_probability(config: Config, name: str) -> None:
    if not 0 <= getattr(config, name) < 1:
        raise ValueError(
            f"{type(config).__name__}.{name}: {getattr(config, name)!r} is not allowed; at least 0 and below 1"
        )


class StemConfig(Config):
    """The convolutions before the first module: a first one by `kind`, the others 3×3 of stride 1.

    `paper` begins 3×3 with stride 2 and pads nothing; `aligned` is the same, padded; `cifar` begins 3×3 with stride 1,
    padded; `patchify` begins with a `patch_size`² kernel of that stride, the others padded.
    """

    kind: Literal["paper", "aligned", "cifar", "patchify"] = "paper"
    """How the first convolution goes about stride and padding."""
    widths: tuple[int, ...] = (32, 64)
    """Channels of each convolution."""
    patch_size: int = 4
    """Side of the first kernel, and its stride, of a patchify stem."""

    def validate(self) -> None:
        """Check the widths and that the patch size has an effect."""
        need_positive(self, "widths")
        if not self.widths:
            raise ValueError("StemConfig.widths: () is not allowed; at least one width")
        if self.kind == "patchify":
            need_at_least(self, "patch_size", 2)
        else:
            refuse_idle(self, ("patch_size",), f"with kind={self.kind!r}")

    def convolutions(self) -> tuple[tuple[int, int, bool], ...]:
        """Kernel size, stride and whether it is padded, of each convolution."""
        padded = self.kind != "paper"
        first = {"patchify": (self.patch_size, self.patch_size, False), "cifar": (3, 1, True)}.get(
            self.kind, (3, 2, padded)
        )
        return (first, *((3, 1, padded),) * (len(self.widths) - 1))


class EntryFlowConfig(Config):
    """The entry flow: one module per width, all its convolutions of that width; `residual` None means that of the
    network.
    """

    widths: tuple[int, ...] = (128, 256, 728)
    """Channels of each module."""
    strides: tuple[Literal[1, 2], ...] = (2, 2, 2)
    """Stride of each module."""
    convolutions: int = 2
    """Convolutions in a module."""
    residual: ResidualKind | None = None
    """Shortcuts of this flow; None: those of the network."""

    def validate(self) -> None:
        """Check that there is one stride per width."""
        need_positive(self, "widths")
        need_at_least(self, "convolutions", 1)
        if not self.widths:
            raise ValueError(
                "EntryFlowConfig.widths: () is not allowed; at least one width, or entry=None for no entry flow"
            )
        if len(self.strides) != len(self.widths):
            raise ValueError(
                f"EntryFlowConfig.strides: {self.strides!r} is not allowed; one of 1, 2 for each of {len(self.widths)}"
                " widths"
            )


class MiddleFlowConfig(Config):
    """The middle flow: equal modules; `width` None keeps the width that comes in, `modules=0` removes the flow."""

    modules: int = 8
    """Number of modules; 0 removes the flow."""
    convolutions: int = 3
    """Convolutions in a module."""
    width: int | None = None
    """Channels of the modules; None: those that come in."""
    residual: ResidualKind | None = None
    """Shortcuts of this flow; None: those of the network."""

    def validate(self) -> None:
        """Check counts, and that a removed flow has no settings."""
        need_at_least(self, "modules", 0)
        need_at_least(self, "convolutions", 1)
        if self.width is not None:
            need_at_least(self, "width", 1)
        if self.modules == 0:
            refuse_idle(self, ("convolutions", "width", "residual"), "with modules=0")


class ExitFlowConfig(Config):
    """The exit flow: one module whose first convolution keeps the width, then a tail of activated convolutions without
    shortcut.

    With one convolution the module widens at once. `tail_intermediate_activation` is what lies between the tail's
    depthwise and pointwise convolutions, where it is not that of the network (the aligned Xceptions).
    """

    width: int = 1024
    """Channels of the module."""
    stride: Literal[1, 2] = 2
    """Stride of the module."""
    convolutions: int = 2
    """Convolutions in the module."""
    tail_widths: tuple[int, ...] = (1536, 2048)
    """Channels of each convolution after the module."""
    tail_intermediate_activation: MaybeActivation | None = None
    """Activation between the tail's depthwise and pointwise convolutions; None: that of the network."""
    residual: ResidualKind | None = None
    """Shortcuts of this flow; None: those of the network."""

    def validate(self) -> None:
        """Check widths, and that the tail's settings have a tail."""
        need_positive(self, "tail_widths")
        need_at_least(self, "width", 1)
        need_at_least(self, "convolutions", 1)
        if not self.tail_widths:
            refuse_idle(self, ("tail_intermediate_activation",), "with tail_widths=()")


class HeadConfig(Config):
    """From the last map to logits: pooling, hidden fully connected layers (the paper's JFT head is (4096, 4096)),
    dropout, classifier.

    `global_depthwise` is a depthwise kernel the size of the last map followed by its pointwise layer; it and `flatten`
    need the network's `input_size`. Dropout is a probability, applied before the classifier.
    """

    pool: Literal["average", "max", "global_depthwise", "flatten"] = "average"
    """How the last map becomes a vector."""
    hidden: tuple[int, ...] = ()
    """Units of each hidden fully connected layer."""
    dropout: float = 0.5
    """Probability of dropping a feature before the classifier."""

    def validate(self) -> None:
        """Check widths and the probability."""
        need_positive(self, "hidden")
        need_probability(self, "dropout")


class OperatorConfig(Config):
    """The convolution of every module and of the exit flow's tail.

    - `separable`: depthwise, then pointwise (the paper's);
    - `pointwise_depthwise`: pointwise, then depthwise (the order within an Inception module; the extreme of Figure 4);
    - `segmented`: a 1×1, then spatial convolutions over `segments` equal channel segments (Figure 3); 1 is a regular
      one;
    - `regular`: one spatial convolution over all channels;
    - `inception`: towers 1×1, 1×1→k×k, 1×1→k×k→k×k and average pool→1×1, a quarter of the channels each (Figure 1);
    - `simplified_inception`: three towers 1×1→k×k, a third of the channels each (Figure 2).

    `intermediate_activation` lies between the convolutions of one operator (Figure 10).

    `tower_activation` and `tower_norm` say what follows each convolution inside a tower. None follows
    `intermediate_activation` and the norm's placement `each_convolution`, so by default towers are linear. In the
    papers a norm and a ReLU follow every convolution (Szegedy et al. 2016, arXiv:1512.00567, section 6; Chollet 2017,
    section 1.2): `tower_norm=True, tower_activation="relu"`. The last convolution of each tower is followed by the norm
    and the activation of the unit, which see the towers joined. In both forms all towers are equally wide, where those
    of the papers differ from module to module.
    """

    kind: Literal["separable", "pointwise_depthwise", "segmented", "regular", "inception", "simplified_inception"] = (
        "separable"
    )
    """The convolution in the place of the separable one."""
    kernel_size: int = 3
    """Side of the spatial kernels."""
    dilation: int = 1
    """Distance between the taps of a spatial kernel."""
    depth_multiplier: int = 1
    """Depthwise outputs for each input channel."""
    segments: int = 1
    """Channel segments with a spatial convolution of their own."""
    intermediate_activation: MaybeActivation = "none"
    """Activation between the convolutions of one operator."""
    tower_activation: MaybeActivation | None = None
    """Activation after each convolution inside a tower; None: the intermediate activation."""
    tower_norm: bool | None = None
    """Whether a norm follows each convolution inside a tower; None: as the norm's placement has it."""

    @property
    def inner_activation(self) -> MaybeActivation:
        """What lies between the convolutions of one operator."""
        return self.intermediate_activation if self.tower_activation is None else self.tower_activation

    def validate(self) -> None:
        """Check sizes, and that each setting has an effect on this kind."""
        need_at_least(self, "kernel_size", 1)
        need_at_least(self, "dilation", 1)
        need_at_least(self, "depth_multiplier", 1)
        need_at_least(self, "segments", 1)
        if self.kernel_size % 2 == 0:
            raise ValueError(f"OperatorConfig.kernel_size: {self.kernel_size} is not allowed; an odd number")
        if self.kernel_size == 1:
            refuse_idle(self, ("dilation",), "with kernel_size=1")
        if self.kind != "separable":
            refuse_idle(
                self,
                ("depth_multiplier",),
                f"with kind={self.kind!r}: it multiplies the depthwise output of 'separable'",
            )
        if self.kind != "segmented":
            refuse_idle(self, ("segments",), f"with kind={self.kind!r}")
        if self.kind == "regular":
            refuse_idle(self, ("intermediate_activation",), "with kind='regular': there is nothing between")
        if self.kind not in TOWERS:
            refuse_idle(self, ("tower_activation", "tower_norm"), f"with kind={self.kind!r}: it has no towers")
        if self.tower_activation == self.intermediate_activation:
            refuse_idle(self, ("tower_activation",), "where intermediate_activation is the same")
        if self.tower_activation is not None:
            refuse_idle(self, ("intermediate_activation",), f"with tower_activation={self.tower_activation!r}")


class NormConfig(Config):
    """Normalisation and where it stands.

    `momentum` is the weight of the new batch in the running statistics (Keras writes 0.99 for 0.01). `layer` normalises
    over channels and positions. Placements, for a unit of activation and convolution in a module:

    - `after_convolution`: the paper's;
    - `each_convolution`: also between the convolutions of one operator (the aligned Xceptions);
    - `before_activation`: pre-activation, normalise → activate → convolve, shortcuts unnormalised;
    - `after_activation`: activate → normalise → convolve, shortcuts unnormalised;
    - `after_sum`: as the paper's, but a module's last norm follows the residual sum.
    """

    kind: Literal["batch", "group", "layer", "none"] = "batch"
    """What values are normalised over."""
    epsilon: float = 1e-3
    """Added to the variance."""
    momentum: float = 0.1
    """Weight of a new batch in the running statistics."""
    groups: int = 8
    """Groups of channels of a group norm."""
    placement: Literal[
        "after_convolution", "each_convolution", "before_activation", "after_activation", "after_sum"
    ] = "after_convolution"
    """Where norms stand in a module."""

    def validate(self) -> None:
        """Check ranges, and that each setting has an effect on this kind."""
        if not 0 < self.epsilon <= 1:
            raise ValueError(f"NormConfig.epsilon: {self.epsilon!r} is not allowed; a number above 0, at most 1")
        if not 0 < self.momentum <= 1:
            raise ValueError(f"NormConfig.momentum: {self.momentum!r} is not allowed; a number above 0, at most 1")
        need_at_least(self, "groups", 2)
        if self.kind != "batch":
            refuse_idle(self, ("momentum",), f"with kind={self.kind!r}: it keeps no running statistics")
        if self.kind != "group":
            refuse_idle(self, ("groups",), f"with kind={self.kind!r}")
        if self.kind == "none":
            refuse_idle(self, ("epsilon", "placement"), "with kind='none'")


class ResidualConfig(Config):
    """Shortcuts around modules.

    `projection` is the paper's: a strided 1×1 convolution where the shape changes, the identity elsewhere. `identity`
    has shortcuts only where shapes agree. `stochastic_depth` is the probability of dropping the last module's branch
    for an example; it grows linearly from the first module (Huang et al. 2016, arXiv:1603.09382). `zero_init` begins
    each branch's last norm at scale 0, so that the network begins as its shortcuts (Goyal et al. 2017,
    arXiv:1706.02677).
    """

    kind: ResidualKind = "projection"
    """Shortcuts around the modules."""
    stochastic_depth: float = 0.0
    """Probability of dropping the last module's branch, smaller for those before."""
    zero_init: bool = False
    """Whether each branch's last norm begins at scale 0."""

    def validate(self) -> None:
        """Check the probability."""
        need_probability(self, "stochastic_depth")
