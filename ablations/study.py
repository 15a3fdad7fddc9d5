"""A study: one question, a baseline and variants that each change a few fields of the same design."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ablations.trial import SEMANTICS, Trial
from xception.canonical import Config
from xception.config import ModelConfig
from xception.data.config import DatasetConfig
from xception.train.recipe import Recipe

__all__ = ["Design", "Study", "Variant", "factorial", "one_at_a_time"]


class Design(Config):
    """A trial without its seed: what a variant trains once per seed."""

    model: ModelConfig
    recipe: Recipe
    dataset: DatasetConfig
    stream: int = 0

    def trial(self, seed: int) -> Trial:
        """Return the trial of this design with one seed."""
        return Trial(model=self.model, recipe=self.recipe, dataset=self.dataset, stream=self.stream, seed=seed, semantics=SEMANTICS)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A name and the fields of the design that it changes, by dotted path: `{"model.residual": "none"}`.

    `levels` names the level of each factor, for factorial studies.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    levels: Mapping[str, str] = field(default_factory=dict)

    def apply(self, design: Design) -> Design:
        """Return the design with this variant's fields changed.

        Raises:
            ValueError: a path does not exist in the design or the value is not allowed there.
        """
        for path, value in self.changes.items():
            design = design.replace_at(path, value)
        return design


@dataclass(frozen=True, kw_only=True)
class Study:
    """One question, answered by training a baseline and variants over the same seeds.

    `varies` are the dotted paths that variants may change: everything else is held equal. `margin`
    is δ, the smallest difference in test accuracy (a fraction) that would matter, stated in advance.
    """

    name: str
    question: str
    variants: tuple[Variant, ...]
    baseline: str
    varies: tuple[str, ...]
    source: str = "Chollet 2017, arXiv:1610.02357"
    margin: float = 0.01

    def __post_init__(self) -> None:
        names = [v.name for v in self.variants]
        if not names:
            raise ValueError(f"{self.name}.variants: none given; at least a baseline")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{self.name}.variants: {name!r} occurs twice; names must differ")
        if self.baseline not in names:
            raise ValueError(f"{self.name}.baseline: {self.baseline!r} is not a variant; variants: {', '.join(names)}")
        if not 0 < self.margin < 1:
            raise ValueError(f"{self.name}.margin: {self.margin!r} is not allowed; between 0 and 1, as a fraction of test accuracy")
        for variant in self.variants:
            for path in variant.changes:
                if not any(path == allowed or path.startswith(allowed + ".") for allowed in self.varies):
                    raise ValueError(f"{self.name}.{variant.name}: changes {path!r}, which the study does not vary; it varies {', '.join(self.varies)}")

    def designs(self, design: Design) -> dict[str, Design]:
        """Return each variant's design by name, the baseline first.

        Raises:
            ValueError: two variants come to the same design, or a change does not fit it.
        """
        ordered = sorted(self.variants, key=lambda v: v.name != self.baseline)
        out: dict[str, Design] = {}
        for variant in ordered:
            try:
                changed = variant.apply(design)
            except ValueError as error:
                raise ValueError(f"study {self.name}, variant {variant.name}: {error}") from None
            for other, same in out.items():
                if same == changed:
                    raise ValueError(f"study {self.name}: variants {other!r} and {variant.name!r} come to the same trial; they must differ")
            out[variant.name] = changed
        return out


def one_at_a_time(path: str, levels: Mapping[str, Any]) -> tuple[Variant, ...]:
    """Return a variant for each named value of one field; a value of `...` leaves the design as it is."""
    return tuple(Variant(name=name, changes={} if value is ... else {path: value}) for name, value in levels.items())


def factorial(factors: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> tuple[Variant, ...]:
    """Return a variant for each combination of levels: factor → level → changes."""
    grids: Sequence[list[tuple[str, str, Mapping[str, Any]]]] = [
        [(factor, level, changes) for level, changes in levels.items()] for factor, levels in factors.items()
    ]
    return tuple(
        Variant(
            name=", ".join(level for _, level, _ in chosen),
            changes={path: value for _, _, changes in chosen for path, value in changes.items()},
            levels={factor: level for factor, level, _ in chosen},
        )
        for chosen in itertools.product(*grids)
    )
