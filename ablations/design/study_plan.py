"""From a study and what the user asked for to the exact trials, before anything is trained."""

from __future__ import annotations

import errno
import hashlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablations.design.base_design import base_design, image_size_of, read_preset, with_data_overrides
from ablations.design.fitting import fit
from ablations.design.matching import TOLERANCE
from ablations.design.names import check_folder_name
from ablations.design.options import Options
from ablations.design.overrides import Overrides, canonical_texts
from ablations.design.run_name import run_name
from ablations.design.scales import Scale, get_scale
from ablations.design.setup import changed_fields, setup_facts
from ablations.design.sizes import Curve, all_widths, baseline_curves, bring_to_size
from ablations.design.study import Design, Study
from ablations.design.trial import Trial
from ablations.records.record import Description, Member, StoredPlan
from xception.base import formatting as f
from xception.base.canonical import key_of
from xception.data.layout import Layout
from xception.data.source import Source
from xception.data.summary import Summary
from xception.train.recipe import Recipe
from xception.train.recipes import LATEST, get_recipe

__all__ = ["TUNED", "DataSets", "Options", "StudyPlan", "design_study", "plan_study"]


TUNED = "@tuned"  # behind the name of a study, and of its run, at recipes of each variant's own

# Seeds of studies are 0 … N − 1, of tuning from 10,000, of a search's winners from 20,000.
FRESH_SEED = 30_000
MOST_SEEDS = 10  # of the last look; `ablations.statistics` has the looks, and loads numpy


