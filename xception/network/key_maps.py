"""Names of parameters in the public Xceptions, from ours.

Each layout is a function from one of our state-dict names to the peer's, or None where the peer has no such parameter.
timm: `legacy_xception`, the aligned `xception41`, `xception65`, `xception71`, and `mobilenetv1_100`. Keras:
`keras.applications.Xception`, whose layers are named `block2_sepconv1` and so on; the unnamed shortcuts are counted as
`residual1`, `residual2`, ... here.
"""

from __future__ import annotations

import re

from xception.network.config import XceptionConfig

__all__ = [
    "KERAS_WEIGHTS",
    "keras_layers",
    "keras_name",
    "timm_aligned_name",
    "timm_legacy_name",
    "timm_mobilenet_name",
]

# Position of a weight in its Keras layer, by our name.
KERAS_WEIGHTS = {
    "convolution": {"weight": 0},
    "depthwise": {"weight": 0},
    "pointwise": {"weight": 1},
    "norm": {"weight": 0, "bias": 1, "running_mean": 2, "running_var": 3},
    "classifier": {"weight": 0, "bias": 1},
}


def timm_legacy_name(name: str, config: XceptionConfig) -> str | None:
    """Our name in timm's `legacy_xception`."""
    if match := re.fullmatch(r"stem\.(\d)\.(convolution|norm)\.(\w+)", name):
        return f"{'conv' if match[2] == 'convolution' else 'bn'}{int(match[1]) + 1}.{match[3]}"
    if match := re.fullmatch(r"exit\.tail\.(\d)\.(.+)", name):
        inner = {"convolution.depthwise": "conv{}.conv1", "convolution.pointwise": "conv{}.pointwise", "norm": "bn{}"}
        part, _, leaf = match[2].rpartition(".")
        return f"{inner[part].format(int(match[1]) + 3)}.{leaf}" if part in inner else None
    if match := re.fullmatch(r"head\.classifier\.(\w+)", name):
        return f"fc.{match[1]}"
    index, rest = _block(name, config)
    if index is None:
        return None
    if match := re.fullmatch(r"shortcut\.(convolution|norm)\.(\w+)", rest):
        return f"block{index + 1}.{'skip' if match[1] == 'convolution' else 'skipbn'}.{match[2]}"
    if match := re.fullmatch(r"branch\.(\d)\.(convolution\.depthwise|convolution\.pointwise|norm)\.(\w+)", rest):
        position = 3 * int(match[1]) + (1 if index else 0)  # the first block has no first ReLU
        inner = {
            "convolution.depthwise": f"{position}.conv1",
            "convolution.pointwise": f"{position}.pointwise",
            "norm": f"{position + 1}",
        }
        return f"block{index + 1}.rep.{inner[match[2]]}.{match[3]}"
    return None


def timm_aligned_name(name: str, config: XceptionConfig) -> str | None:
    """Our name in timm's `xception41`, `xception65` and `xception71`, or in its `xception41p` and `xception65p`."""
    preactivated = config.norm.placement == "before_activation"
    if preactivated and (match := re.fullmatch(r"stem\.(\d)\.(convolution|norm)\.(\w+)", name)):
        # theirs normalise after the first convolution, and the second is bare; ours normalise before the second
        if match[2] == "norm":
            return f"stem.{int(match[1]) - 1}.bn.{match[3]}"
        bare = int(match[1]) == len(config.stem.widths) - 1
        return f"stem.{match[1]}.{'' if bare else 'conv.'}{match[3]}"
    if match := re.fullmatch(r"stem\.(\d)\.(convolution|norm)\.(\w+)", name):
        return f"stem.{match[1]}.{'conv' if match[2] == 'convolution' else 'bn'}.{match[3]}"
    if match := re.fullmatch(r"head\.classifier\.(\w+)", name):
        return f"head.fc.{match[1]}"
    index, rest = _block(name, config)
    if match := re.fullmatch(r"exit\.tail\.(.+)", name):
        index, rest = len(config.modules()), f"branch.{match[1]}"
    if index is None:
        return None
    if preactivated:
        return _preactivated_block_name(index, rest)
    if match := re.fullmatch(r"shortcut\.(convolution|norm)\.(\w+)", rest):
        return f"blocks.{index}.shortcut.{'conv' if match[1] == 'convolution' else 'bn'}.{match[2]}"
    inner = {
        "convolution.depthwise": "conv_dw",
        "convolution.inner_norm": "bn_dw",
        "convolution.pointwise": "conv_pw",
        "norm": "bn_pw",
    }
    if (match := re.fullmatch(r"branch\.(\d)\.(.+)\.(\w+)", rest)) and match[2] in inner:
        return f"blocks.{index}.stack.conv{int(match[1]) + 1}.{inner[match[2]]}.{match[3]}"
    return None


