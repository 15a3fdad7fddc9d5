"""The tensors in a file of weights, or on timm's hub, under their original names; reading never executes code."""

from __future__ import annotations

import pickle
import re
import socket
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch import Tensor, nn

from xception.network.foreign_keys import unnested
from xception.network.key_maps import keras_layers
from xception.network.model import Xception

__all__ = ["HUB_NAMES", "first_line", "read_tensors"]

HUB_NAMES = (
    "legacy_xception.tf_in1k",
    "xception41.tf_in1k",
    "xception65.ra3_in1k",
    "xception65.tf_in1k",
    "xception71.tf_in1k",
)
SUFFIXES = (".safetensors", ".pth", ".pt", ".h5")


def read_tensors(source: str | Path, model: nn.Module, nested: str | None) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors of a file or of timm's hub, Keras's as `LAYER/POSITION`, and the rules that found them.

    `nested` names the part of a training script's file, where it holds several.

    Raises:
        ValueError: the file is missing, of another kind, damaged or a pickle that does more than hold tensors; the hub
            cannot be reached.
    """
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


def _from_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"weights: {str(path)!r} is not a readable safetensors file: {first_line(error)}") from None


def _from_pickle(path: Path, nested: str | None) -> tuple[dict[str, Tensor], list[str]]:
    try:
        with warnings.catch_warnings():
            # a pickle that torch did not write; its contents decide
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            held = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(
            f"weights: {str(path)!r} is refused: it holds more than tensors, and loading it could execute code"
        ) from None
    except (OSError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise ValueError(f"weights: {str(path)!r} is not a readable file of weights: {first_line(error)}") from None
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
        raise ValueError(f"weights: {str(path)!r} is not a readable HDF5 file: {first_line(error)}") from None


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
        if not getproxies():  # checked first, since the download itself retries for most of a minute
            from huggingface_hub.constants import ENDPOINT

            published = timm.models.get_pretrained_cfg(name)
            host = urlsplit(str(published.url) if published is not None and published.url else ENDPOINT).hostname
            socket.create_connection((host, 443), timeout=10).close()
        return dict(timm.create_model(name, pretrained=True).state_dict())
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"weights: {name!r} cannot be downloaded: {first_line(error)}; a local file works without network"
        ) from None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its class where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
