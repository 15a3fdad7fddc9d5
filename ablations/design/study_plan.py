"""A study made concrete: its data, scale and designs, and the trials that follow from them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablations.design.matching import TOLERANCE
from ablations.design.options import Options
from ablations.design.scales import Scale
from ablations.design.setup import changed_fields, setup_facts
from ablations.design.sizes import Curve, all_widths
from ablations.design.study import Design, Study
from ablations.design.trial import Trial
from ablations.records.record import Description, Member, StoredPlan
from xception.base import formatting as f
from xception.base.canonical import key_of
from xception.data.source import Source
from xception.data.summary import Summary
from xception.train.recipe import Recipe

__all__ = ["FRESH_SEED", "MOST_SEEDS", "TUNED", "StudyPlan"]


TUNED = "@tuned"  # suffix of the name of a study, and of its run, with each variant's own recipe

# Seeds of studies are 0 … N − 1, of tuning from 10,000, of a search's winners from 20,000.
FRESH_SEED = 30_000
MOST_SEEDS = 10  # of the last interim analysis; `ablations.statistics` has them all, but loads numpy


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """A study with its data, scale and designs: everything except the seeds trained so far.

    `sources` are all data sets by fingerprint, `mismatch` the remaining difference in size of each matched variant (a
    fraction of what it is compared with), `merged` the matched variants left out because another's width is also
    theirs, `curves` the baselines at other widths, for variants that match at no width, `weights` the files that
    transfers start from, by their names in recipes, `left_out` the variants that cannot exist here, with the reason,
    `recipes` the recipe by (variant, seed) of replicates that were tuned individually. `run` is the name of the run.
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
        """Whether the number of seeds depends on results.

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
        """The seeds of a fixed design, or the most that a sequential one can use."""
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
        """Summaries of the data sets whose images were decoded."""
        return [source.summary for source in self.sources.values() if source.summary is not None]

    def source_of(self, trial: Trial) -> Source:
        """The data set of a trial."""
        return self.sources[trial.dataset.fingerprint]

    def trials(self, seeds: Mapping[str, int] | None = None) -> dict[tuple[str, int], Trial]:
        """Return the trials by variant and seed; `seeds` gives the number of seeds per variant, all of them without it.

        A baseline at other widths gets as many seeds as the variants that are compared with it.
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
        """The design of one replicate, with its own recipe if it was tuned."""
        recipe = self.recipes.get((name, seed))
        return design if recipe is None else design.replace(recipe=recipe)

    @property
    def widths(self) -> dict[str, Design]:
        """The baselines at other widths, by title: trained, but not variants of the study."""
        return all_widths(self.curves)

    def pretraining(self, places: Sequence[tuple[str, int]]) -> dict[str, Trial]:
        """Return the trials whose networks the trials at (variant, seed) start from, by their names in recipes."""
        out: dict[str, Trial] = {}
        for variant, seed in places:
            design = (self.designs | self.widths)[variant].pretraining
            if design is not None:
                trial = design.trial(seed)
                out[f"trial:{trial.key}"] = trial
        return out

    def stored_plan(self, seeds: Mapping[str, int] | None = None) -> StoredPlan:
        """Return this plan as the store keeps it."""
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
        """The plan's name in a store, from the study, the data, the overrides and all designs."""
        designs = [key_of(design) for design in (self.designs | self.widths).values()]
        designs += [key_of(recipe) for recipe in self.recipes.values()]
        identity = [self.study.name, self.source.fingerprint, self.scale.name, *self.options.overrides(), *designs]
        if self.options.name is not None:
            identity.append(f"name {self.options.name}")
        return key_of(identity)

    def described(self) -> Description:
        """Return the description of the run for tables, figures and reports."""
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
        """Notes to read before a result: sizes that could not be matched, and widths that coincide."""
        out = [f"{variant} is left out: {reason}" for variant, reason in self.left_out.items()]
        far = [
            f"{variant} cannot be brought closer than {100 * (1 + off):.0f} % of its baseline's"
            f" {variant.rpartition('@')[2]}"
            for variant, off in self.mismatch.items()
            if abs(off) > TOLERANCE
        ]
        far += [
            f"{f.join_words(curve.variants)} {'is' if len(curve.variants) == 1 else 'are'} compared with"
            f" {curve.baseline}'s accuracy over MACs as well, for which it is trained as {f.join_words(curve.widths)}"
            for curve in self.curves
        ]
        return [*out, *far] + [
            f"{variant} is the same network as {other}, which represents both" for variant, other in self.merged.items()
        ]

    @property
    def command(self) -> str:
        """The command that repeats this run."""
        return shlex.join(
            ["python", "run_ablation.py", "--study", self.study.path or self.study.name, *self.options.arguments()]
        )


def _without(words: Sequence[str], options: Sequence[str]) -> list[str]:
    """Arguments without some options and their values."""
    return [w for i, w in enumerate(words) if w not in options and (i == 0 or words[i - 1] not in options)]