@dataclass(frozen=True, kw_only=True)
class DataSets:
    """Where a plan gets its data from: replaced where a catalogue is listed without looking at any."""

    find: Callable[[str, Path | None], Source]
    select_classes: Callable[[Source, Sequence[int]], Source]
    prepare: Callable[[Source, int], Source] = lambda source, image_size: source  # decodes at a size, and counts


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """A study with its data, scale and designs: everything but which seeds are trained so far.

    `sources` are all data sets by fingerprint, `mismatch` the remaining difference in size of each matched variant (a
    fraction of what it is compared with), `merged` the matched variants left out because another's width is also
    theirs, `curves` the baselines at other widths that stand in for sizes that no width of a variant meets, `weights`
    the files that transfers begin with, by what recipes call them, `left_out` the variants that cannot exist here, with
    the reason, `recipes` the recipe by (variant, seed) of replicates that were tuned each by itself.
    `run` is the name of the run.
    """

    study: Study
    options: Options
    source: Source
    notice: str | None
    scale: Scale
    designs: dict[str, Design]
    sources: dict[str, Source]
    mismatch: dict[str, float] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    curves: tuple[Curve, ...] = ()
    weights: dict[str, Path] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    run: str = ""
    setting: Mapping[str, Any] = field(default_factory=dict)
    across: str = ""
    recipes: dict[tuple[str, int], Recipe] = field(default_factory=dict)

    @property
    def is_sequential(self) -> bool:
        """Whether the number of seeds is decided as results come in.

        By default it is, but not where recipes are tuned, since each replicate is tuned before any is compared, nor in
        several settings, which are compared over the same seeds.
        """
        if self.options.fresh_seeds is not None:
            return False
        if self.options.seeds is None:
            return self.scale.is_adaptive and not self.options.tune and not self.setting
        return self.options.seeds == "auto"

    @property
    def seeds(self) -> range:
        """The seeds of a fixed design, or the most that a sequential one can come to."""
        if self.options.fresh_seeds is not None:
            return range(FRESH_SEED, FRESH_SEED + self.options.fresh_seeds)
        if self.is_sequential:
            return range(MOST_SEEDS)
        assert self.options.seeds != "auto"
        return range(self.scale.num_seeds if self.options.seeds is None else self.options.seeds)

    @property
    def margin(self) -> float:
        """δ, a fraction of test accuracy: the user's, else the study's, else the scale's."""
        if self.options.margin is not None:
            return self.options.margin / 100
        return self.scale.margin if self.study.margin is None else self.study.margin

    @property
    def summaries(self) -> list[Summary]:
        """What the data sets are like, where their images were decoded."""
        return [source.summary for source in self.sources.values() if source.summary is not None]

    def source_of(self, trial: Trial) -> Source:
        """The data set that a trial sees."""
        return self.sources[trial.dataset.fingerprint]

    def trials(self, seeds: Mapping[str, int] | None = None) -> dict[tuple[str, int], Trial]:
        """Return the trials by variant and seed; `seeds` gives the number of seeds per variant, all of them without it.

        A baseline at other widths gets as many seeds as the variants that are held against it.
        """
        if seeds is None:
            counts = dict.fromkeys([*self.designs, *self.widths], len(self.seeds))
        else:
            counts = dict(seeds) | {
                name: max(seeds[variant] for variant in curve.variants)
                for curve in self.curves
                for name in curve.widths
            }
        return {
            (name, seed): self._replicate(name, design, seed).trial(seed)
            for name, design in (self.designs | self.widths).items()
            for seed in self.seeds[: counts[name]]
        }

    def _replicate(self, name: str, design: Design, seed: int) -> Design:
        """The design of one replicate: with a recipe of its own where it was tuned."""
        recipe = self.recipes.get((name, seed))
        return design if recipe is None else design.replace(recipe=recipe)

    @property
    def widths(self) -> dict[str, Design]:
        """The baselines at other widths, by title: trained, but no variants of the study."""
        return all_widths(self.curves)

    def pretraining(self, places: Sequence[tuple[str, int]]) -> dict[str, Trial]:
        """Return the trials whose networks the trials at (variant, seed) begin with, by what recipes call them."""
        out: dict[str, Trial] = {}
        for variant, seed in places:
            design = (self.designs | self.widths)[variant].pretraining
            if design is not None:
                trial = design.trial(seed)
                out[f"trial:{trial.key}"] = trial
        return out

    def stored_plan(self, seeds: Mapping[str, int] | None = None) -> StoredPlan:
        """Return what the store keeps of this plan."""
        trials = self.trials(seeds)
        positions = {variant: i for i, variant in enumerate([*self.designs, *self.widths])}
        baselines = set(self.study.references().values())
        members = tuple(
            Member(
                variant=variant,
                seed=seed,
                stream=trial.stream,
                position=positions[variant],
                is_baseline=variant in baselines,
                key=trial.key,
            )
            for (variant, seed), trial in trials.items()
        )
        return StoredPlan(plan=self.identity, study=self.study.name, description=self.described(), members=members)

    @property
    def identity(self) -> str:
        """What names the plan in a store: the study, the data, the overrides and all designs."""
        designs = [key_of(design) for design in (self.designs | self.widths).values()]
        designs += [key_of(recipe) for recipe in self.recipes.values()]
        identity = [self.study.name, self.source.fingerprint, self.scale.name, *self.options.overrides(), *designs]
        if self.options.name is not None:
            identity.append(f"name {self.options.name}")
        return key_of(identity)

    def described(self) -> Description:
        """Return what tables, figures and reports say of the run."""
        return Description(
            question=self.study.question,
            reference=self.study.reference,
            dataset=self.source.title,
            scale=self.scale.name,
            margin=self.margin,
            seeds_mode="auto" if self.is_sequential else "fixed",
            notice=self.notice,
            command=self.command,
            fingerprint=self.source.fingerprint,
            fingerprints={source.title: fingerprint for fingerprint, source in self.sources.items()},
            mismatch=self.mismatch,
            remarks=self.remarks,
            match=self.options.match,
            tune=self.options.tune,
            levels={v.title: dict(v.levels) for v in self.study.variants if v.levels},
            references=self.study.references(),
            curves=[
                {"baseline": curve.baseline, "widths": list(curve.widths), "variants": list(curve.variants)}
                for curve in self.curves
            ],
            factors=list(self.study.within),
            data=[summary.as_plain() for summary in self.summaries],
            data_warnings=[f"{s.title}: {warning}" for s in self.summaries for warning in s.warnings],
            run=f"{self.run}{TUNED}" if self.study.name.endswith(TUNED) else self.run,
            setup=self.setup,
            changes={
                title: [list(change) for change in changed_fields(self.designs[reference], self.designs[title])]
                for title, reference in self.study.references().items()
                if title in self.designs and title != reference
            },
            left_out=self.left_out,
            setting=dict(self.setting),
            across=self.across,
        )

    @property
    def setup(self) -> dict[str, Any]:
        """What is trained: the baseline's network, recipe and data."""
        return setup_facts(
            self.designs[self.study.baseline],
            self.source,
            preset=self.options.preset or self.scale.preset,
            num_seeds=len(self.seeds),
            scale=self.scale.name,
            overrides=_without(self.options.overrides(), ("--dataset", "--scale")),
            threads=self.options.threads,
        )

    @property
    def remarks(self) -> list[str]:
        """What people should know before they read a result: sizes that could not be matched, and widths that serve
        twice.
        """
        out = [f"{variant} is left out: {reason}" for variant, reason in self.left_out.items()]
        far = [
            f"{variant} cannot be brought closer than {100 * (1 + off):.0f} % of its baseline's"
            f" {variant.rpartition('@')[2]}"
            for variant, off in self.mismatch.items()
            if abs(off) > TOLERANCE
        ]
        far += [
            f"{f.join_words(curve.variants)} {'is' if len(curve.variants) == 1 else 'are'} held against"
            f" {curve.baseline}'s accuracy over MACs as well, for which it is trained as {f.join_words(curve.widths)}"
            for curve in self.curves
        ]
        return [*out, *far] + [
            f"{variant} is the same network as {other}, which stands for both" for variant, other in self.merged.items()
        ]

    @property
    def command(self) -> str:
        """The command that asks for this run again."""
        return shlex.join(
            ["python", "run_ablation.py", "--study", self.study.path or self.study.name, *self.options.arguments()]
        )


