"""One study in several settings: every combination of the values that `--across` gives to fields.

    --across recipe.epochs=6,12,24 --across dataset=cifar10,imagenette      # six settings

A setting is an ordinary run whose options say its data set, network and budget, so all its trials are shared by key
with any other run.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ablations.design.fields import catalogue
from ablations.design.options import Options
from ablations.design.overrides import FIELDS_OF_OPTIONS
from ablations.design.study import Study
from xception.base.fields import format_value

__all__ = ["NUM_SEEDS", "UNASKED_SETTINGS", "AcrossSetting", "across_texts", "expand"]

NUM_SEEDS = 5  # pairs per setting by default
UNASKED_SETTINGS = 50  # more run only with --yes
_OPTIONS = ("dataset", "preset")
_LONGEST_NAME = 100


@dataclass(frozen=True, kw_only=True)
class AcrossSetting:
    """One setting: the value of each field that settings differ in, and the options of its run."""

    values: dict[str, str | int | float]
    options: Options

    @property
    def label(self) -> str:
        """The values in words: `recipe.epochs=6, dataset=cifar10`."""
        return ", ".join(f"{name}={value}" for name, value in self.values.items())

    @property
    def folder(self) -> str:
        """A name for the folder of this setting's results, safe on any file system."""
        parts = [f"{name.rpartition('.')[2]}={value}" for name, value in self.values.items()]
        return re.sub(r"[^A-Za-z0-9._+=@-]+", "_", "-".join(parts)).strip("_.")[:_LONGEST_NAME]


def across_texts(across: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
    """Return fields and their values, from a study file or Python, in the form of the command line."""
    return tuple(f"{field}={','.join(format_value(value) for value in values)}" for field, values in across.items())


def expand(study: Study, options: Options) -> tuple[AcrossSetting, ...]:
    """Return the settings of the options, or else of the study itself; empty if neither has any.

    Raises:
        ValueError: a field or a value is not allowed, a field is given twice, or the seeds are not a fixed number.
    """
    texts = options.across or across_texts(study.across)
    if not texts:
        return ()
    fields = [_field(text, options) for text in texts]
    names = [name for name, _ in fields]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"--across {name}: given twice; all its values in one, separated by commas")
    if options.seeds == "auto":
        raise ValueError(
            "--seeds: auto is not allowed with --across, since stopping early would bias what settings have in common;"
            f" a number of pairs, {NUM_SEEDS} by default"
        )
    common = options.replace(across=(), seeds=options.seeds or NUM_SEEDS)
    out = []
    for values in itertools.product(*(values for _, values in fields)):
        chosen = dict(zip(names, values, strict=True))
        direct = {name: chosen[name] for name in _OPTIONS if name in chosen}
        sets = tuple(f"{name}={format_value(value)}" for name, value in chosen.items() if name not in _OPTIONS)
        shown = {n: v if _is_number(v) else format_value(v) for n, v in chosen.items()}
        out.append(AcrossSetting(values=shown, options=common.replace(**direct, set=(*common.set, *sets))))
    return tuple(out)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _field(text: str, options: Options) -> tuple[str, list[Any]]:
    """Parse a field and its values from `FIELD=V1,V2,…`; commas inside brackets belong to a value."""
    name, equals, rest = text.partition("=")
    name = name.strip()
    words = [word.strip() for word in re.split(r",(?![^(\[]*[)\]])", rest)]
    if not equals or not name or not all(words):
        raise ValueError(f"--across: {text!r} is not allowed; FIELD=V1,V2,… such as recipe.epochs=6,12,24")
    if len(set(words)) < len(words):
        raise ValueError(f"--across {name}: {rest!r} has a value twice")
    if name in _OPTIONS:
        if getattr(options, name) is not None:
            raise ValueError(f"--{name}: {getattr(options, name)} is not allowed with --across {name}; one of the two")
        return name, words
    option = FIELDS_OF_OPTIONS.get(name)
    if option is not None and getattr(options, option) is not None:
        raise ValueError(
            f"--{option.replace('_', '-')}: {getattr(options, option)} is not allowed with --across {name}; one of"
            " the two"
        )
    if any(given.partition("=")[0].strip() == name for given in options.set):
        raise ValueError(f"--set {name}: not allowed with --across {name}; one of the two")
    return name, [catalogue().parse(name, word) for word in words]
