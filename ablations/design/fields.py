"""Every field of a design that `--set`, studies and spaces can name: its type, default, allowed values and meaning.

All of it is read from the configs: types and defaults from their annotations, allowed ranges from what their own
checks answer to a wrong value, meanings from the docstrings behind the fields.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import math
import re
import textwrap
import typing
from typing import Any, Literal

from ablations.design.study import Design
from xception.base.canonical import Config, IdleFieldError, checked, describe_allowed, hints_of, members, to_plain
from xception.base.suggestions import did_you_mean
from xception.data.config import DatasetConfig
from xception.network.config import TorchvisionConfig
from xception.train.recipe import Recipe

__all__ = ["Field", "check_value", "fields", "format_value", "has_field", "parse_value", "suggest_field"]

_FROM_DATA = "it comes from the data set"
_NOT_SET: dict[str, str] = {
    "model": "name a network with --preset",
    "recipe": "name one of its fields",
    "dataset": "name one of its fields, or a data set with --dataset",
    "model.num_classes": _FROM_DATA,
    "model.in_channels": _FROM_DATA,
    "model.input_size": f"{_FROM_DATA} (dataset.image_size)",
    "model.name": "name a network with --preset",
    "dataset.fingerprint": "name a data set with --dataset",
    "stream": "the study aa is about it",
    "pretraining": "the study transfer is about it",
    "recipe.transfer": "the study transfer is about it",
}
_SAMPLES: dict[type[Config], dict[str, Any]] = {
    Recipe: {"epochs": 8},
    TorchvisionConfig: {"name": "resnet18"},
    DatasetConfig: {"fingerprint": "0" * 64, "image_size": 32, "val_size": 1},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
    """One field of one config class, at its dotted path in a design."""

    path: str
    owner: type[Config]
    annotation: Any
    default: Any  # dataclasses.MISSING where the scale decides

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    @property
    def why_not_set(self) -> str | None:
        """Why `--set` refuses it; None where it may be set."""
        return next((why for path, why in _NOT_SET.items() if self.path == path or _is_below(self.path, path)), None)

    @property
    def allowed(self) -> str:
        """The values that the field takes, in words."""
        words = describe_allowed(self.annotation).removeprefix("allowed: ")
        limits = _limits(self)
        return f"{words}; {limits}" if limits else words

    @property
    def meaning(self) -> str:
        """The docstring behind the field, or what the annotated config says of itself."""
        own = _attribute_docstrings(typing.cast(Any, self.owner)).get(self.name)
        if own is None:
            configs = _configs(self.annotation)
            own = (inspect.getdoc(configs[0]) or "").split("\n\n")[0] if configs else ""
        return " ".join(own.split())

    def described(self) -> dict[str, Any]:
        """Return what `--fields --json` prints of it."""
        return {
            "field": self.path,
            "of": self.owner.__name__,
            "type": _type_name(self.annotation),
            "default": None if self.default is dataclasses.MISSING else format_value(self.default),
            "allowed": self.allowed,
            "meaning": self.meaning,
            "not_set": self.why_not_set,
        }


@functools.cache
def fields() -> tuple[Field, ...]:
    """Return every field of a design, in the order of the configs; one of several configs has a row for each."""
    return tuple(_walk(Design, ""))


@functools.cache
def _by_path() -> dict[str, tuple[Field, ...]]:
    out: dict[str, tuple[Field, ...]] = {}
    for field in fields():
        out[field.path] = (*out.get(field.path, ()), field)
    return out


def has_field(path: str) -> bool:
    """Whether some design has a field at a dotted path."""
    return path in _by_path()


def suggest_field(path: str) -> str:
    """Return `; did you mean FIELD?` for a path that no design has, by the whole path or by its last part."""
    known = _by_path()
    close = did_you_mean(path, known)
    if close:
        return close
    lasts = {name.rpartition(".")[2]: name for name in known}
    last = did_you_mean(path.rpartition(".")[2], lasts)
    return f"; did you mean {lasts[last[len('; did you mean ') : -1]]}?" if last else ""


def parse_value(path: str, value: Any) -> Any:
    """Return a text (or a value from TOML or JSON) as the field at a path takes it.

    Raises:
        ValueError: there is no such field, `--set` does not set it, or the value is none of its type.
    """
    found = _by_path().get(path)
    if found is None:
        raise ValueError(f"{path}: no such field{suggest_field(path) or '; see --fields'}")
    if found[0].why_not_set is not None:
        raise ValueError(f"{path}: {value!r} is not allowed here; {found[0].why_not_set}")
    for field in found:
        try:
            return checked(_parsed(value, field.annotation), field.annotation, path)
        except ValueError:
            continue
    allowed = " or ".join(dict.fromkeys(_words(field.annotation) for field in found))
    raise ValueError(f"{path}: {value!r} is not allowed; allowed: {allowed}{_closest(value, found)}")


def check_value(path: str, value: Any) -> None:
    """Hold a value against all fields at a path.

    Raises:
        ValueError: no config takes the value, whatever stands beside it.
    """
    first: ValueError | None = None
    for field in _by_path()[path]:
        try:
            checked(value, field.annotation, f"{field.owner.__name__}.{field.name}")
            if not isinstance(value, tuple | list | Config):
                _sample(field.owner).replace(**{field.name: value})
            return
        except IdleFieldError:
            return
        except ValueError as error:
            first = first or error
    if first is not None:
        raise first


def format_value(value: Any) -> str:
    """Return the text that `parse_value` reads as the value; of a config only its name and what differs from it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        inner = ",".join(format_value(v) for v in value)
        return f"({inner})" if len(value) != 1 else f"({inner},)"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, Config):
        plain = to_plain(value)
        if not plain:
            return type(value).tag
        inner = ", ".join(f"{name}={format_value(getattr(value, name))}" for name in plain)
        return f"{type(value).tag}({inner})"
    return str(value)


