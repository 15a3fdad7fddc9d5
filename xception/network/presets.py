"""Configs with names: the paper's network, its public implementations, the aligned Xceptions, and sizes for 32×32
images.

Sources: Chollet 2017 (arXiv:1610.02357); keras.applications.Xception; timm's legacy_xception; the aligned Xceptions of
DeepLabv3+ (Chen et al. 2018, arXiv:1802.02611) as in timm's xception41, xception65 and xception71.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args, get_type_hints

from xception.base.suggestions import did_you_mean
from xception.network.config import (
    EntryFlowConfig,
    ExitFlowConfig,
    HeadConfig,
    MiddleFlowConfig,
    ModelConfig,
    NormConfig,
    StemConfig,
    TorchvisionConfig,
    XceptionConfig,
)

__all__ = ["get", "input_size", "names", "torchvision_names"]

PREFIX = "torchvision:"


def names() -> tuple[str, ...]:
    """The names of the presets that are ours; `get` knows those of `torchvision_names` as well."""
    return tuple(_PRESETS)


def torchvision_names() -> tuple[str, ...]:
    """The names of torchvision's networks, such as `torchvision:vgg16`."""
    return tuple(PREFIX + name for name in get_args(get_type_hints(TorchvisionConfig)["name"]))


def get(name: str) -> ModelConfig:
    """Return the config of a preset.

    Raises:
        ValueError: there is no such preset.
    """
    if name in _PRESETS:
        return _PRESETS[name]()
    if name in torchvision_names():
        return TorchvisionConfig(name=name.removeprefix(PREFIX))  # type: ignore[arg-type]
    known = (*names(), *torchvision_names())
    raise ValueError(f"preset: {name!r} is not allowed; allowed: {', '.join(known)}{did_you_mean(name, known)}")


def input_size(name: str) -> int:
    """The side, in pixels, of the square images that a preset is meant for.

    Raises:
        ValueError: there is no such preset.
    """
    if isinstance(get(name), TorchvisionConfig):
        return 299 if name == f"{PREFIX}inception_v3" else 224
    return 32 if name.startswith("cifar_") else 299


def _keras() -> XceptionConfig:
    return XceptionConfig(
        padding="same",
        norm=NormConfig(momentum=0.01),
        head=HeadConfig(dropout=0.0),
        initialisation="glorot_uniform",
    )


def _timm_legacy() -> XceptionConfig:
    return XceptionConfig(
        norm=NormConfig(epsilon=1e-5),
        head=HeadConfig(dropout=0.0),
        initialisation="he_normal_fan_out",
    )


def _aligned(entry: EntryFlowConfig, num_middle: int) -> XceptionConfig:
    return XceptionConfig(
        stem=StemConfig(kind="aligned"),
        entry=entry,
        middle=MiddleFlowConfig(modules=num_middle),
        exit=ExitFlowConfig(convolutions=3, tail_widths=(1536, 1536, 2048), tail_intermediate_activation="relu"),
        norm=NormConfig(placement="each_convolution"),
        downsampling="strided",
        head=HeadConfig(dropout=0.0),
    )


def _cifar(stem: int, entry: tuple[int, int], num_middle: int, exit: int, tail: tuple[int, ...]) -> XceptionConfig:
    """A network for 32×32 images: full resolution in the stem, then one stride of 2 per entry module and one in the
    exit flow.
    """
    return XceptionConfig(
        num_classes=10,
        stem=StemConfig(kind="cifar", widths=(stem,)),
        entry=EntryFlowConfig(widths=entry, strides=(2, 2)),
        middle=MiddleFlowConfig(modules=num_middle),
        exit=ExitFlowConfig(width=exit, tail_widths=tail),
        head=HeadConfig(dropout=0.0),
    )


_PRESETS: dict[str, Callable[[], XceptionConfig]] = {
    "paper": XceptionConfig,
    "keras": _keras,
    "timm_legacy": _timm_legacy,
    "aligned41": lambda: _aligned(EntryFlowConfig(convolutions=3), 8),
    "aligned65": lambda: _aligned(EntryFlowConfig(convolutions=3), 16),
    "aligned71": lambda: _aligned(
        EntryFlowConfig(widths=(128, 256, 256, 728, 728), strides=(2, 1, 2, 1, 2), convolutions=3), 16
    ),
    "cifar_tiny": lambda: _cifar(16, (32, 64), 4, 128, (192,)),
    "cifar_small": lambda: _cifar(32, (64, 96), 4, 256, (320,)),
    "cifar_base": lambda: _cifar(64, (128, 256), 8, 768, (1024,)),
    "cifar_large": lambda: _cifar(128, (256, 704), 8, 1024, (1536, 2048)),
}