def _without(words: Sequence[str], options: Sequence[str]) -> list[str]:
    """Arguments without some options and their values."""
    return [w for i, w in enumerate(words) if w not in options and (i == 0 or words[i - 1] not in options)]


def plan_study(study: Study, options: Options) -> StudyPlan:
    """Plan a study on the data that the options name, or on what is found where they name none.

    Raises:
        ValueError: an option, the data or a variant does not fit; the message names it.
    """
    # Wrong names are told before any data is read. The version is named, so that the stored command keeps its meaning.
    scale = get_scale(options.scale_name)
    options = options.replace(scale=scale.name, set=canonical_texts(options), config=None)
    _check(study, options)
    read_preset(options.preset or scale.preset)
    if options.recipe is not None:
        get_recipe(options.recipe)
        options = options.replace(recipe=LATEST.get(options.recipe, options.recipe))
    from xception.data.names import find, find_default

    wanted, layout = options.dataset or study.dataset, options.layout()
    source, notice = (
        find_default(options.data_dir, layout) if wanted is None else (find(wanted, options.data_dir, layout), None)
    )
    return design_study(study, options, source, notice)


def design_study(
    study: Study, options: Options, source: Source, notice: str | None, data: DataSets | None = None
) -> StudyPlan:
    """Bring the scale's network to the data, and make every variant's design.

    Without `data` the real data sets are looked for; with it, sizes are matched roughly, since it is for listing.

    Raises:
        ValueError: an option or a variant does not fit; the message names it.
    """
    study, scale, sets = study.matched(options.match), get_scale(options.scale_name), data or _real_data(options)
    if options.classes is not None:
        from xception.data.slices import parse_classes

        source = sets.select_classes(source, parse_classes(options.classes, source.num_classes))
    whole = source
    halved = study.transfers and options.weights is None
    if halved:
        source = sets.select_classes(whole, _halves(whole)[1])
    overrides = Overrides(options)
    overrides.refuse_varied(study)

    def prepared(source: Source) -> Source:
        source = with_data_overrides(overrides, source)
        return with_data_overrides(overrides, sets.prepare(source, image_size_of(options, overrides, scale, source)))

    source = prepared(source)
    fractions = any(v.train_fraction != 1.0 for v in study.variants)
    named = {v.dataset: sets.find(v.dataset, options.data_dir) for v in study.variants if v.dataset is not None}
    named = {name: prepared(s) for name, s in named.items()}
    bases: dict[str | None, Design] = {
        name: base_design(options, overrides, scale, s, explicit=fractions) for name, s in named.items()
    }
    bases[None] = base_design(options, overrides, scale, source, explicit=fractions)
    sources = {s.fingerprint: s for s in (source, *named.values())}
    weights: dict[str, Path] = {}
    fitted = fit(study, bases)
    study, designs = fitted.study, fitted.designs
    if study.transfers:
        if halved:
            first = prepared(sets.select_classes(whole, _halves(whole)[0]))
            sources[first.fingerprint] = first
            designs = _pretrained(designs, base_design(options, overrides, scale, first, explicit=False))
        else:
            assert options.weights is not None
            name = f"file:{_hash(options.weights)}"
            weights[name] = options.weights
            designs = {
                n: d if d.recipe.transfer is None else d.replace_at("recipe.transfer.source", name)
                for n, d in designs.items()
            }
    sizes = bring_to_size(study, designs, roughly=data is not None)
    fitted = fitted.without(sizes.left_out)
    study = fitted.study
    study.require_distinct(sizes.designs)
    return StudyPlan(
        study=study,
        options=options,
        source=source,
        notice=notice,
        scale=scale,
        designs=sizes.designs,
        sources=sources,
        mismatch=sizes.mismatch,
        merged=sizes.merged,
        curves=baseline_curves(study, sizes) if data is None else (),
        weights=weights,
        left_out=fitted.left_out,
        run=options.name or run_name(study, whole, options),
    )