def _preactivated_block_name(index: int, rest: str) -> str | None:
    if match := re.fullmatch(r"(?:before|branch\.0)\.norm\.(\w+)", rest):
        return f"blocks.{index}.norm.{match[1]}"
    if match := re.fullmatch(r"shortcut\.convolution\.(\w+)", rest):
        return f"blocks.{index}.shortcut.{match[1]}"
    inner = {"convolution.depthwise": "conv_dw", "convolution.pointwise": "conv_pw", "norm": "norm"}
    if (match := re.fullmatch(r"branch\.(\d)\.(.+)\.(\w+)", rest)) and match[2] in inner:
        return f"blocks.{index}.stack.conv{int(match[1]) + 1}.{inner[match[2]]}.{match[3]}"
    return None


def timm_mobilenet_name(name: str, config: XceptionConfig) -> str | None:
    """Our name in timm's `mobilenetv1_100`, whose stages each begin with a block of stride 2."""
    if match := re.fullmatch(r"stem\.0\.(convolution|norm)\.(\w+)", name):
        return f"{'conv_stem' if match[1] == 'convolution' else 'bn1'}.{match[2]}"
    if match := re.fullmatch(r"head\.classifier\.(\w+)", name):
        return f"classifier.{match[1]}"
    index, rest = _block(name, config)
    inner = {
        "convolution.depthwise": "conv_dw",
        "convolution.inner_norm": "bn1",
        "convolution.pointwise": "conv_pw",
        "norm": "bn2",
    }
    match = re.fullmatch(r"branch\.0\.(.+)\.(\w+)", rest)
    if index is None or match is None or match[1] not in inner:
        return None
    firsts = [i for i, module in enumerate(config.modules()) if i == 0 or module.stride > 1]
    stage = sum(first <= index for first in firsts) - 1
    return f"blocks.{stage}.{index - firsts[stage]}.{inner[match[1]]}.{match[2]}"


def keras_name(name: str, config: XceptionConfig) -> str | None:
    """Our name as `LAYER/POSITION` in `keras.applications.Xception`, such as `block2_sepconv1/0`."""
    part, _, leaf = name.rpartition(".")
    role = part.rpartition(".")[2]
    position = KERAS_WEIGHTS.get(role, {}).get(leaf)
    layer = _keras_layer(part, role, config)
    return None if position is None or layer is None else f"{layer}/{position}"


def keras_layers(config: XceptionConfig) -> dict[str, list[str]]:
    """Names of Keras's layers by class, in the order in which Keras counts layers of a class."""
    out: dict[str, list[str]] = {
        "conv2d": [],
        "batch_normalization": [],
        "separable_conv2d": [],
        "dense": ["predictions"],
    }
    out["conv2d"] += [f"block1_conv{i + 1}" for i in range(len(config.stem.widths))]
    out["batch_normalization"] += [f"{name}_bn" for name in out["conv2d"]]
    num_residuals = 0
    for i, module in enumerate(config.modules()):
        names = [f"block{i + 2}_sepconv{j + 1}" for j in range(len(module.widths))]
        out["separable_conv2d"] += names
        out["batch_normalization"] += [f"{name}_bn" for name in names]
        if module.shortcut == "projection":
            num_residuals += 1
            out["conv2d"].append(f"residual{num_residuals}")
            out["batch_normalization"].append(f"residual{num_residuals}_bn")
    tail = config.exit.tail_widths if config.exit is not None else ()
    names = [f"block{len(config.modules()) + 2}_sepconv{j + 1}" for j in range(len(tail))]
    out["separable_conv2d"] += names
    out["batch_normalization"] += [f"{name}_bn" for name in names]
    return out


def _keras_layer(part: str, role: str, config: XceptionConfig) -> str | None:
    suffix = "_bn" if role == "norm" else ""
    if match := re.fullmatch(r"stem\.(\d)\.(convolution|norm)", part):
        return f"block1_conv{int(match[1]) + 1}{suffix}"
    if part == "head.classifier":
        return "predictions"
    index, rest = _block(part, config)
    if match := re.fullmatch(r"exit\.tail\.(.+)", part):
        index, rest = len(config.modules()), f"branch.{match[1]}"
    if index is None:
        return None
    if re.fullmatch(r"shortcut\.(convolution|norm)", rest):
        number = sum(module.shortcut == "projection" for module in config.modules()[: index + 1])
        return f"residual{number}{suffix}"
    if match := re.fullmatch(r"branch\.(\d)\.(convolution\.depthwise|convolution\.pointwise|norm)", rest):
        return f"block{index + 2}_sepconv{int(match[1]) + 1}{suffix}"
    return None


def _block(name: str, config: XceptionConfig) -> tuple[int | None, str]:
    """The number of the module that a name belongs to, counted from 0 over all flows, and the rest of the name."""
    for i, module in enumerate(config.modules()):
        if name.startswith(module.name + "."):
            return i, name[len(module.name) + 1 :]
    return None, ""
