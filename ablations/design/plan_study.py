"""From a study and options to a study plan: the exact trials, before anything is trained."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ablations.design.base_design import base_design, image_size_of, read_preset, with_data_overrides
from ablations.design.fitting import fit
from ablations.design.names import check_folder_name
from ablations.design.options import Options
from ablations.design.overrides import Overrides, canonical_texts
from ablations.design.run_name import run_name
from ablations.design.scales import get_scale
from ablations.design.sizes import baseline_curves, bring_to_size
from ablations.design.study import Design, Study
from ablations.design.study_plan import StudyPlan
from xception.data.layout import Layout
from xception.data.source import Source
from xception.train.recipes import LATEST, get_recipe

__all__ = ["DataSets", "design_study", "plan_study"]


@dataclass(frozen=True, kw_only=True)
class DataSets:
    """The access of a plan to data; replaced to list the catalogue without reading any data."""

    find: Callable[[str, Path | None], Source]
    select_classes: Callable[[Source, Sequence[int]], Source]
    prepare: Callable[[Source, int], Source] = lambda source, image_size: source  # decodes at a size, and counts


def plan_study(study: Study, options: Options) -> StudyPlan:
    """Plan a study on the data that the options name, or on the default data if they name none.

    Raises:
        ValueError: an option, the data or a variant does not fit; the message names it.
    """
    # Wrong names are reported before any data is read. The version is named so that the stored command keeps its
    # meaning.
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
    """Adapt the scale's network to the data, and make every variant's design.

    Without `data` the real data sets are looked up; with it, sizes are matched roughly, since it is for listing.

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

    channels = Layout(channels=options.channels)  # the other parts of the layout concern the data set of the run
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
    """The designs; those that transfer also get the design of the network that they start from."""
    return {name: d if d.recipe.transfer is None else d.replace(pretraining=first) for name, d in designs.items()}


def _hash(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():  # reading a pipe would block
            raise OSError(errno.EINVAL, "not a file")
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"--weights: {path} cannot be read ({error.strerror}); allowed: a file of weights") from None


def _check(study: Study, options: Options) -> None:
    for name, value, least, most in (
        ("--seeds", options.seeds, 1, 10_000),  # seeds of tuning start there
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
        raise ValueError(f"--fresh-seeds: {options.fresh_seeds} is not allowed with --seeds; one of the two")
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
