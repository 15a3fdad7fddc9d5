"""Which variants of a study can exist on a network, why the others cannot, and the baselines of the remaining ones.

A variant that cannot exist is left out and named with the reason. A baseline that cannot exist is replaced by the
network's own choice, which the question states. A study with nothing left to compare is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ablations.design.fields import catalogue
from ablations.design.study import Design, Study, Variant
from xception.base.canonical import Config, hints_of
from xception.base.changes import Soft

__all__ = ["OWN_CHOICE", "Fitted", "fit"]

OWN_CHOICE = "the network's own"


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A study without the variants that cannot exist, their designs by title, and why each of the others is left
    out.
    """

    study: Study
    designs: dict[str, Design]
    left_out: dict[str, str]

    def without(self, more: Mapping[str, str]) -> Fitted:
        """Return the same with further variants left out, none of them a baseline.

        Raises:
            ValueError: nothing is left to compare.
        """
        if not more:
            return self
        kept = [v for v in self.study.variants if v.title not in more]
        designs = {title: design for title, design in self.designs.items() if title not in more}
        return _fitted(self.study, kept, designs, {**self.left_out, **more})


def fit(study: Study, bases: Mapping[str | None, Design]) -> Fitted:
    """Return the study without the variants that cannot exist; `designs` are those that its variants change, by data
    set (None is the run's).

    Raises:
        ValueError: a variant names a field or a value that no design has, or nothing is left to compare.
    """
    designs: dict[str, Design] = {}
    left_out: dict[str, str] = {}
    for variant in study.ordered:
        if variant.skip is not None:
            left_out[variant.title] = variant.skip
            continue
        try:
            designs[variant.title] = variant.apply(bases[variant.dataset])
        except ValueError as error:
            _refuse_what_is_wrong(study, variant, error)
            left_out[variant.title] = _reason(variant, bases[variant.dataset], error)
    kept = [v for v in study.variants if v.title in designs]
    if study.within:
        study, kept = _with_group_baselines(study, kept, left_out)
    elif study.baseline in left_out and len(kept) > 0:
        own = bases[study.variant(study.baseline).dataset]
        study, kept = _with_own_baseline(study, kept, designs, own, left_out[study.baseline])
    return _fitted(study, kept, designs, left_out)


def _fitted(study: Study, kept: list[Variant], designs: Mapping[str, Design], left_out: dict[str, str]) -> Fitted:
    if len(kept) < min(2, len(study.variants)) or study.baseline not in {v.title for v in kept}:
        reasons = list(dict.fromkeys(left_out.values()))
        shown = "; ".join(reasons[:2]) + (f" (and {len(reasons) - 2} other reasons)" if len(reasons) > 2 else "")
        raise ValueError(f"study {study.name}: nothing is left to compare on this network: {shown}")
    study = replace(study, variants=tuple(kept))
    return Fitted(study=study, designs={v.title: designs[v.title] for v in study.ordered}, left_out=left_out)


def _with_own_baseline(
    study: Study, kept: list[Variant], designs: dict[str, Design], own: Design, reason: str
) -> tuple[Study, list[Variant]]:
    """The study with the network's own choice as its baseline: the variant that makes it, or one added for it."""
    title = next((v.title for v in kept if designs[v.title] == own), OWN_CHOICE)
    question = f"{study.question} (Compared with {title}, since {study.baseline} cannot exist there: {reason}.)"
    if title == OWN_CHOICE:
        kept = [Variant(name=OWN_CHOICE), *kept]
        designs[OWN_CHOICE] = own
    variants = (*study.variants, *(v for v in kept if v not in study.variants))
    return replace(study, variants=variants, baseline=title, question=question), kept


def _with_group_baselines(study: Study, kept: list[Variant], left_out: dict[str, str]) -> tuple[Study, list[Variant]]:
    """The study without the variants whose own baseline cannot exist, led by a baseline that can."""
    references = study.references()
    orphans = [v for v in kept if references[v.title] in left_out]
    left_out |= {v.title: f"what it is compared with, {references[v.title]}, cannot exist there" for v in orphans}
    kept = [v for v in kept if v not in orphans]
    alone = [
        v for v in kept if sum(references[w.title] == v.title for w in kept) == 1 and references[v.title] == v.title
    ]
    if len(alone) < len(kept):
        left_out |= {v.title: "nothing is left to compare with it" for v in alone}
        kept = [v for v in kept if v not in alone]
    baselines = [references[v.title] for v in kept]
    if baselines and study.baseline not in baselines:
        question = f"{study.question} (Led by {baselines[0]}, since {study.baseline} cannot exist there.)"
        study = replace(study, baseline=baselines[0], question=question)
    return study, kept


def _reason(variant: Variant, base: Design, error: ValueError) -> str:
    """Return why a variant cannot exist: a field that the network lacks, or the error of its config."""
    for path in variant.changes:
        above, _, name = path.rpartition(".")
        try:
            found = base.at(path if above == "" else above)
        except ValueError:
            found = None
        if above and not (isinstance(found, Config) and name in hints_of(type(found))):
            return f"the network has no {path.removeprefix('model.')}"
    return str(error)


def _refuse_what_is_wrong(study: Study, variant: Variant, error: ValueError) -> None:
    """Raise where a variant names a field or a value that no design can have, which is a mistake in the study."""
    where = f"study {study.name}, variant {variant.title}"
    for path, value in variant.changes.items():
        if not catalogue().has(path):
            raise ValueError(f"{where}: {error}{catalogue().suggest(path)}") from None
        plain = value.value if isinstance(value, Soft) else value
        if not callable(plain):
            try:
                catalogue().check(path, plain)
            except ValueError as wrong:
                raise ValueError(f"{where}: {wrong}") from None
