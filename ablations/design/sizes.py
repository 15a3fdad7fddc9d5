"""A study's designs matched in size, and the baseline at several widths for variants that no width matches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ablations.design.matching import TOLERANCE, baseline_widths, match, size
from ablations.design.study import Design, Study
from xception.network.config import XceptionConfig

__all__ = ["Curve", "Sizes", "all_widths", "baseline_curves", "bring_to_size"]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The designs with matched variants at their width.

    `mismatch` is the remaining difference in size of each matched variant, a fraction of its baseline's size;
    `merged` the matched variants left out because they are the same network as the variant unmatched or matched
    otherwise, with that one; `left_out` those that no width can be built for, with the reason.
    """

    designs: dict[str, Design]
    mismatch: dict[str, float] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def unmatched(self) -> list[str]:
        """The variants that are within the tolerance at no width."""
        return [name for name, off in self.mismatch.items() if abs(off) > TOLERANCE and name in self.designs]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A baseline at other widths, by title, and the unmatched variants compared with its accuracy over MACs."""

    baseline: str
    widths: dict[str, Design]
    variants: tuple[str, ...]


def bring_to_size(study: Study, designs: Mapping[str, Design], *, roughly: bool) -> Sizes:
    """Return the designs with those of matched variants at the width that matches their baseline's size.

    Raises:
        ValueError: the width of a network to be matched cannot be chosen.
    """
    out, mismatch, left_out, references = dict(designs), {}, {}, study.references()
    for variant in study.variants:
        if variant.match == "none":
            continue
        own, other = designs[variant.title], designs[references[variant.title]]
        if not isinstance(own.model, XceptionConfig) or not isinstance(other.model, XceptionConfig):
            raise ValueError(
                f"study {study.name}, variant {variant.title}: --match {variant.match} is for networks of ours, whose"
                " width can be chosen; use --match none"
            )
        try:
            found = match(own.model, other.model, variant.match, input_size=own.dataset.image_size, roughly=roughly)
        except ValueError as error:
            left_out[variant.title] = str(error)
            del out[variant.title]
            continue
        out[variant.title] = own.replace(model=found.config)
        mismatch[variant.title] = found.ratio - 1
    merged = _merge(study, out)
    return Sizes(designs=out, mismatch=mismatch, merged=merged, left_out=left_out)


def baseline_curves(study: Study, sizes: Sizes) -> tuple[Curve, ...]:
    """Return for each baseline with unmatched variants the widths to train it at; none if its widths do not reach their
    sizes.
    """
    references = study.references()
    curves = []
    for baseline in dict.fromkeys(references[name] for name in sizes.unmatched):
        variants = tuple(name for name in sizes.unmatched if references[name] == baseline)
        design = sizes.designs[baseline]
        curve = _curve(baseline, design, {name: sizes.designs[name] for name in variants})
        if curve is not None:
            curves.append(curve)
    return tuple(curves)


def _curve(baseline: str, design: Design, variants: Mapping[str, Design]) -> Curve | None:
    """The curve for some variants of one baseline, which differ in image size only if the study varies it."""
    pixels = design.dataset.image_size
    macs = [size(_ours(variant), "macs", pixels) for variant in variants.values()]
    try:
        found = baseline_widths(_ours(design), macs, input_size=pixels)
    except ValueError:
        return None  # the baseline cannot be built on both sides: only the mismatch is reported
    widths = {
        f"{baseline} at width {config.width_multiplier:.3g}": design.replace(model=config)
        for config in found
        if config != design.model
    }
    return Curve(baseline=baseline, widths=widths, variants=tuple(variants))


def _ours(design: Design) -> XceptionConfig:
    assert isinstance(design.model, XceptionConfig)  # checked before
    return design.model


def _merge(study: Study, designs: dict[str, Design]) -> dict[str, str]:
    """Take out matched variants that have the same network as the same variant unmatched or matched otherwise; return
    which stands for which.
    """
    matched = [v for v in study.variants if v.match != "none" and v.title in designs]
    unmatched = [v for v in study.variants if v.match == "none"]
    merged: dict[str, str] = {}
    for i, variant in enumerate(matched):
        for other in (*unmatched, *matched[:i]):
            if other.name == variant.name and other.title in designs and designs[other.title] == designs[variant.title]:
                merged[variant.title] = other.title
                del designs[variant.title]
                break
    return merged


def all_widths(curves: Iterable[Curve]) -> dict[str, Design]:
    """Return the designs of all curves by title."""
    return {name: design for curve in curves for name, design in curve.widths.items()}
