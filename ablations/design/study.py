"""A study: one question, a baseline and variants that each change a few fields of the same design."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ablations.design.names import check_folder_name, check_variant_name
from ablations.design.trial import SEMANTICS, Trial
from xception.base.canonical import Config
from xception.base.changes import apply_changes
from xception.data.config import DatasetConfig
from xception.network.config import ModelConfig
from xception.train.recipe import Recipe

__all__ = ["Design", "Match", "Study", "Variant", "factorial", "one_at_a_time"]

Match = Literal["none", "params", "macs"]


class Design(Config):
    """A trial without its seed: what a variant trains once per seed.

    `pretraining` is the design of the network that a transfer starts from, itself trained with the same seed.
    """

    model: ModelConfig
    recipe: Recipe
    dataset: DatasetConfig
    stream: int = 0
    pretraining: Design | None = None

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an input."""
        return (self.model.in_channels, self.dataset.image_size, self.dataset.image_size)

    def trial(self, seed: int) -> Trial:
        """Return the trial of this design with one seed."""
        recipe = self.recipe
        if self.pretraining is not None:
            recipe = recipe.replace_at("transfer.source", f"trial:{self.pretraining.trial(seed).key}")
        return Trial(
            model=self.model, recipe=recipe, dataset=self.dataset, stream=self.stream, seed=seed, semantics=SEMANTICS
        )


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A name and the fields of the design that it changes, by dotted path: `{"model.residual.kind": "none"}`.

    All fields change together. A variant sets every field that its name refers to, since it may be applied to any
    network. A value may be a function of the design as changed so far; it raises ValueError where the variant cannot
    exist. `levels` names the level of each factor, for factorial studies. `match` adjusts the width so that parameters
    or MACs equal those of its baseline. `dataset` names another data set than the run's. `train_fraction` keeps that
    fraction of the training images for proportionally more epochs, so that training is as long. `skip` is the reason
    why the variant is not trained.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    levels: Mapping[str, str] = field(default_factory=dict)
    match: Match = "none"
    dataset: str | None = None
    train_fraction: float = 1.0
    skip: str | None = None

    @property
    def title(self) -> str:
        """The name in tables, such as `NAME@params` for a matched variant."""
        return self.name if self.match == "none" else f"{self.name}@{self.match}"

    def apply(self, design: Design) -> Design:
        """Return the design with this variant's fields changed; its size is matched to its baseline's later.

        Raises:
            ValueError: a path does not exist in the design or the value is not allowed there.
        """
        if self.train_fraction != 1.0:
            design = _with_fraction(design, self.train_fraction)
        return apply_changes(design, self.changes)


