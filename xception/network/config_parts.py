"""The parts of an Xception's config: stem, flows, head, norm, shortcuts, attention, each with the rules of its own
fields.

One rule holds throughout: a field that would have no effect given the others must stay at its default.
"""

from __future__ import annotations

from typing import Literal

from xception.base.canonical import Config
from xception.network.config_rules import (
    Activation,
    MaybeActivation,
    need_at_least,
    need_positive,
    need_probability,
    refuse_idle,
)
from xception.network.operator_config import OperatorConfig

__all__ = [
    "FIXED_MAP_POOLS",
    "AttentionConfig",
    "Downsampling",
    "EntryFlowConfig",
    "ExitFlowConfig",
    "HeadConfig",
    "Initialisation",
    "MiddleFlowConfig",
    "NormConfig",
    "ResidualConfig",
    "ResidualKind",
    "StemConfig",
]

ResidualKind = Literal["projection", "identity", "none"]
Downsampling = Literal["max_pool", "strided", "average_pool", "anti_aliased"]
Initialisation = Literal[
    "he_normal", "he_normal_fan_out", "he_uniform", "glorot_uniform", "glorot_normal", "orthogonal", "truncated_normal"
]
FIXED_MAP_POOLS = ("global_depthwise", "flatten")


class StemConfig(Config):
    """The convolutions before the first module: a first one by `kind`, the others 3×3 of stride 1.

    `paper` begins 3×3 with stride 2 and pads nothing; `aligned` is the same, padded; `cifar` begins 3×3 with stride 1,
    padded; `patchify` begins with a `patch_size`² kernel of that stride, the others padded.
    """

    kind: Literal["paper", "aligned", "cifar", "patchify"] = "paper"
    """Kernel, stride and padding of the first convolution."""
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
    """The entry flow: one module per width; all its convolutions have that width.

    Where `residual`, `operator`, `activation` and `stochastic_depth` are None, they are those of the network.
    `operator` and `activation` may also be one for each module. `stochastic_depth` is the probability of every module
    of the flow.
    """

    widths: tuple[int, ...] = (128, 256, 728)
    """Channels of each module."""
    strides: tuple[Literal[1, 2], ...] = (2, 2, 2)
    """Stride of each module."""
    convolutions: int = 2
    """Convolutions in a module."""
    residual: ResidualKind | None = None
    """Shortcuts of this flow; None: those of the network."""
    operator: OperatorConfig | tuple[OperatorConfig, ...] | None = None
    """Convolution of this flow, one for all or one for each module; None: that of the network."""
    activation: Activation | tuple[Activation, ...] | None = None
    """Activation of this flow, one for all or one for each module; None: that of the network."""
    stochastic_depth: float | None = None
    """Probability of dropping a branch of this flow; None: as in the whole network."""

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
        _check_own(self, len(self.widths))


class MiddleFlowConfig(Config):
    """The middle flow: equal modules; `width` None keeps the width of the input, `modules=0` removes the flow.

    The other fields are as in `EntryFlowConfig`.
    """

    modules: int = 8
    """Number of modules; 0 removes the flow."""
    convolutions: int = 3
    """Convolutions in a module."""
    width: int | None = None
    """Channels of the modules; None: those of the input."""
    residual: ResidualKind | None = None
    """Shortcuts of this flow; None: those of the network."""
    operator: OperatorConfig | tuple[OperatorConfig, ...] | None = None
    """Convolution of this flow, one for all or one for each module; None: that of the network."""
    activation: Activation | tuple[Activation, ...] | None = None
    """Activation of this flow, one for all or one for each module; None: that of the network."""
    stochastic_depth: float | None = None
    """Probability of dropping a branch of this flow; None: as in the whole network."""

    def validate(self) -> None:
        """Check counts, and that a removed flow has no settings."""
        need_at_least(self, "modules", 0)
        need_at_least(self, "convolutions", 1)
        if self.width is not None:
            need_at_least(self, "width", 1)
        if self.modules == 0:
            own = ("convolutions", "width", "residual", "operator", "activation", "stochastic_depth")
            refuse_idle(self, own, "with modules=0")
        else:
            _check_own(self, self.modules)


