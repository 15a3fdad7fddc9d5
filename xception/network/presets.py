"""Configs with names: the paper's network, its public implementations, the aligned Xceptions, and sizes for 32×32
images.

Sources: Chollet 2017 (arXiv:1610.02357); keras.applications.Xception; timm's legacy_xception; the aligned Xceptions of
DeepLabv3+ (Chen et al. 2018, arXiv:1802.02611) as in timm's xception41, xception65 and xception71, and with
pre-activation as in its xception41p and xception65p; MobileNetV1 (Howard et al. 2017, arXiv:1704.04861) as in its
mobilenetv1_100.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

from xception.base.suggestions import did_you_mean
from xception.network.config import (
    EntryFlowConfig,
    ExitFlowConfig,
    HeadConfig,
    MiddleFlowConfig,
    ModelConfig,
    NormConfig,
    OperatorConfig,
    ResidualConfig,
    StemConfig,
    TimmConfig,
    TorchvisionConfig,
    XceptionConfig,
)

__all__ = ["get", "input_size", "names", "torchvision_names"]

PREFIX, TIMM = "torchvision:", "timm:"
# Networks of convolutions, which our initialisation schemes suit; the others use torchvision's own.
_DRAWN_BY_US = ("vgg16", "resnet18", "resnet50", "resnet152", "inception_v3")


def names() -> tuple[str, ...]:
    """The names of the presets that are ours; `get` knows those of `torchvision_names` as well."""
    return tuple(_PRESETS)


def torchvision_names() -> tuple[str, ...]:
    """The names of torchvision's networks, such as `torchvision:vgg16`."""
    return tuple(PREFIX + name for name in get_args(get_type_hints(TorchvisionConfig)["name"]))


def get(name: str) -> ModelConfig:
    """Return the config of a preset: one of ours, `torchvision:NAME` or `timm:NAME`.

    Raises:
        ValueError: there is no such preset, or timm is not installed.
    """
    if name in _PRESETS:
        return _ours(name)
    if name in torchvision_names():
        theirs: Any = name.removeprefix(PREFIX)
        return TorchvisionConfig(name=theirs, initialisation="he_normal_fan_out" if theirs in _DRAWN_BY_US else "own")
    if name.startswith(TIMM):
        return TimmConfig(name=name.removeprefix(TIMM), version=_timm_version(name))
    if name.startswith(PREFIX):
        allowed = f"a classifier of torchvision, such as {PREFIX}resnet18"
    else:
        allowed = f"allowed: {', '.join(names())}, torchvision:NAME such as torchvision:vgg16, timm:NAME"
    near = did_you_mean(name, (*names(), *torchvision_names()))
    raise ValueError(f"preset: {name!r} is not allowed; {allowed}{near}")


@functools.cache
def _ours(name: str) -> ModelConfig:
    return _PRESETS[name]()


def _timm_version(name: str) -> str:
    from importlib import metadata  # only here, since it imports the library for e-mail

    try:
        return metadata.version("timm")
    except metadata.PackageNotFoundError:
        raise ValueError(f"preset: {name!r} needs the package timm; it comes with the extra 'timm'") from None


def input_size(name: str) -> int:
    """The side, in pixels, of the square images that a preset is meant for.

    Raises:
        ValueError: there is no such preset.
    """
    config = get(name)
    if isinstance(config, TimmConfig):
        return _timm_input_size(config)
    if isinstance(config, TorchvisionConfig):
        return 299 if config.name == "inception_v3" else 224
    return 32 if name.startswith("cifar_") else 224 if name == "mobilenetv1" else 299


def _timm_input_size(config: TimmConfig) -> int:
    import timm

    if not timm.is_model(config.name):
        raise ValueError(f"preset: '{TIMM}{config.name}' is not allowed; a network of timm {config.version}")
    published = timm.models.get_pretrained_cfg(config.name)
    return int(published.input_size[-1]) if published is not None and published.input_size else 224


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


def _preactivated(num_middle: int, epsilon: float) -> XceptionConfig:
    """An aligned Xception with pre-activation: shortcuts see the activated input, nothing normalises the last map."""
    aligned = _aligned(EntryFlowConfig(convolutions=3), num_middle)
    assert aligned.exit is not None
    return aligned.replace(
        exit=aligned.exit.replace(tail_intermediate_activation=None),
        norm=NormConfig(placement="before_activation", last=False, epsilon=epsilon),
        residual=ResidualConfig(tap="activated"),
    )


def _mobilenet() -> XceptionConfig:
    """MobileNetV1 at width 1: separable convolutions in a row, a norm and a ReLU6 after each of their two parts."""
    widths = (64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024)
    return XceptionConfig(
        stem=StemConfig(kind="aligned", widths=(32,)),
        entry=EntryFlowConfig(widths=widths, strides=(1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1), convolutions=1),
        middle=MiddleFlowConfig(modules=0),
        exit=None,
        operator=OperatorConfig(intermediate_activation="relu6"),
        activation="relu6",
        norm=NormConfig(placement="each_convolution", epsilon=1e-5),
        residual=ResidualConfig(kind="none"),
        downsampling="strided",
        head=HeadConfig(dropout=0.0),
        initialisation="he_normal_fan_out",
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
    "aligned41p": lambda: _preactivated(8, 1e-5),
    "aligned65p": lambda: _preactivated(16, 1e-3),
    "mobilenetv1": _mobilenet,
    "cifar_tiny": lambda: _cifar(16, (32, 64), 4, 128, (192,)),
    "cifar_small": lambda: _cifar(32, (64, 96), 4, 256, (320,)),
    "cifar_base": lambda: _cifar(64, (128, 256), 8, 768, (1024,)),
    "cifar_large": lambda: _cifar(128, (256, 704), 8, 1024, (1536, 2048)),
}
