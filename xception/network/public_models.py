"""Third-party networks at any number of classes and input channels: torchvision's and timm's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from xception.network.config import TimmConfig, TorchvisionConfig
from xception.network.initialisation import global_seed, initialise

__all__ = ["build_timm", "build_torchvision", "check_input_size"]


def build_torchvision(config: TorchvisionConfig) -> nn.Module:
    """Build a torchvision network that maps images (N, in_channels, H, W) to logits (N, num_classes)."""
    return _initialised(config, _torchvision)


def build_timm(config: TimmConfig) -> nn.Module:
    """Build a timm network that maps images (N, in_channels, H, W) to logits (N, num_classes).

    Raises:
        ValueError: timm is not installed, has another version than the config's, or has no such network.
    """
    return _initialised(config, _timm)


def check_input_size(config: TimmConfig, input_size: int) -> None:
    """Check that a timm network accepts square images of `input_size` pixels, by a pass on the meta device.

    Raises:
        ValueError: it does not; the message names the smallest size that it accepts.
    """
    model = build_timm(config).eval().to("meta")

    @torch.no_grad()
    def takes(size: int) -> bool:
        try:
            model(torch.empty(1, config.in_channels, size, size, device="meta"))
        except (RuntimeError, AssertionError, ValueError):
            return False
        return True

    if takes(input_size):
        return
    published = getattr(model, "default_cfg", {}).get("input_size", (3, 224, 224))[-1]
    low, high = input_size, max(published, input_size)
    if not takes(high):
        raise ValueError(f"input_size: {input_size} is not allowed for timm:{config.name}; {published}, its own size")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if takes(middle) else (middle, high)
    raise ValueError(f"input_size: {input_size} is not allowed for timm:{config.name}; at least {high}")


class OwnInitialValues:
    """Draws a network's initial values as its own library does."""

    def __init__(self, make: Callable[[Any], nn.Module], config: TorchvisionConfig | TimmConfig) -> None:
        self.make, self.config = make, config

    def __call__(self, seed: int) -> dict[str, torch.Tensor]:
        """Return parameters and buffers drawn from a seed, torch's global generator left as it was."""
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.manual_seed(seed)
            return self.make(self.config).state_dict()


def _initialised(config: Any, make: Callable[[Any], nn.Module]) -> nn.Module:
    model = make(config)
    model.own_initial_values = OwnInitialValues(make, config)  # type: ignore[assignment]
    initialise(model, config.initialisation, seed=global_seed())
    return model


def _torchvision(config: TorchvisionConfig) -> nn.Module:
    import torchvision

    # Without auxiliary towers and a network's own rescaling of inputs.
    options: dict[str, Any] = (
        {"aux_logits": False, "transform_input": False, "init_weights": config.initialisation == "own"}
        if config.name in ("inception_v3", "googlenet")
        else {}
    )
    model: nn.Module = getattr(torchvision.models, config.name)(weights=None, num_classes=config.num_classes, **options)
    if config.stem == "cifar":
        model.conv1 = nn.Conv2d(config.in_channels, 64, 3, padding=1, bias=False)
        model.maxpool = nn.Identity()
    elif config.in_channels != 3:
        path, first = next((name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d))
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, _with_channels(first, config.in_channels))
    return model


def _timm(config: TimmConfig) -> nn.Module:
    try:
        import timm
    except ImportError:
        raise ValueError(f"model: timm:{config.name} needs the package timm; it comes with the extra 'timm'") from None
    if timm.__version__ != config.version:
        raise ValueError(
            f"TimmConfig.version: {config.version!r} is not allowed; {timm.__version__!r}, which is installed"
        )
    if not timm.is_model(config.name):
        raise ValueError(f"TimmConfig.name: {config.name!r} is not allowed; a network of timm {timm.__version__}")
    model: nn.Module = timm.create_model(
        config.name, pretrained=False, num_classes=config.num_classes, in_chans=config.in_channels
    )
    return model


def _with_channels(first: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    """The same convolution for another number of input channels."""
    size, stride, padding = first.kernel_size, first.stride, first.padding
    return nn.Conv2d(in_channels, first.out_channels, size, stride, padding, bias=first.bias is not None)  # type: ignore[arg-type]