class ExitFlowConfig(Config):
    """The exit flow: one module whose first convolution keeps the width, then a tail of activated convolutions without
    shortcut.

    A module with one convolution widens in it. `tail_intermediate_activation` is the activation between the tail's
    depthwise and pointwise convolutions, where it differs from the network's (the aligned Xceptions). `operator` and
    `activation` are those of module and tail, where they differ from the network's; `stochastic_depth` is the module's.
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
    operator: OperatorConfig | None = None
    """Convolution of this flow; None: that of the network."""
    activation: Activation | None = None
    """Activation of this flow; None: that of the network."""
    stochastic_depth: float | None = None
    """Probability of dropping a branch of this flow; None: as in the whole network."""

    def validate(self) -> None:
        """Check widths, and that settings of the tail come with a tail."""
        need_positive(self, "tail_widths")
        need_at_least(self, "width", 1)
        need_at_least(self, "convolutions", 1)
        if not self.tail_widths:
            refuse_idle(self, ("tail_intermediate_activation",), "with tail_widths=()")
        _check_own(self, 1)


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


class NormConfig(Config):
    """Normalisation and its placement.

    `momentum` is the weight of the new batch in the running statistics (Keras writes 0.99 for 0.01). `layer` normalises
    over channels and positions. Placements, for a unit of activation and convolution in a module:

    - `after_convolution`: the paper's;
    - `each_convolution`: also between the convolutions of one operator (the aligned Xceptions);
    - `before_activation`: pre-activation, normalise → activate → convolve, shortcuts unnormalised; `last` adds a norm
    after the last module;
    - `after_activation`: activate → normalise → convolve, shortcuts unnormalised;
    - `after_sum`: as the paper's, but a module's last norm follows the residual sum.
    """

    kind: Literal["batch", "group", "layer", "none"] = "batch"
    """Kind of normalisation: the values that share a mean and variance."""
    epsilon: float = 1e-3
    """Added to the variance."""
    momentum: float = 0.1
    """Weight of a new batch in the running statistics."""
    groups: int = 8
    """Groups of channels of a group norm."""
    placement: Literal[
        "after_convolution", "each_convolution", "before_activation", "after_activation", "after_sum"
    ] = "after_convolution"
    """Placement of norms in a module."""
    last: bool = True
    """Whether a pre-activated network has a norm after its last module."""

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
            refuse_idle(self, ("epsilon", "placement", "last"), "with kind='none'")
        if self.placement != "before_activation":
            refuse_idle(self, ("last",), f"with placement={self.placement!r}")


class ResidualConfig(Config):
    """Shortcuts around modules.

    `projection` is the paper's: a strided 1×1 convolution where the shape changes, the identity elsewhere. `identity`
    has shortcuts only where shapes agree. `stochastic_depth` is the probability of dropping the last module's branch
    for an example; it grows linearly from the first module (Huang et al. 2016, arXiv:1603.09382). `zero_init` starts
    the scale of each branch's last norm at 0, so that the network starts as its shortcuts (Goyal et al. 2017,
    arXiv:1706.02677).

    `tap` is the input of shortcuts: the module's input, or that input after the norm and the activation with which the
    branch begins (He et al. 2016, arXiv:1603.05027, Figure 4; timm's xception41p). `norm` and `bias` are those of
    projections; None follows the placement of norms, with a bias only where the network has no norm. With `pooling` a
    projection of stride 2 pools first and then convolves with stride 1 (He et al. 2019, arXiv:1812.01187, ResNet-D).
    `layer_scale` is the initial value of a learned factor per channel at the end of each branch; 0 omits it (Touvron et
    al. 2021, arXiv:2103.17239).
    """

    kind: ResidualKind = "projection"
    """Shortcuts around the modules."""
    stochastic_depth: float = 0.0
    """Probability of dropping the last module's branch, smaller for those before."""
    zero_init: bool = False
    """Whether the scale of each branch's last norm starts at 0."""
    tap: Literal["input", "activated"] = "input"
    """Input of shortcuts: a module's input, or that input after the branch's first norm and activation."""
    norm: bool | None = None
    """Whether a norm follows a projection; None: according to the norm's placement."""
    bias: bool | None = None
    """Whether a projection has a bias; None: where the network has no norm."""
    pooling: Literal["none", "average", "max"] = "none"
    """How a projection of stride 2 pools before it convolves."""
    layer_scale: float = 0.0
    """Initial value of a learned factor per channel at the end of a branch; 0: none."""

    def validate(self) -> None:
        """Check the probability and the initial factor."""
        need_probability(self, "stochastic_depth")
        if not 0 <= self.layer_scale <= 1:
            raise ValueError(f"ResidualConfig.layer_scale: {self.layer_scale!r} is not allowed; 0 (none) to 1")


class AttentionConfig(Config):
    """Attention over channels at the end of every module's branch.

    `se` is squeeze-and-excitation: average, 1×1 convolution to a `reduction`-th of the channels, ReLU, 1×1 convolution
    back, sigmoid (Hu et al. 2018, arXiv:1709.01507). `eca` convolves the averages with one kernel, whose odd size
    depends on the number of channels (Wang et al. 2020, arXiv:1910.03151).
    """

    kind: Literal["none", "se", "eca"] = "none"
    """Attention over channels at the end of each branch."""
    reduction: int = 16
    """Channels divided by hidden channels of squeeze-and-excitation."""

    def validate(self) -> None:
        """Check the reduction and that it has an effect."""
        need_at_least(self, "reduction", 1)
        if self.kind != "se":
            refuse_idle(self, ("reduction",), f"with kind={self.kind!r}")


def _check_own(flow: EntryFlowConfig | MiddleFlowConfig | ExitFlowConfig, modules: int) -> None:
    """Check a flow's own settings: one value for each module, not all the same, or one for all."""
    for name in ("operator", "activation"):
        value = getattr(flow, name)
        if isinstance(value, tuple):
            if len(value) != modules:
                raise ValueError(
                    f"{type(flow).__name__}.{name}: {len(value)} values are not allowed; one for each of {modules}"
                    " modules, or one for all"
                )
            if len(set(value)) == 1:
                raise ValueError(
                    f"{type(flow).__name__}.{name}: the same value for each module is not allowed; one for all"
                )
    if flow.stochastic_depth is not None:
        need_probability(flow, "stochastic_depth")