@dataclass(frozen=True, kw_only=True)
class Study:
    """One question, answered by training a baseline and variants over the same seeds.

    `varies` are the dotted paths that variants may change: everything else is held equal. `margin` is δ, the smallest
    difference in test accuracy (a fraction) that would matter, where it is not the scale's. `within` names factors that
    are not compared: each of their levels has a baseline of its own, the variant with the baseline's levels of all
    other factors. `dataset` is set if the question makes sense on one data set only. `across` gives fields several
    values: the study is then run in every combination of them, unless the user chooses others. With `transfers`, all
    variants train on the second half of the classes, and those with `recipe.transfer` start from a network trained on
    the first half (or from weights that the user names).
    """

    name: str
    question: str
    variants: tuple[Variant, ...]
    baseline: str
    varies: tuple[str, ...]
    reference: str = "Chollet 2017, arXiv:1610.02357"
    margin: float | None = None
    within: tuple[str, ...] = ()
    dataset: str | None = None
    across: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    transfers: bool = False
    path: str | None = None  # of the file that it was read from, where it is not in the catalogue

    def __post_init__(self) -> None:
        check_folder_name(self.name, "Study.name")
        names = [v.title for v in self.variants]
        for name in names:
            check_variant_name(name, f"{self.name}.variants")
        if not names:
            raise ValueError(f"{self.name}.variants: none given; at least a baseline")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{self.name}.variants: {name!r} occurs twice; names must differ")
        if self.baseline not in names:
            raise ValueError(f"{self.name}.baseline: {self.baseline!r} is not a variant; variants: {', '.join(names)}")
        if self.margin is not None and not 0 < self.margin < 1:
            raise ValueError(
                f"{self.name}.margin: {self.margin!r} is not allowed; between 0 and 1, as a fraction of test accuracy"
            )
        for variant in self.variants:
            self._check(variant)
        self.references()

    def _check(self, variant: Variant) -> None:
        where = f"{self.name}.{variant.name}"
        for path in variant.changes:
            if not any(path == allowed or path.startswith(f"{allowed}.") for allowed in self.varies):
                raise ValueError(
                    f"{where}: changes {path!r}, which the study does not vary; it varies {', '.join(self.varies)}"
                )
        if not 0 < variant.train_fraction <= 1:
            raise ValueError(f"{where}: train_fraction {variant.train_fraction!r} is not allowed; above 0, at most 1")
        if variant.match != "none" and variant.title == self.baseline:
            raise ValueError(
                f"{where}: match {variant.match!r} is not allowed for the baseline, which others are brought to"
            )

    def variant(self, title: str) -> Variant:
        """Return a variant by its title."""
        return next(v for v in self.variants if v.title == title)

    @property
    def ordered(self) -> tuple[Variant, ...]:
        """The variants, each group behind its own baseline, the study's baseline first."""
        references = self.references()
        groups = list(dict.fromkeys([self.baseline, *references.values()]))
        return tuple(
            sorted(self.variants, key=lambda v: (groups.index(references[v.title]), references[v.title] != v.title))
        )

    def references(self) -> dict[str, str]:
        """Return the title of each variant's baseline, by title; a baseline is its own.

        Raises:
            ValueError: a level of the factors in `within` has no baseline.
        """
        if not self.within:
            return {v.title: self.baseline for v in self.variants}
        by_levels = {tuple(sorted(v.levels.items())): v.title for v in self.variants}
        base = next(v for v in self.variants if v.title == self.baseline)
        out: dict[str, str] = {}
        for variant in self.variants:
            missing = [factor for factor in self.within if factor not in variant.levels or factor not in base.levels]
            wanted = {
                **base.levels,
                **{factor: variant.levels[factor] for factor in self.within if factor not in missing},
            }
            found = by_levels.get(tuple(sorted(wanted.items())))
            if missing or found is None:
                raise ValueError(
                    f"{self.name}.within: {variant.title!r} has no baseline among the variants; "
                    f"levels wanted: {', '.join(f'{k}={v}' for k, v in wanted.items())}"
                )
            out[variant.title] = found
        return out

    def matched(self, match: Match) -> Study:
        """Return the study with every variant except baselines matched to its baseline's size."""
        if match == "none":
            return self
        baselines = set(self.references().values())
        kept = [v for v in self.variants if v.match == "none"]
        return replace(self, variants=tuple(v if v.title in baselines else replace(v, match=match) for v in kept))

    def designs(self, design: Design | Mapping[str | None, Design]) -> dict[str, Design]:
        """Return each variant's design by title, baselines first; matching of sizes is left to the plan.

        `design` is the one to change: one for all, or one for each data set that variants name (None is the run's).

        Raises:
            ValueError: two variants have the same design, or a change does not fit it.
        """
        bases = {v.dataset: design for v in self.variants} if isinstance(design, Design) else design
        out: dict[str, Design] = {}
        for variant in self.ordered:
            try:
                out[variant.title] = variant.apply(bases[variant.dataset])
            except ValueError as error:
                raise ValueError(f"study {self.name}, variant {variant.title}: {error}") from None
        return out

    def require_distinct(self, designs: Mapping[str, Design]) -> None:
        """Check that the designs of all variants differ.

        Raises:
            ValueError: two variants give the same trial.
        """
        seen: dict[Design, str] = {}
        for name, design in designs.items():
            if design in seen:
                raise ValueError(
                    f"study {self.name}: variants {seen[design]!r} and {name!r} are the same trial; they must differ"
                )
            seen[design] = name


def one_at_a_time(path: str, levels: Mapping[str, Any]) -> tuple[Variant, ...]:
    """Return a variant for each named value of one field; a value of `...` keeps the design unchanged."""
    return tuple(Variant(name=name, changes={} if value is ... else {path: value}) for name, value in levels.items())


def factorial(
    factors: Mapping[str, Mapping[str, Mapping[str, Any]]],
    names: Mapping[str, str] | None = None,
    skip: Callable[[Mapping[str, str]], str | None] | None = None,
) -> tuple[Variant, ...]:
    """Return a variant for each combination of levels: factor → level → changes.

    `names` gives the format of a factor's level in the variant's name, such as `{} modules`. `skip` is called for each
    cell, as factor → level; if it returns a reason, the cell is left out and named with it.
    """
    formats = names or {}
    grids: Sequence[list[tuple[str, str, Mapping[str, Any]]]] = [
        [(factor, level, changes) for level, changes in levels.items()] for factor, levels in factors.items()
    ]
    out = []
    for chosen in itertools.product(*grids):
        levels = {factor: level for factor, level, _ in chosen}
        out.append(
            Variant(
                name=", ".join(formats.get(factor, "{}").format(level) for factor, level in levels.items()),
                changes={path: value for _, _, changes in chosen for path, value in changes.items()},
                levels=levels,
                skip=None if skip is None else skip(levels),
            )
        )
    return tuple(out)


def _with_fraction(design: Design, fraction: float) -> Design:
    """The design on a fraction of the training images, with as many image presentations in all."""
    whole = design.dataset.train_size
    if whole is None:
        raise ValueError(
            f"train_fraction: {fraction!r} is not allowed where dataset.train_size is None; a number of images"
        )
    size = max(2, round(whole * fraction))
    recipe = design.recipe.replace(
        batch_size=min(design.recipe.batch_size, size), epochs=max(1, round(design.recipe.epochs * whole / size))
    )
    return design.replace(dataset=design.dataset.replace(train_size=size), recipe=recipe)
