"""The networks of torchvision that the paper's tables compare with, at any number of classes and input channels."""

from __future__ import annotations

from torch import nn

from xception.network.config import TorchvisionConfig
from xception.network.initialisation import global_seed, initialise

__all__ = ["build"]


def build(config: TorchvisionConfig) -> nn.Module:
    """Build a torchvision network that maps images (N, in_channels, H, W) to logits (N, num_classes)."""
    import torchvision

    # Inception V3's auxiliary tower and its own rescaling of inputs are left out; parameters are drawn below.
    options = (
        {"aux_logits": False, "transform_input": False, "init_weights": False} if config.name == "inception_v3" else {}
    )
    model: nn.Module = getattr(torchvision.models, config.name)(weights=None, num_classes=config.num_classes, **options)
    if config.stem == "cifar":
        model.conv1 = nn.Conv2d(config.in_channels, 64, 3, padding=1, bias=False)
        model.maxpool = nn.Identity()
    elif config.in_channels != 3:
        path, first = next((name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d))
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, _with_channels(first, config.in_channels))
    initialise(model, config.initialisation, seed=global_seed())
    return model


def _with_channels(first: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    """The same convolution for another number of input channels."""
    size, stride, padding = first.kernel_size[0], first.stride[0], first.padding[0]
    assert isinstance(padding, int)
    return nn.Conv2d(in_channels, first.out_channels, size, stride, padding, bias=first.bias is not None)
