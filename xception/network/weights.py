"""Weights in and out of files: strict about names and shapes; reading never executes code.

`.safetensors` and `.pth` files may hold our names, timm's `legacy_xception`, aligned Xceptions or `mobilenetv1_100`;
`.h5` and `.weights.h5` those of `keras.applications.Xception`. Key maps are in `xception.network.key_maps`, the layouts
of foreign files in `xception.network.foreign_keys`; `xception.network.weight_files` reads the files.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from xception.base.canonical import canonical_json, from_json
from xception.network import presets
from xception.network.config import XceptionConfig
from xception.network.foreign_keys import adapted_input, recognised, with_positions
from xception.network.key_maps import keras_name, timm_aligned_name, timm_legacy_name, timm_mobilenet_name
from xception.network.model import Xception
from xception.network.transfer import head_prefix
from xception.network.weight_files import HUB_NAMES, first_line, read_tensors

__all__ = [
    "HUB_NAMES",
    "Loaded",
    "convert",
    "find_network",
    "load_pretrained",
    "load_xception",
    "read",
    "save",
    "to_timm",
]

# Presets that are networks of timm: their names there, and their tensors.
_IN_TIMM = {
    "timm_legacy": ("legacy_xception", timm_legacy_name),
    "aligned41": ("xception41", timm_aligned_name),
    "aligned65": ("xception65", timm_aligned_name),
    "aligned71": ("xception71", timm_aligned_name),
    "aligned41p": ("xception41p", timm_aligned_name),
    "aligned65p": ("xception65p", timm_aligned_name),
    "mobilenetv1": ("mobilenetv1_100", timm_mobilenet_name),
}
FOLDER = "networks"  # below the folder of results: networks saved by --keep-weights
KEY_LENGTH = 64


@dataclass(frozen=True)
class Loaded:
    """What was done to load weights: how many tensors came, in whose layout, by which rules, and what was kept."""

    num_tensors: int
    layout: str
    rules: tuple[str, ...]

    def __str__(self) -> str:
        """One line."""
        return "; ".join((f"{self.num_tensors} tensors in the layout of {self.layout}", *self.rules))


def load_pretrained(
    model: nn.Module,
    source: str | Path,
    *,
    replace_head: bool = False,
    adapt_input: bool = False,
    nested: str | None = None,
) -> Loaded:
    """Copy weights from a local file, or from timm's hub by name, into a network; return a report.

    Every parameter and running statistic must be in the source and the source may hold nothing else. With
    `replace_head` the network keeps its own head and the source's is ignored. With `adapt_input` the first
    convolution's kernel is summed or repeated for another number of input channels. `nested` names the part of a
    training script's file, where it holds several.

    Raises:
        ValueError: the file is missing, of another kind, damaged or a pickle that does more than hold tensors; a
            tensor is missing, unexpected, of another shape or not finite (it is named); the hub cannot be reached.
    """
    weights, rules = read_tensors(source, model, nested)
    wanted = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    mapped, layout, more = _converted(weights, model, replace_head=replace_head, adapt_input=adapt_input)
    with torch.no_grad():
        for name, tensor in mapped.items():
            wanted[name].copy_(tensor)
    return Loaded(len(mapped), layout, (*rules, *more))


def save(model: nn.Module, path: str | Path) -> None:
    """Write a network's weights to a `.safetensors` file, with our config in its metadata.

    Raises:
        ValueError: the path has another suffix.
    """
    from safetensors.torch import save_file

    if Path(path).suffix != ".safetensors":
        raise ValueError(f"path: {str(path)!r} is not allowed; a name that ends in .safetensors")
    metadata = {"config": canonical_json(model.config)} if isinstance(model, Xception) else {}
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in model.state_dict().items()}
    save_file(tensors, path, metadata=metadata)


def read(source: str | Path, model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a file or of timm's hub under their original names; Keras's as `LAYER/POSITION`.

    Raises:
        ValueError: see `load_pretrained`.
    """
    return read_tensors(source, model, None)[0]


