"""Sources without data, for plans that are only counted: of the size of CIFAR-10, or of a study's own data set.

No data is looked up, so that listing is fast.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ablations.design.plan_study import DataSets
from ablations.design.study import Study
from xception.data.source import Source
from xception.data.synthetic import SyntheticReader

__all__ = ["CIFAR10", "STAND_INS", "stand_in", "stand_in_for"]

CIFAR10 = Source(
    name="cifar10",
    title="CIFAR-10",
    fingerprint="0" * 64,
    num_train=50_000,
    num_test=10_000,
    class_names=tuple(str(i) for i in range(10)),
    native_size=32,
    reader=SyntheticReader(kappa=0.0),
)


def stand_in(name: str, data_dir: Path | None = None) -> Source:
    """Return a source with the given name and the sizes of the synthetic set."""
    return replace(
        CIFAR10, name=name, fingerprint=hashlib.sha256(name.encode()).hexdigest(), num_train=12_000, num_test=2_000
    )


def _part(source: Source, classes: Sequence[int]) -> Source:
    """A stand-in of some classes."""
    share = len(classes) / source.num_classes
    return replace(
        stand_in(f"{source.name} {classes}"),
        num_train=round(source.num_train * share),
        num_test=round(source.num_test * share),
        class_names=tuple(source.class_names[label] for label in classes),
    )


def stand_in_for(study: Study) -> Source:
    """Return the stand-in for a study's own data set, or else for CIFAR-10."""
    return CIFAR10 if study.dataset is None else stand_in(study.dataset)


STAND_INS = DataSets(find=stand_in, select_classes=_part)