def _walk(config: type[Config], prefix: str) -> typing.Iterator[Field]:
    hints = hints_of(config)
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        path, annotation = f"{prefix}{field.name}", hints[field.name]
        yield Field(path=path, owner=config, annotation=annotation, default=field.default)
        if config is Design and field.name == "pretraining":
            continue
        for inner in _configs(annotation):
            yield from _walk(inner, f"{path}.")


def _is_below(path: str, above: str) -> bool:
    return above in ("pretraining", "recipe.transfer") and path.startswith(f"{above}.")


def _configs(annotation: Any) -> list[type[Config]]:
    return [m for m in members(annotation) if isinstance(m, type) and issubclass(m, Config)]


def _parsed(value: Any, annotation: Any) -> Any:
    """The value as one of the annotation's members; ValueError where it is none."""
    kinds = members(annotation)
    if isinstance(value, list | tuple):
        return _parsed_tuple(list(value), kinds)
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text == "None" and type(None) in kinds:
        return None
    for kind in kinds:
        if typing.get_origin(kind) is Literal:
            for argument in typing.get_args(kind):
                if str(argument).lower() == text.lower():
                    return argument
    if text.lower() in ("none", "null") and type(None) in kinds:
        return None
    if bool in kinds and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if int in kinds and re.fullmatch(r"[+-]?[0-9][0-9_]*", text):
        return int(text)
    if float in kinds:
        number = float(text)
        if math.isfinite(number):
            return number
    if any(typing.get_origin(kind) is tuple for kind in kinds):
        return _parsed_tuple([part for part in text.strip("()[] ").split(",") if part.strip()], kinds)
    for config in _configs(annotation):
        if _plain_name(text) in (_plain_name(config.tag), "default"):
            return config()
    if str in kinds:
        return text
    raise ValueError(text)


def _parsed_tuple(parts: list[Any], kinds: tuple[Any, ...]) -> Any:
    for kind in kinds:
        if typing.get_origin(kind) is tuple:
            item = typing.get_args(kind)[0]
            return tuple(_parsed(part, item) for part in parts)
    raise ValueError(parts)


def _plain_name(text: str) -> str:
    return text.lower().replace("_", "").replace("-", "")


def _words(annotation: Any) -> str:
    """The allowed values as the command line takes them."""
    words: list[str] = []
    for kind in members(annotation):
        if typing.get_origin(kind) is Literal:
            words += [str(argument) for argument in typing.get_args(kind)]
        elif typing.get_origin(kind) is tuple:
            words.append(f"numbers with commas between them, such as {'(2,1)' if _is_literal(kind) else '(32,64)'}")
        elif kind is type(None):
            words.append("None")
        elif isinstance(kind, type) and issubclass(kind, Config):
            words.append(kind.tag)
        else:
            words.append({int: "a whole number", float: "a number", bool: "true, false", str: "a text"}[kind])
    return ", ".join(words)


def _is_literal(kind: Any) -> bool:
    return typing.get_origin(typing.get_args(kind)[0]) is Literal


def _type_name(annotation: Any) -> str:
    names = []
    for kind in members(annotation):
        if typing.get_origin(kind) is Literal:
            names += sorted({type(argument).__name__ for argument in typing.get_args(kind)})
        elif typing.get_origin(kind) is tuple:
            names.append("tuple of int")
        else:
            names.append("None" if kind is type(None) else kind.__name__)
    return " | ".join(dict.fromkeys(names))


def _closest(value: Any, found: tuple[Field, ...]) -> str:
    """A suggestion among the names that the fields take."""
    names = [str(a) for f in found for k in members(f.annotation) if typing.get_origin(k) is Literal
             for a in typing.get_args(k)]  # fmt: skip
    return did_you_mean(str(value), [*names, *(c.tag for f in found for c in _configs(f.annotation))])


def _limits(field: Field) -> str:
    """What the config's own check answers to a number that is out of range; nothing where it has none."""
    numeric = {int, float} & set(members(field.annotation))
    if not numeric or field.owner is Design:
        return ""
    for probe in (-1, 1_000_000_000, 0.5 if float in numeric else 2):
        try:
            _sample(field.owner).replace(**{field.name: probe})
        except IdleFieldError:
            continue
        except ValueError as error:
            _, _, limits = str(error).partition(" is not allowed; ")
            if str(error).startswith(f"{field.owner.__name__}.{field.name}:") and limits:
                return limits
    return ""


def _sample(owner: type[Config]) -> Config:
    return owner(**_SAMPLES.get(owner, {}))


@functools.cache
def _attribute_docstrings(owner: Any) -> dict[str, str]:
    """The string that stands behind each field of a class in its source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    assert isinstance(body, ast.ClassDef)
    out: dict[str, str] = {}
    for field, following in zip(body.body, body.body[1:], strict=False):
        is_field = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        is_text = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if is_field and is_text and isinstance(following.value.value, str):  # type: ignore[attr-defined]
            out[field.target.id] = following.value.value  # type: ignore[attr-defined]
    return out