def convert(weights: Mapping[str, Tensor], model: nn.Module, *, replace_head: bool = False) -> dict[str, Tensor]:
    """Return the weights under our names and in our shapes, exactly those that the network needs.

    Raises:
        ValueError: a tensor is missing, unexpected, of another shape or not finite; it is named.
    """
    return _converted(weights, model, replace_head=replace_head, adapt_input=False)[0]


def _converted(
    weights: Mapping[str, Tensor], model: nn.Module, *, replace_head: bool, adapt_input: bool
) -> tuple[dict[str, Tensor], str, list[str]]:
    """The weights under our names, the layout that they came in, and the rules used."""
    weights, rules = recognised(weights)
    layout, rename = _layout(weights, model)
    prefix = head_prefix(model)
    wanted = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    theirs = {name: rename(name) for name in wanted}
    heads = {other for name, other in theirs.items() if name.startswith(prefix)}
    have = {name for name in weights if not name.endswith("num_batches_tracked")}
    if replace_head:
        stem_of = {re.sub(r"[./][^./]*$", "", other) for other in heads if other}
        have = {
            name for name in have if re.sub(r"[./][^./]*$", "", name) not in stem_of and not name.startswith(prefix)
        }
        theirs = {name: other for name, other in theirs.items() if not name.startswith(prefix)}
        rules.append("the network's own head kept")
    missing = sorted(other or name for name, other in theirs.items() if other not in have)
    if missing:
        raise ValueError(f"weights: {_listed(missing)} missing in the file{_head_hint(missing, heads)}")
    unexpected = sorted(have - set(theirs.values()))
    if unexpected:
        raise ValueError(f"weights: {_listed(unexpected)} unexpected in the file; this network has no such tensor")
    out: dict[str, Tensor] = {}
    for name, other in theirs.items():
        assert other is not None
        tensor = _oriented(weights[other], wanted[name], keras="/" in other)
        pointwise = with_positions(tensor, wanted[name])
        if pointwise is not None:
            tensor, rule = pointwise, "2-D pointwise kernels given two dimensions of 1"
            rules += [rule] if rule not in rules else []
        if tensor.shape != wanted[name].shape and adapt_input and name == next(iter(wanted)):
            kernel = adapted_input(tensor, wanted[name])
            if kernel is not None:
                done = "summed" if wanted[name].shape[1] == 1 else "repeated"
                rules.append(f"{other} {done} from {tensor.shape[1]} to {wanted[name].shape[1]} input channels")
                tensor = kernel
        if tensor.shape != wanted[name].shape:
            hint = _head_hint([other], heads)
            if not adapt_input and name == next(iter(wanted)) and adapted_input(tensor, wanted[name]) is not None:
                hint = "; adapt_input=True sums or repeats the kernel of the first convolution"
            raise ValueError(
                f"weights: {other} is {_size(tensor)} in the file and {_size(wanted[name])} ({name}) in the"
                f" network{hint}"
            )
        if not tensor.isfinite().all():
            raise ValueError(f"weights: {other} holds values that are not finite")
        out[name] = tensor
    return out, layout, rules


