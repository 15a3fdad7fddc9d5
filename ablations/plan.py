"""From a study and what the user asked for to the exact trials, before anything is trained."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ablations.scales import Scale, get_scale
from ablations.record import Member, Plan
from ablations.study import Design, Study
from ablations.trial import Trial
from xception import presets
from xception.canonical import key_of
from xception.data.names import find, find_default
from xception.data.source import Source

__all__ = ["Options", "StudyPlan", "design_study", "plan_study"]

Match = Literal["none", "params", "macs"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a user can ask of a run; None leaves the choice to the scale or the machine."""

    scale: str = "quick"
    dataset: str | None = None
    seeds: int | Literal["auto"] | None = None
    preset: str | None = None
    epochs: int | None = None
    train_size: int | None = None
    match: Match = "none"
    tune: int = 0
    data_dir: Path | None = None
    out: Path = Path("results/local")
    store: str | None = None

    @property
    def store_url(self) -> str:
        """The store asked for, else `<out>/records.db`."""
        return self.store or f"sqlite:///{self.out / 'records.db'}"

    def arguments(self) -> list[str]:
        """Return the command-line arguments that ask for the same, without the study's name."""
        pairs: list[tuple[str, Any]] = [
            ("--dataset", self.dataset),
            ("--scale", self.scale),
            ("--seeds", self.seeds),
            ("--preset", self.preset),
            ("--epochs", self.epochs),
            ("--train-size", self.train_size),
            ("--match", None if self.match == "none" else self.match),
            ("--tune", self.tune or None),
            ("--data-dir", self.data_dir),
            ("--out", None if self.out == Path("results/local") else self.out),
            ("--store", _without_password(self.store)),
        ]
        return [word for name, value in pairs if value is not None for word in (name, str(value))]


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """A study with its data, scale and designs: everything but which seeds are trained so far."""

    study: Study
    options: Options
    source: Source
    notice: str | None
    scale: Scale
    designs: dict[str, Design]
    mismatch: dict[str, float]

    @property
    def is_sequential(self) -> bool:
        """Whether the number of seeds is decided as results come in."""
        return self.options.seeds == "auto"

    @property
    def seeds(self) -> range:
        """The seeds of a fixed design, or the most that a sequential one can come to."""
        if self.options.seeds == "auto":
            return range(10)
        return range(self.scale.num_seeds if self.options.seeds is None else self.options.seeds)

    def trials(self, seeds: dict[str, int] | None = None) -> dict[tuple[str, int], Trial]:
        """Return the trials by variant and seed; `seeds` gives the number of seeds per variant, all of them without it."""
        return {
            (variant, seed): design.trial(seed)
            for variant, design in self.designs.items()
            for seed in (self.seeds if seeds is None else range(seeds[variant]))
        }

    def stored_plan(self, seeds: dict[str, int] | None = None) -> Plan:
        """Return what the store keeps of this plan."""
        trials = self.trials(seeds)
        positions = {variant: i for i, variant in enumerate(self.designs)}
        members = tuple(
            Member(
                variant=variant,
                seed=seed,
                stream=trial.stream,
                position=positions[variant],
                is_baseline=variant == self.study.baseline,
                key=trial.key,
            )
            for (variant, seed), trial in trials.items()
        )
        overrides = [str(w) for w in self.options.arguments() if w not in ("--out", "--store", "--data-dir")]
        identity = [self.study.name, self.source.fingerprint, self.scale.name, *overrides, *(key_of(d) for d in self.designs.values())]
        return Plan(plan=key_of(identity), study=self.study.name, options=self.described(), members=members)

    def described(self) -> dict[str, Any]:
        """Return what tables, figures and reports tell of the run."""
        return {
            "question": self.study.question,
            "source": self.study.source,
            "dataset": self.source.title,
            "scale": self.scale.name,
            "margin": self.study.margin,
            "seeds_mode": "auto" if self.is_sequential else "fixed",
            "notice": self.notice,
            "command": self.command,
            "fingerprint": self.source.fingerprint,
            "mismatch": self.mismatch,
            "match": self.options.match,
            "tune": self.options.tune,
            "levels": {v.name: dict(v.levels) for v in self.study.variants if v.levels},
        }

    @property
    def command(self) -> str:
        """The command that asks for this run again."""
        return shlex.join(["python", "run_ablation.py", "--study", self.study.name, *self.options.arguments()])


def plan_study(study: Study, options: Options) -> StudyPlan:
    """Plan a study on the data that the options name, or on what is found where they name none.

    Raises:
        ValueError: an option, the data or a variant does not fit; the message names it.
    """
    _check(options)
    presets.get(options.preset or get_scale(options.scale).preset)  # a wrong name is told before any data is read
    if options.dataset is None:
        source, notice = find_default(options.data_dir)
    else:
        source, notice = find(options.dataset, options.data_dir), None
    return design_study(study, options, source, notice)


def design_study(study: Study, options: Options, source: Source, notice: str | None) -> StudyPlan:
    """Bring the scale's network to the data, and make every variant's design.

    Raises:
        ValueError: an option or a variant does not fit; the message names it.
    """
    scale = get_scale(options.scale)
    preset = options.preset or scale.preset
    image_size = presets.input_size(preset) if scale.max_image_size is None else min(source.native_size, scale.max_image_size)
    train_size, val_size, test_size = scale.sizes(source, options.train_size)
    is_whole = train_size == source.num_train - val_size
    base = Design(
        model=presets.get(preset).for_data(num_classes=source.num_classes, in_channels=source.in_channels, input_size=image_size),
        recipe=scale.recipe.replace(epochs=options.epochs or scale.recipe.epochs, batch_size=scale.batch_size(train_size)),
        dataset=source.config(image_size=image_size, train_size=None if is_whole else train_size, val_size=val_size, test_size=test_size),
    )
    return StudyPlan(study=study, options=options, source=source, notice=notice, scale=scale, designs=study.designs(base), mismatch={})


def _check(options: Options) -> None:
    for name, value, least in (("--seeds", options.seeds, 1), ("--epochs", options.epochs, 1), ("--train-size", options.train_size, 2)):
        if isinstance(value, int) and value < least:
            raise ValueError(f"{name}: {value} is not allowed; {least} or more" + (", or auto" if name == "--seeds" else ""))
    if options.tune < 0:
        raise ValueError(f"--tune: {options.tune} is not allowed; 0 or more")


def _without_password(url: str | None) -> str | None:
    if url is None or "://" not in url:
        return url
    import sqlalchemy as sa

    return sa.make_url(url).render_as_string(hide_password=True)
