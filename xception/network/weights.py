"""Weights in and out of files: strict about names and shapes, and nothing that is read can execute code.

`.safetensors` and `.pth` files may hold our names, timm's `legacy_xception`, aligned Xceptions or `mobilenetv1_100`;
`.h5` and `.weights.h5` those of `keras.applications.Xception`. Key maps are in `xception.network.key_maps`, the forms
in which files of others come in `xception.network.foreign_keys`.
"""

from __future__ import annotations

import functools
import pickle
import re
import socket
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch import Tensor, nn

from xception.base.canonical import canonical_json, from_json
from xception.network import presets
from xception.network.config import XceptionConfig
from xception.network.foreign_keys import adapted_input, recognised, unnested, with_positions
from xception.network.key_maps import keras_layers, keras_name, timm_aligned_name, timm_legacy_name, timm_mobilenet_name
from xception.network.model import Xception
from xception.network.transfer import head_prefix

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

HUB_NAMES = (
    "legacy_xception.tf_in1k",
    "xception41.tf_in1k",
    "xception65.ra3_in1k",
    "xception65.tf_in1k",
    "xception71.tf_in1k",
)
SUFFIXES = (".safetensors", ".pth", ".pt", ".h5")
# Presets that are networks of timm: what they are called there, and what their tensors are.
_IN_TIMM = {
    "timm_legacy": ("legacy_xception", timm_legacy_name),
    "aligned41": ("xception41", timm_aligned_name),
    "aligned65": ("xception65", timm_aligned_name),
    "aligned71": ("xception71", timm_aligned_name),
    "aligned41p": ("xception41p", timm_aligned_name),
    "aligned65p": ("xception65p", timm_aligned_name),
    "mobilenetv1": ("mobilenetv1_100", timm_mobilenet_name),
}
FOLDER = "networks"  # below the folder of results: what --keep-weights keeps
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
    """Copy weights from a local file, or from timm's hub by name, into a network; return what was done.

    Every parameter and running statistic must be in the source and the source may hold nothing else. With
    `replace_head` the network keeps its own head and the source's is ignored. With `adapt_input` the first
    convolution's kernel is summed or repeated for another number of input channels. `nested` names the part of a
    training script's file, where it holds several.

    Raises:
        ValueError: the file is missing, of another kind, damaged or a pickle that does more than hold tensors; a
            tensor is missing, unexpected, of another shape or not finite (it is named); the hub cannot be reached.
    """
    weights, rules = _read(source, model, nested)
    wanted = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    mapped, layout, more = _converted(weights, model, replace_head=replace_head, adapt_input=adapt_input)
    with torch.no_grad():
        for name, tensor in mapped.items():
            wanted[name].copy_(tensor)
    return Loaded(len(mapped), layout, (*rules, *more))


def save(model: nn.Module, path: str | Path) -> None:
    """Write a network's weights to a `.safetensors` file, with the config of ours beside them.

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
    """Return the tensors of a file or of timm's hub under the names they have there; Keras's as `LAYER/POSITION`.

    Raises:
        ValueError: see `load_pretrained`.
    """
    return _read(source, model, None)[0]


def _read(source: str | Path, model: nn.Module, nested: str | None) -> tuple[dict[str, Tensor], list[str]]:
    path = Path(source)
    if str(source) in HUB_NAMES and not path.exists():
        return _from_hub(str(source)), []
    if path.suffix not in SUFFIXES:
        allowed = f"a file that ends in {', '.join(SUFFIXES)}, or one of {', '.join(HUB_NAMES)}"
        raise ValueError(f"weights: {str(source)!r} is not allowed; {allowed}")
    if not path.is_file():
        raise ValueError(f"weights: no file {str(source)!r}")
    if path.suffix == ".safetensors":
        return _from_safetensors(path), []
    return (_from_keras(path, model), []) if path.suffix == ".h5" else _from_pickle(path, nested)


def convert(weights: Mapping[str, Tensor], model: nn.Module, *, replace_head: bool = False) -> dict[str, Tensor]:
    """Return the weights under our names and in our shapes, all that the network needs and nothing else.

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
        raise ValueError(f"weights: {str(path)!r} is no readable safetensors file: {_first_line(error)}") from None
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
    """A Keras kernel (height, width, in, out) or (in, out) in torch's order, others as they are."""
    if not keras:
        return tensor
    if tensor.ndim == 2:
        return tensor.T
    if tensor.ndim != 4:
        return tensor
    is_depthwise = like.ndim == 4 and like.shape[1] == 1 and tensor.shape[2] != 1
    return tensor.permute(2, 3, 0, 1).flatten(0, 1).unsqueeze(1) if is_depthwise else tensor.permute(3, 2, 0, 1)


