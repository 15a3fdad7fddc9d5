"""A trained network as one self-contained file: weights, config, class names, normalisation and image size.

The file is safetensors, so reading it executes nothing; all but the weights is JSON in its header.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xception.base.canonical import canonical_json, from_json, from_plain, to_plain
from xception.base.files import write_atomic
from xception.data.augment import normalise
from xception.data.dataset import ChannelStatistics
from xception.network.config import ModelConfig, XceptionConfig
from xception.network.model import build
from xception.train.recipe import Recipe

__all__ = ["Deployed", "TrainedNetwork", "load_network", "save_network"]

FORMAT = "trained network of xception-ablations"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork:
    """A network in eval mode with everything needed to use it.

    `key` names the trial that trained it, with its `recipe`; both are None for a network of another origin.
    """

    model: nn.Module
    config: ModelConfig
    class_names: tuple[str, ...]
    image_size: int
    statistics: ChannelStatistics
    data: str
    key: str | None = None
    recipe: Recipe | None = None

    @torch.inference_mode()
    def probabilities(self, images: Tensor) -> Tensor:
        """Return class probabilities (N, num_classes) of uint8 images (N, C, image_size, image_size)."""
        logits: Tensor = self.model(normalise(images, self.statistics))
        return logits.softmax(dim=1)

    def preprocessing(self) -> dict[str, Any]:
        """Return, as plain values, how an image file becomes the network's input."""
        return {
            "resize": f"shorter side to {self.image_size} pixels, bilinear with antialiasing, then the centre square",
            "image_size": self.image_size,
            "channels": "RGB" if len(self.statistics.mean) == 3 else "grayscale",
            "range": "0 to 1",
            "mean": list(self.statistics.mean),
            "std": list(self.statistics.std),
        }


class Deployed(nn.Module):
    """A trained network that takes images (N, C, S, S) in 0 … 1 and returns logits (N, num_classes).

    Normalisation is included, so an exported file needs only decoded and resized images.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: TrainedNetwork) -> None:
        super().__init__()
        self.model = network.model
        statistics = torch.tensor([network.statistics.mean, network.statistics.std], dtype=torch.float32)
        self.register_buffer("mean", statistics[0].clone().view(1, -1, 1, 1))
        self.register_buffer("std", statistics[1].clone().view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Map images in 0 … 1 to logits."""
        logits: Tensor = self.model((images - self.mean) / self.std)
        return logits


def save_network(network: TrainedNetwork, path: Path) -> None:
    """Write a trained network as one safetensors file, whole or not at all.

    Raises:
        DataError: the folder cannot be written or the disk is full.
    """
    import safetensors.torch

    header = {
        "format": FORMAT,
        "version": VERSION,
        "class_names": list(network.class_names),
        "image_size": network.image_size,
        "mean": list(network.statistics.mean),
        "std": list(network.statistics.std),
        "data": network.data,
        "key": network.key,
        "recipe": None if network.recipe is None else to_plain(network.recipe),
    }
    # `config` is a separate entry, as in files that `xception.network.weights.save` writes.
    metadata = {"config": _config_text(network.config), "trained": json.dumps(header, ensure_ascii=False)}
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in network.model.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomic(path) as file:
        file.write(safetensors.torch.save(tensors, metadata))


def load_network(path: Path) -> TrainedNetwork:
    """Read a file that `save_network` wrote; the network is in eval mode, on the CPU.

    Raises:
        ValueError: the file is missing, damaged or another kind of file.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ValueError(f"network: no file {str(path)!r}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"network: {str(path)!r} is not a readable safetensors file: {error}") from None
    if "trained" not in metadata or "config" not in metadata:
        raise ValueError(f"network: {str(path)!r} holds weights alone; allowed: a file that --keep-weights wrote")
    try:
        header = json.loads(metadata["trained"])
        config = _read_config(metadata["config"])
        network = TrainedNetwork(
            model=build(config).eval(),
            config=config,
            class_names=tuple(header["class_names"]),
            image_size=int(header["image_size"]),
            statistics=ChannelStatistics(tuple(header["mean"]), tuple(header["std"])),
            data=str(header["data"]),
            key=header["key"],
            recipe=None if header["recipe"] is None else from_plain(Recipe, header["recipe"]),
        )
        network.model.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"network: {str(path)!r} is damaged or from another version: {reason}") from None
    return network


def _config_text(config: ModelConfig) -> str:
    """The config as JSON; that of another library's network includes its type, as in config files."""
    if isinstance(config, XceptionConfig):
        return canonical_json(config)
    plain = to_plain(config)
    assert isinstance(plain, dict)
    return json.dumps({"type": type(config).tag, **plain}, sort_keys=True)


def _read_config(text: str) -> ModelConfig:
    plain = json.loads(text)
    annotation: Any = ModelConfig if isinstance(plain, dict) and "type" in plain else XceptionConfig
    config: ModelConfig = from_json(annotation, text)
    return config
