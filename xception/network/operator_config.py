"""The convolution operator of modules, as a config: any operator of `xception.network.operators` by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from xception.base.canonical import Config
from xception.network.config_rules import MaybeActivation, need_at_least, refuse_idle
from xception.network.operators import OPERATORS, Operator

__all__ = ["OperatorConfig", "OperatorKind"]

if TYPE_CHECKING:
    OperatorKind = str
else:
    OperatorKind = Literal[tuple(OPERATORS)]

_DEPENDENT = {
    "kernel_size": "it has kernels of its own",
    "dilation": "it has no spatial kernel",
    "asymmetric": "its kernels are square",
    "depth_multiplier": "it multiplies the depthwise output of 'separable'",
    "segments": "it has no segments",
    "expansion": "it does not expand",
    "mixed_kernels": "it has one kernel size",
    "intermediate_activation": "there is nothing between",
    "tower_activation": "it has no towers",
    "tower_norm": "it has no towers",
}


class OperatorConfig(Config):
    """The convolution of every module and of the exit flow's tail.

    - `separable`: depthwise, then pointwise (the paper's);
    - `pointwise_depthwise`: pointwise, then depthwise (the order within an Inception module; the extreme of Figure 4);
    - `segmented`: a 1×1, then spatial convolutions over `segments` equal channel segments (Figure 3); 1 is a regular
      one;
    - `regular`: one spatial convolution over all channels;
    - `inception`: towers 1×1, 1×1→k×k, 1×1→k×k→k×k and average pool→1×1, a quarter of the channels each (Figure 1);
    - `simplified_inception`: three towers 1×1→k×k, a third of the channels each (Figure 2);
    - `inverted_bottleneck`: 1×1 to `expansion` times the channels, depthwise, 1×1, the network's norm and activation
      after the first two (MobileNetV2, Sandler et al. 2018, arXiv:1801.04381);
    - `mixed_separable`: depthwise with each of `mixed_kernels` on an equal share of the channels, then pointwise
      (MixConv, Tan and Le 2019, arXiv:1907.09595).

    `asymmetric` replaces every k×k kernel by a 1×k and a k×1 kernel (Szegedy et al. 2016, section 3.2).
    `intermediate_activation` is between the convolutions of one operator (Figure 10).

    `tower_activation` and `tower_norm` follow each convolution inside a tower. None follows `intermediate_activation`
    and the norm's placement `each_convolution`, so by default towers are linear. In the papers a norm and a ReLU follow
    every convolution (Szegedy et al. 2016, arXiv:1512.00567, section 6; Chollet 2017, section 1.2): `tower_norm=True,
    tower_activation="relu"`. The norm and the activation of the unit follow the concatenated towers. In both forms all
    towers are equally wide; in the papers their widths differ from module to module.
    """

    kind: OperatorKind = "separable"
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
    expansion: int = 4
    """Channels of an inverted bottleneck over those that come in."""
    mixed_kernels: tuple[int, ...] = (3, 5, 7)
    """Sides of the kernels of a mixed depthwise convolution."""
    asymmetric: bool = False
    """Whether a 1×k and a k×1 kernel replace each k×k kernel."""

    @property
    def operator(self) -> Operator:
        """The operator that this is about."""
        return OPERATORS[self.kind]

    @property
    def towers(self) -> int:
        """How many parts the operator splits its channels into."""
        return self.operator.towers

    @property
    def inner_activation(self) -> MaybeActivation:
        """The layer between the convolutions of one operator."""
        return self.intermediate_activation if self.tower_activation is None else self.tower_activation

    def validate(self) -> None:
        """Check sizes, and that each setting has an effect on this kind."""
        for name in ("kernel_size", "dilation", "depth_multiplier", "segments"):
            need_at_least(self, name, 1)
        need_at_least(self, "expansion", 2)
        if self.kernel_size % 2 == 0:
            raise ValueError(f"OperatorConfig.kernel_size: {self.kernel_size} is not allowed; an odd number")
        kernels = self.mixed_kernels
        if len(set(kernels)) < max(2, len(kernels)) or any(kernel < 3 or kernel % 2 == 0 for kernel in kernels):
            raise ValueError(
                f"OperatorConfig.mixed_kernels: {kernels!r} is not allowed; two or more different odd numbers from 3 up"
            )
        if self.kernel_size == 1:
            refuse_idle(self, ("dilation", "asymmetric"), "with kernel_size=1")
        reads = self.operator.reads
        for name, reason in _DEPENDENT.items():
            if name not in reads:
                refuse_idle(self, (name,), f"with kind={self.kind!r}: {reason}")
        if self.tower_activation == self.intermediate_activation:
            refuse_idle(self, ("tower_activation",), "where intermediate_activation is the same")
        if self.tower_activation is not None:
            refuse_idle(self, ("intermediate_activation",), f"with tower_activation={self.tower_activation!r}")
