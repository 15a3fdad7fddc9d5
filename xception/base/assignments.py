"""Values that users set for a config's fields: `FIELD=VALUE` on a command line, a TOML or JSON file, or a dict from
Python.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from xception.base.canonical import Config, hints_of
from xception.base.fields import Catalogue, format_value

__all__ = ["assigned_texts", "assignments", "read_file"]


def assignments(texts: Iterable[str], catalogue: Catalogue) -> dict[str, Any]:
    """Return the typed value of every field in texts such as `recipe.epochs=3`, in the order of the fields' names.

    Raises:
        ValueError: a text names no field that can be set, a value that the field does not allow, or a field twice.
    """
    out: dict[str, Any] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        path = path.strip()
        if not equals or not path:
            raise ValueError(
                f"--set: {text!r} is not allowed; FIELD=VALUE, such as recipe.optimizer.learning_rate=0.05"
            )
        try:
            typed = catalogue.parse(path, value)
        except ValueError as error:
            raise ValueError(f"--set {error}") from None
        if path in out and out[path] != typed:
            raise ValueError(f"--set {path}: given twice, as {format_value(out[path])} and {format_value(typed)}; once")
        out[path] = typed
    return dict(sorted(out.items()))


def read_file(path: Path) -> dict[str, Any]:
    """Return the values of a TOML or JSON file by dotted path.

    Tables are parts of the path; `type` in a table chooses one of several configs, as in
    `[recipe.optimizer]`, `type = "AdamW"`.

    Raises:
        ValueError: the file cannot be read, or is neither TOML nor JSON.
    """
    try:
        text = path.read_text(encoding="utf-8")
        plain = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ValueError(f"--config: {path} cannot be read ({error.strerror}); a TOML or JSON file") from None
    except (ValueError, RecursionError) as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise ValueError(f"--config: {path} is not {kind} ({error})") from None
    if not isinstance(plain, dict):
        raise ValueError(f"--config: {path} holds no fields; names and values")
    return dict(_flat(plain, ""))


def assigned_texts(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return values by dotted path as texts `FIELD=VALUE`; a whole config becomes its name and each field of it."""
    out: list[str] = []
    for path, value in values.items():
        if isinstance(value, Config):
            out.append(f"{path}={type(value).tag}")
            out += assigned_texts({f"{path}.{name}": getattr(value, name) for name in hints_of(type(value))})
        elif isinstance(value, Mapping):
            out += assigned_texts(dict(_flat(value, f"{path}.")))
        else:
            out.append(f"{path}={format_value(tuple(value) if isinstance(value, list) else value)}")
    return tuple(out)


def _flat(values: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif name == "type" and prefix:
            yield prefix[:-1], value
        else:
            yield f"{prefix}{name}", value
