"""What the commands measure: presets and config files, each with a valid input size."""

from __future__ import annotations

import errno
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from xception.base.assignments import assignments
from xception.base.canonical import Config, from_json
from xception.base.changes import settled
from xception.base.fields import Catalogue
from xception.network import presets
from xception.network.config import ModelConfig, TimmConfig, TorchvisionConfig, XceptionConfig

__all__ = ["Subject", "integers", "read_config", "read_subjects", "words"]

T = TypeVar("T", bound=str)
_MOST_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A named network at an input size in pixels."""

    name: str
    config: ModelConfig
    input_size: int

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of its input."""
        return (self.config.in_channels, self.input_size, self.input_size)


def read_subjects(
    preset: str | None,
    config: Path | None,
    input_size: int | None,
    *,
    option: str = "--config",
    set: Sequence[str] = (),
) -> list[Subject]:
    """Return the networks of a comma-separated list of presets, then that of a config file, checked against their input
    size; `option` is the flag that named the file, `set` changes fields of each, as in `model.head.dropout=0.2`.

    Raises:
        ValueError: a preset or file is unknown or unreadable, a name occurs twice, or a network cannot take the input
            size.
    """
    if preset is None and config is None:
        raise ValueError(
            f"--preset or --config is needed; presets: {', '.join((*presets.names(), *presets.torchvision_names()))}"
        )
    if input_size is not None and input_size < 1:
        raise ValueError(f"--input-size: {input_size} is not allowed; a positive number of pixels")
    found = [(name, presets.get(name), presets.input_size(name)) for name in _split(preset or "")]
    if config is not None:
        read = read_config(config, option)
        own = read.input_size if isinstance(read, XceptionConfig) else None
        stem = read.stem.kind if isinstance(read, XceptionConfig) else getattr(read, "stem", None)
        small = stem == "cifar"
        found.append((config.stem, read, own or (32 if small else 299)))
    twice = {name for name, _, _ in found if [n for n, _, _ in found].count(name) > 1}
    if twice:
        raise ValueError(f"--preset: {', '.join(sorted(twice))} is named twice; each network once")
    changes = assignments(set, _catalogue())
    return [_checked(name, _changed(model, changes), input_size or usual) for name, model, usual in found]


class _Named(Config):
    """A network under the field path that settings use."""

    model: ModelConfig = XceptionConfig()


@functools.cache
def _catalogue() -> Catalogue:
    return Catalogue(
        _Named,
        samples={TorchvisionConfig: {"name": "resnet18"}},
        not_set={
            "model": "name a network with --preset, or one of its fields",
            "model.name": "name a network with --preset",
            "model.input_size": "name it with --input-size",
        },
    )


def _changed(model: ModelConfig, changes: Mapping[str, Any]) -> ModelConfig:
    if not changes:
        return model
    try:
        return settled(_Named(model=model), changes).model
    except ValueError as error:
        raise ValueError(f"--set {', '.join(changes)}: {error}") from None


def read_config(path: Path, option: str = "--config") -> ModelConfig:
    """Return the model config in a JSON file; a torchvision network has `"type": "TorchvisionConfig"`.

    Raises:
        ValueError: the file cannot be read or holds no such config.
    """
    try:
        if path.exists() and not (path.is_file() and path.stat().st_size <= _MOST_BYTES):
            raise OSError(errno.EINVAL, f"not a file of up to {_MOST_BYTES:,} bytes")  # a pipe would be waited for
        text = path.read_text(encoding="utf-8")
        plain = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not JSON"
        raise ValueError(f"{option}: {path} cannot be read: {reason}") from None
    annotation: Any = ModelConfig if isinstance(plain, dict) and "type" in plain else XceptionConfig
    try:
        read: ModelConfig = from_json(annotation, text)
    except ValueError as error:
        raise ValueError(f"{option}: {path}: {error}") from None
    return read


def integers(option: str, text: str) -> list[int]:
    """Return the positive integers of a comma-separated list, each once.

    Raises:
        ValueError: an item is something else.
    """
    items = _split(text)
    if not items or not all(item.isascii() and item.isdigit() and int(item) > 0 for item in items):
        raise ValueError(f"{option}: {text!r} is not allowed; positive integers separated by commas")
    return list(dict.fromkeys(int(item) for item in items))


def words(option: str, text: str, allowed: Sequence[T]) -> list[T]:
    """Return the words of a comma-separated list, each once and each one of those allowed; `all` means all of them.

    Raises:
        ValueError: an item is something else.
    """
    items = _split(text)
    if items == ["all"]:
        return list(allowed)
    chosen = [word for item in dict.fromkeys(items) for word in allowed if word == item]
    if not items or len(chosen) != len(set(items)):
        raise ValueError(f"{option}: {text!r} is not allowed; all, or some of {', '.join(allowed)} separated by commas")
    return chosen


def _split(text: str) -> list[str]:
    return [item.strip() for item in text.split(",")] if text else []


def _checked(name: str, config: ModelConfig, input_size: int) -> Subject:
    from xception.network import closed_form

    config = config.for_data(num_classes=config.num_classes, in_channels=config.in_channels, input_size=input_size)
    if isinstance(config, XceptionConfig):
        closed_form.complexity(config, input_size)
    if isinstance(config, TimmConfig):
        from xception.network.public_models import check_input_size

        check_input_size(config, input_size)
    return Subject(name=name, config=config, input_size=input_size)