def load_xception(path: Path) -> Xception:
    """Return the Xception in a `.safetensors` file that holds its config as well, in eval mode.

    Raises:
        ValueError: the file is missing, damaged, without a config, or holds another kind of network.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("config")
    except (SafetensorError, OSError) as error:
        raise ValueError(f"weights: {str(path)!r} is not a readable safetensors file: {first_line(error)}") from None
    if text is None:
        raise ValueError(f"weights: {str(path)!r} holds no config; a file that `save` or --keep-weights wrote does")
    try:
        model = Xception(from_json(XceptionConfig, text))
    except ValueError as error:
        raise ValueError(f"weights: {str(path)!r} holds no Xception: {error}") from None
    load_pretrained(model, path)
    return model.eval()


def to_timm(path: str | Path) -> dict[str, Tensor]:
    """Return the weights in a `.safetensors` file of this project under the names of the same network in timm.

    `timm.create_model(NAME, num_classes=N).load_state_dict(to_timm(FILE))` loads them.

    Raises:
        ValueError: the file cannot be read, or timm has no such network.
    """
    model = load_xception(Path(path))
    config = model.config
    for preset, (name, rename) in _IN_TIMM.items():
        theirs = presets.get(preset)
        assert isinstance(theirs, XceptionConfig)
        size = {"num_classes": config.num_classes, "in_channels": config.in_channels, "input_size": config.input_size}
        if config == theirs.replace(**size):
            out = {rename(ours, config): tensor for ours, tensor in model.state_dict().items()}
            assert None not in out, f"{name} lacks a tensor of {preset}"
            return {other: tensor for other, tensor in out.items() if other is not None}
    known = ", ".join(f"{name} ({preset})" for preset, (name, _) in _IN_TIMM.items())
    raise ValueError(f"weights: {str(path)!r} holds a network that timm does not have; allowed: {known}")


def find_network(key: str, folders: Iterable[Path]) -> Path:
    """Return the file of a trial's network in the folder `networks` below one of the folders.

    `key` is a trial's key or its beginning.

    Raises:
        ValueError: there is no such file, or several keys begin so.
    """
    places = list(dict.fromkeys(folders))
    if not key or any(c not in "0123456789abcdef" for c in key) or len(key) > KEY_LENGTH:
        raise ValueError(f"--trial: {key!r} is not allowed; a trial's key or its beginning, in hexadecimal digits")
    found = {path.stem: path for place in places for path in sorted((place / FOLDER).glob(f"{key}*.safetensors"))}
    if len(found) > 1:
        raise ValueError(f"--trial: {key!r} begins {len(found)} keys; give more digits: {', '.join(sorted(found)[:3])}")
    if not found:
        where = " or ".join(str(place / FOLDER) for place in places)
        raise ValueError(f"--trial: no network of {key[:12]} in {where}; run the study again with --keep-weights")
    return next(iter(found.values()))


def _layout(weights: Mapping[str, Tensor], model: nn.Module) -> tuple[str, Callable[[str], str | None]]:
    """The layout of the weights, known by names that no other has, and the function from our names to its."""
    if isinstance(model, Xception):
        config = model.config
        for layout, marks, rename in (
            ("timm's legacy_xception", ("block1.", "conv1.", "fc."), timm_legacy_name),
            ("timm's mobilenetv1_100", ("conv_stem.",), timm_mobilenet_name),
            ("timm's aligned Xceptions", ("stem.0.conv.", "blocks."), timm_aligned_name),
        ):
            if any(name.startswith(marks) for name in weights):
                return layout, functools.partial(rename, config=config)
        if any("/" in name for name in weights):
            return "Keras", lambda name: keras_name(name, config)
    return "this project", lambda name: name


def _oriented(tensor: Tensor, like: Tensor, *, keras: bool) -> Tensor:
    """A Keras kernel (height, width, in, out) or (in, out) in torch's order, others unchanged."""
    if not keras:
        return tensor
    if tensor.ndim == 2:
        return tensor.T
    if tensor.ndim != 4:
        return tensor
    is_depthwise = like.ndim == 4 and like.shape[1] == 1 and tensor.shape[2] != 1
    return tensor.permute(2, 3, 0, 1).flatten(0, 1).unsqueeze(1) if is_depthwise else tensor.permute(3, 2, 0, 1)


def _listed(names: list[str]) -> str:
    return (
        names[0]
        if len(names) == 1
        else f"{', '.join(names[:3])}{' and more' if len(names) > 3 else ''} ({len(names)} tensors)"
    )


def _head_hint(names: list[str], heads: set[str | None]) -> str:
    return "; replace_head=True keeps the network's own head" if all(name in heads for name in names) else ""


def _size(tensor: Tensor) -> str:
    return "×".join(str(n) for n in tensor.shape) or "a scalar"
