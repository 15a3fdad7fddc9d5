"""The fields of a design that a user sets, checked against the other options and the study."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from ablations.design.fields import catalogue
from ablations.design.options import SettingOptions
from ablations.design.study import Study
from xception.base.assignments import assigned_texts, assignments, read_file
from xception.base.canonical import Config
from xception.base.changes import settled
from xception.network.config import ModelConfig
from xception.train.recipe import Recipe

__all__ = ["FIELDS_OF_OPTIONS", "Overrides", "canonical_texts"]

C = TypeVar("C", bound=Config)

FIELDS_OF_OPTIONS = {"recipe.epochs": "epochs", "dataset.train_size": "train_size", "dataset.channels": "channels"}


def canonical_texts(options: SettingOptions) -> tuple[str, ...]:
    """Return the assignments of `--set` and of the file of `--config`, each field once, in canonical order and
    spelling.

    Raises:
        ValueError: the file cannot be read, or a field or value is not allowed.
    """
    given = assignments(options.set, catalogue())
    if options.config is not None:
        read = assigned_texts(read_file(options.config))
        given = dict(sorted((assignments(read, catalogue()) | given).items()))
    return tuple(text for path, value in given.items() for text in assigned_texts({path: value})[:1])


class Overrides:
    """The typed values that a user set, by part of the design.

    Raises:
        ValueError: a field is also named by an option of its own.
    """

    def __init__(self, options: SettingOptions) -> None:
        self._values = assignments(options.set, catalogue())
        for path, name in FIELDS_OF_OPTIONS.items():
            given = getattr(options, name)
            if path in self._values and given is not None:
                option = f"--{name.replace('_', '-')}"
                raise ValueError(f"{option}: {given} is not allowed with --set {path}; one of the two")

    def refuse_varied(self, study: Study) -> None:
        """Check that no field is set that the study itself varies.

        Raises:
            ValueError: there is one.
        """
        for path in self._values:
            for varied in study.varies:
                if path == varied or path.startswith(f"{varied}."):
                    raise ValueError(
                        f"--set {path}: not allowed with the study {study.name}, which varies {varied} itself; leave it"
                        " out, or use another study"
                    )

    def of(self, part: str) -> dict[str, Any]:
        """Return the values below `model`, `recipe` or `dataset`, by the rest of their path."""
        return {p.removeprefix(f"{part}."): value for p, value in self._values.items() if p.startswith(f"{part}.")}

    def model(self, model: ModelConfig) -> ModelConfig:
        """Return a network with the user's overrides."""
        return cast(ModelConfig, self._applied(cast(Config, model), "model"))

    def recipe(self, recipe: Recipe) -> Recipe:
        """Return a recipe with the user's overrides."""
        return self._applied(recipe, "recipe")

    def _applied(self, config: C, part: str) -> C:
        changes = self.of(part)
        try:
            return settled(config, changes) if changes else config
        except ValueError as error:
            raise ValueError(f"--set {', '.join(f'{part}.{path}' for path in changes)}: {error}") from None
