"""Third-party networks as configs: any classifier of torchvision, any network of timm."""

from __future__ import annotations

import re
from typing import Literal

from xception.base.canonical import Config
from xception.network.config_parts import Initialisation
from xception.network.config_rules import need_at_least, refuse_idle

__all__ = ["TimmConfig", "TorchvisionConfig"]


TorchvisionName = Literal[
    "vgg16",
    "resnet18",
    "resnet50",
    "resnet152",
    "inception_v3",
    "alexnet",
    "convnext_base",
    "convnext_large",
    "convnext_small",
    "convnext_tiny",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_b5",
    "efficientnet_b6",
    "efficientnet_b7",
    "efficientnet_v2_l",
    "efficientnet_v2_m",
    "efficientnet_v2_s",
    "googlenet",
    "maxvit_t",
    "mnasnet0_5",
    "mnasnet0_75",
    "mnasnet1_0",
    "mnasnet1_3",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "regnet_x_16gf",
    "regnet_x_1_6gf",
    "regnet_x_32gf",
    "regnet_x_3_2gf",
    "regnet_x_400mf",
    "regnet_x_800mf",
    "regnet_x_8gf",
    "regnet_y_128gf",
    "regnet_y_16gf",
    "regnet_y_1_6gf",
    "regnet_y_32gf",
    "regnet_y_3_2gf",
    "regnet_y_400mf",
    "regnet_y_800mf",
    "regnet_y_8gf",
    "resnet101",
    "resnet34",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "resnext50_32x4d",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0",
    "squeezenet1_0",
    "squeezenet1_1",
    "swin_b",
    "swin_s",
    "swin_t",
    "swin_v2_b",
    "swin_v2_s",
    "swin_v2_t",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "vit_b_16",
    "vit_b_32",
    "vit_h_14",
    "vit_l_16",
    "vit_l_32",
    "wide_resnet101_2",
    "wide_resnet50_2",
]


class TorchvisionConfig(Config):
    """A classification network of torchvision, for comparisons as in the paper's tables; Inception V3 and GoogLeNet
    without auxiliary towers.

    `stem="cifar"` gives a ResNet its customary form for 32×32 images: a 3×3 first convolution of stride 1 and no
    pooling. With `initialisation="own"` initial parameters are torchvision's.
    """

    name: TorchvisionName
    """Which network."""
    num_classes: int = 1000
    """Number of classes."""
    in_channels: int = 3
    """Channels of the images."""
    stem: Literal["imagenet", "cifar"] = "imagenet"
    """A ResNet's first layers: for 224-pixel images or for 32-pixel ones."""
    initialisation: Initialisation | Literal["own"] = "he_normal_fan_out"
    """How weights are drawn at the start; own: as torchvision draws them."""

    def validate(self) -> None:
        """Check counts, and that the CIFAR stem is a ResNet's."""
        need_at_least(self, "num_classes", 1)
        need_at_least(self, "in_channels", 1)
        if not self.name.startswith("resnet"):
            refuse_idle(self, ("stem",), f"with name={self.name!r}: only ResNets have one")

    @property
    def least_input_size(self) -> int:
        """The side in pixels of the smallest images that the network can take."""
        family = re.split(r"[_\d]", self.name)[0]
        return _ONE_SIZE.get(family, _LEAST_SIZES.get(self.name, _LEAST_SIZES.get(family, 1)))

    def for_data(self, *, num_classes: int, in_channels: int, input_size: int) -> TorchvisionConfig:
        """Return this network for a data set; its image size in pixels must be one that the network can take."""
        family = re.split(r"[_\d]", self.name)[0]
        if family in _ONE_SIZE and input_size != _ONE_SIZE[family]:
            raise ValueError(
                f"input_size: {input_size} is not allowed for torchvision:{self.name}; {_ONE_SIZE[family]}, the size of"
                " its position embeddings"
            )
        least = self.least_input_size
        if input_size < least:
            raise ValueError(f"input_size: {input_size} is not allowed for torchvision:{self.name}; at least {least}")
        return self.replace(num_classes=num_classes, in_channels=in_channels)


_ONE_SIZE = {"vit": 224, "maxvit": 224}
# Measured on torchvision's networks: the smallest images for which no convolution's or pooling's output is empty.
_LEAST_SIZES = {
    "alexnet": 63,
    "convnext": 32,
    "densenet": 29,
    "googlenet": 15,
    "inception_v3": 75,
    "squeezenet1_0": 21,
    "squeezenet1_1": 17,
    "swin": 4,
    "vgg": 32,
}


class TimmConfig(Config):
    """A network of timm by its name there; needs the extra `timm`.

    `version` is timm's, on which a network and so a trial depends: `presets.get("timm:NAME")` fills in the version that
    is installed, and another one is refused when the network is built. With `initialisation="own"` initial parameters
    are timm's.
    """

    name: str
    """Which network, as timm calls it."""
    version: str
    """Version of timm."""
    num_classes: int = 1000
    """Number of classes."""
    in_channels: int = 3
    """Channels of the images."""
    initialisation: Initialisation | Literal["own"] = "own"
    """How weights are drawn at the start; own: as timm draws them."""

    def validate(self) -> None:
        """Check the name's form and the counts; that timm has such a network is checked where it is built."""
        for field in ("name", "version"):
            if not re.fullmatch(r"[a-z0-9][\w.+-]*", getattr(self, field)):
                raise ValueError(
                    f"TimmConfig.{field}: {getattr(self, field)!r} is not allowed; letters, digits, '_', '.', '-'"
                )
        need_at_least(self, "num_classes", 1)
        need_at_least(self, "in_channels", 1)

    @property
    def least_input_size(self) -> int:
        """1: how small images may be depends on the network, which `public_models.check_input_size` runs."""
        return 1

    def for_data(self, *, num_classes: int, in_channels: int, input_size: int) -> TimmConfig:
        """Return this network for a data set; `public_models.check_input_size` checks the image size."""
        return self.replace(num_classes=num_classes, in_channels=in_channels)
