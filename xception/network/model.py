"""The network: stem, entry, middle and exit flow, head, as configured.

Chollet 2017 (arXiv:1610.02357), Figure 5.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from xception.network.blocks import Chain
from xception.network.config import ModelConfig, TimmConfig, TorchvisionConfig, XceptionConfig
from xception.network.graph import network
from xception.network.initialisation import global_seed, initialise

__all__ = ["FeatureMap", "Xception", "build"]


class FeatureMap(NamedTuple):
    """A map (N, C, H, W) and its stride: how many pixels of the image one step on the map is."""

    map: Tensor
    stride: int


class Xception(nn.Module):
    """A network of the Xception family.

    Initial parameters follow `config.initialisation`, drawn from torch's global generator; training draws its own per
    seed (`xception.network.initialisation.initialise`).

    Raises:
        ValueError: the head's kernel depends on the input size and `config.input_size` is None.
    """

    def __init__(self, config: XceptionConfig) -> None:
        super().__init__()
        self.config = config
        parts = network(config)
        self.stem = Chain(parts.at("stem"))
        self.entry = Chain(parts.at("entry"))
        self.middle = Chain(parts.at("middle"))
        self.exit = Chain(parts.at("exit"))
        self.final = Chain(parts.at("final"))
        self.head = Chain(parts.at("head"))
        self._strides = _strides(config)
        initialise(self, config.initialisation, seed=global_seed())

    @classmethod
    def from_trial(cls, key: str, out: str | Path = "results/local") -> Xception:
        """Return the network of a trial that a run with `--keep-weights` saved in `<out>/networks`, in eval mode.

        `key` is the trial's key or its beginning. `xception.train.trained_network.load_network` also returns class
        names and normalisation.

        Raises:
            ValueError: there is no such network, or it is not an Xception.
        """
        from xception.network.weights import find_network, load_xception

        return load_xception(find_network(key, [Path(out)]))

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) to logits (N, num_classes)."""
        x = self.exit(self.middle(self.entry(self.stem(x))))
        logits: Tensor = self.head(self.final(x))
        return logits

    def forward_features(self, x: Tensor) -> dict[str, FeatureMap]:
        """Map images (N, in_channels, H, W) to named maps with their strides.

        The names are `stem`, `entry.0` and so on for each entry module, `middle`, `exit.module` and `final`, the head's
        input. Maps after modules are sums, before the activation of the next module.
        """
        features: dict[str, FeatureMap] = {}

        def keep(name: str, value: Tensor) -> Tensor:
            features[name] = FeatureMap(value, self._strides[name])
            return value

        x = keep("stem", self.stem(x))
        for name, module in self.entry.named_children():
            x = keep(f"entry.{name}", module(x))
        if len(self.middle):
            x = keep("middle", self.middle(x))
        for name, module in self.exit.named_children():
            x = module(x)
            if name == "module":
                keep("exit.module", x)
        keep("final", self.final(x))
        return features


def build(config: ModelConfig) -> nn.Module:
    """Build the network that a model config describes: ours, torchvision's or timm's."""
    if isinstance(config, TorchvisionConfig | TimmConfig):
        from xception.network import public_models

        if isinstance(config, TorchvisionConfig):
            return public_models.build_torchvision(config)
        return public_models.build_timm(config)
    return Xception(config)


def _strides(config: XceptionConfig) -> dict[str, int]:
    """The stride of each named feature map."""
    stride = math.prod(stride for _, stride, _ in config.stem.convolutions())
    out = {"stem": stride}
    for module in config.modules():
        stride *= module.stride
        out["middle" if module.name.startswith("middle") else module.name] = stride
    return out | {"final": stride}