def _real_data(options: Options) -> DataSets:
    from xception.data.names import find
    from xception.data.slices import select_classes
    from xception.data.summary import prepare

    channels = Layout(channels=options.channels)  # what else is said of the layout concerns the data set of the run
    return DataSets(
        find=lambda name, data_dir: find(name, data_dir, channels),
        select_classes=select_classes,
        prepare=lambda source, image_size: prepare(source, image_size, show_progress=True),
    )


def _halves(source: Source) -> tuple[range, range]:
    """The first and the second half of the classes."""
    if source.num_classes < 4:
        raise ValueError(
            f"--dataset: {source.title} has {source.num_classes} classes, too few to learn on one half and transfer to"
            " the other; 4 or more, or name a file with --weights"
        )
    middle = source.num_classes // 2
    return range(middle), range(middle, source.num_classes)


def _pretrained(designs: dict[str, Design], first: Design) -> dict[str, Design]:
    """The designs, those that transfer with the design of the network that they begin with."""
    return {name: d if d.recipe.transfer is None else d.replace(pretraining=first) for name, d in designs.items()}


def _hash(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise OSError(errno.EINVAL, "not a file")
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"--weights: {path} cannot be read ({error.strerror}); allowed: a file of weights") from None


def _check(study: Study, options: Options) -> None:
    for name, value, least, most in (
        ("--seeds", options.seeds, 1, 10_000),  # those of tuning begin there
        ("--epochs", options.epochs, 1, 1_000_000),
        ("--train-size", options.train_size, 2, 10**12),
        ("--tune", options.tune, 0, 10_000),
        ("--fresh-seeds", options.fresh_seeds, 1, 10_000),
    ):
        if isinstance(value, int) and not least <= value <= most:
            more = ", or auto" if name == "--seeds" else ""
            raise ValueError(f"{name}: {value} is not allowed; {least} to {most:,}{more}")
    if options.name is not None:
        check_folder_name(options.name, "--name")
    if options.margin is not None and not 0 < options.margin < 100:
        raise ValueError(f"--margin: {options.margin:g} is not allowed; percentage points above 0 and below 100")
    if options.fresh_seeds is not None and options.seeds is not None:
        raise ValueError(f"--fresh-seeds: {options.fresh_seeds} is not allowed beside --seeds; one of the two")
    if options.tune and options.seeds == "auto":
        raise ValueError("--seeds: auto is not allowed with --tune, which tunes each replicate in advance; a number")
    if options.tune and study.transfers:
        raise ValueError(
            f"--tune: {options.tune} is not allowed with the study {study.name}, whose source networks stay as they"
            " are; 0"
        )
    if study.dataset is not None and options.dataset not in (None, study.dataset):
        raise ValueError(
            f"--dataset: {options.dataset!r} is not allowed; the study {study.name} is about {study.dataset}"
        )
    if options.weights is not None and not study.transfers:
        raise ValueError(
            f"--weights: the study {study.name} trains from scratch; leave it out, or use the study transfer"
        )
