"""Every architectural choice of the Xception family as a frozen, validated config.

Chollet 2017, *Xception: Deep Learning with Depthwise Separable Convolutions* (arXiv:1610.02357). The defaults are the
paper's network, so `XceptionConfig()` is the preset `paper` and every other config states its differences from the
paper. One rule holds throughout: a field that would have no effect given the others must stay at its default.
"""

from __future__ import annotations

from xception.network.architecture import Architecture, ModuleShape
from xception.network.config_checks import check
from xception.network.config_parts import (
    FIXED_MAP_POOLS,
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
from xception.network.operator_config import OperatorConfig
from xception.network.public_config import TimmConfig, TorchvisionConfig

__all__ = [
    "Activation",
    "AttentionConfig",
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
    "TimmConfig",
    "TorchvisionConfig",
    "XceptionConfig",
]


class XceptionConfig(Architecture):
    """A network of the Xception family; the default is the paper's, for 299×299 images and 1000 classes.

    `width_multiplier` scales every width of stem and flows to the nearest multiple of `channel_divisor` (1 unless
    segments or norm groups must divide the channels), at least one multiple. `padding` is that of strided layers on
    even maps: `symmetric` pads both sides equally, `same` (Keras) bottom and right only. `input_size`, in pixels, is
    given only where the head's kernel depends on it; `for_data` fills it in. `pool_size` is the kernel of pooling
    layers, in pixels.

    Strides beyond `output_stride` become dilation of the following layers, so that the last map is smaller than the
    image by that factor (Chen et al. 2018, arXiv:1802.02611).
    """

    def validate(self) -> None:
        """Check the rules between parts."""
        check(self)

    def for_data(self, *, num_classes: int, in_channels: int, input_size: int) -> XceptionConfig:
        """Return this network for a data set: its classes, its channels and, where the head needs it, its image size in
        pixels.

        Raises:
            ValueError: the images are too small for the network, or leave nothing for its head to pool.
        """
        self.last_map_size(input_size)
        needed = input_size if self.head.pool in FIXED_MAP_POOLS else None
        return self.replace(num_classes=num_classes, in_channels=in_channels, input_size=needed)


ModelConfig = XceptionConfig | TorchvisionConfig | TimmConfig