def _from_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"weights: {str(path)!r} is no readable safetensors file: {_first_line(error)}") from None


def _from_pickle(path: Path, nested: str | None) -> tuple[dict[str, Tensor], list[str]]:
    try:
        with warnings.catch_warnings():
            # a pickle that torch did not write; what it holds decides
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            held = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(
            f"weights: {str(path)!r} is refused: it holds more than tensors, and loading it could execute code"
        ) from None
    except (OSError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise ValueError(f"weights: {str(path)!r} is no readable file of weights: {_first_line(error)}") from None
    held, rules = unnested(held, nested)
    if not isinstance(held, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in held.items()
    ):
        raise ValueError(f"weights: {str(path)!r} is not allowed; a file that holds tensors by name")
    return held, rules


def _from_keras(path: Path, model: nn.Module) -> dict[str, Tensor]:
    """The arrays of a Keras file as `LAYER/POSITION`, unnamed shortcuts as `residual1` and so on."""
    try:
        import h5py
    except ImportError:
        raise ValueError(f"weights: {str(path)!r} needs the package h5py, which is not installed") from None
    if not isinstance(model, Xception):
        raise ValueError(
            f"weights: {str(path)!r} is not allowed for {type(model).__name__}; Keras files are for networks of ours"
        )
    try:
        with h5py.File(path) as file:
            return (
                _keras_checkpoint(file, model) if "layers" in file else _keras_legacy(file.get("model_weights", file))
            )
    except OSError as error:
        raise ValueError(f"weights: {str(path)!r} is no readable HDF5 file: {_first_line(error)}") from None


def _keras_legacy(file: Any) -> dict[str, Tensor]:
    """Weights by layer name: files of Keras 1 and 2, and whole models in `.h5`."""
    if "layer_names" not in file.attrs:
        raise ValueError("weights: the HDF5 file is not allowed; one that Keras wrote")
    out: dict[str, Tensor] = {}
    count = {"conv": 0, "norm": 0}
    for layer in (_text(name) for name in file.attrs["layer_names"]):
        arrays = [file[layer][_text(name)] for name in file[layer].attrs["weight_names"]]
        name = layer
        if re.fullmatch(r"(conv2d|convolution2d)(_\d+)?", layer):
            count["conv"] += 1
            name = f"residual{count['conv']}"
        elif re.fullmatch(r"batch_?normalization(_\d+)?", layer):
            count["norm"] += 1
            name = f"residual{count['norm']}_bn"
        out |= {f"{name}/{i}": torch.from_numpy(array[()]) for i, array in enumerate(arrays)}
    return out


def _keras_checkpoint(file: Any, model: Xception) -> dict[str, Tensor]:
    """Weights by class and count: `.weights.h5` files of Keras 3."""
    names = keras_layers(model.config)
    out: dict[str, Tensor] = {}
    for group, layer in file["layers"].items():
        arrays = layer.get("vars", {})
        match = re.fullmatch(r"(.+?)(?:_(\d+))?", group)
        assert match is not None
        known, number = names.get(match[1], []), int(match[2] or 0)
        name = known[number] if number < len(known) else group
        out |= {f"{name}/{position}": torch.from_numpy(array[()]) for position, array in arrays.items()}
    return out


def _from_hub(name: str) -> dict[str, Tensor]:
    """Weights by timm's name, from where timm keeps them."""
    try:
        import timm
    except ImportError:
        raise ValueError(f"weights: {name!r} needs the package timm, which is not installed") from None
    try:
        if not getproxies():  # asked first, since the download itself tries again for most of a minute
            from huggingface_hub.constants import ENDPOINT

            published = timm.models.get_pretrained_cfg(name)
            host = urlsplit(str(published.url) if published is not None and published.url else ENDPOINT).hostname
            socket.create_connection((host, 443), timeout=10).close()
        return dict(timm.create_model(name, pretrained=True).state_dict())
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"weights: {name!r} cannot be downloaded: {_first_line(error)}; a local file works without network"
        ) from None


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


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
