"""Analyses of kept predictions: effects by class, confusion, agreement, images whose correctness changes.

All of it is post hoc, apart from the verdicts. The intervals of the differences by class are simultaneous over all
classes and variants of a study; with seeds as needed they allow for every look, as those of the effects do, and only
the seeds of the look at which a variant stopped are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ablations import statistics as st
from ablations.analysis.effect_rows import possible
from ablations.analysis.measurements import Measurements, measure
from ablations.analysis.seeds_read import decide_as_read, looks_of
from xception.train.predictions import unpack_predictions

__all__ = ["PredictionTables", "prediction_tables"]

CHANGED = 20  # images of a variant, each way
CLASS_COLUMNS = (
    *("variant", "baseline", "class", "class_name", "num_images", "n", "accuracy_mean", "baseline_accuracy_mean"),
    *("delta_mean", "delta_ci_low", "delta_ci_high", "p_adjusted"),
)
CONFUSION_COLUMNS = (
    *("variant", "baseline", "n", "true_class", "true_class_name", "predicted_class", "predicted_class_name"),
    *("share", "baseline_share", "difference"),
)
AGREEMENT_COLUMNS = ("variant", "baseline", "n", "same_seed", "other_seed", "variant_seeds", "baseline_seeds")
EXAMPLE_COLUMNS = (
    *("variant", "baseline", "n", "image", "true_class", "true_class_name", "num_only_variant", "num_only_baseline"),
)


@dataclass(frozen=True, kw_only=True)
class PredictionTables:
    """The analyses of the predictions of one comparison; shares and accuracies are fractions.

    `classes` has a row for each variant and class that occurs in the test set, `confusion` one for each cell that is
    not empty in the variant's matrix or the baseline's, `agreement` one for each variant, and `examples` the images
    whose correctness changes in most seeds, of those that change at least twice as often one way as the other.
    `without` are the variants without a pair of records with predictions, `family` the number of differences by class
    with simultaneous intervals, `absent` the classes that no test image has. `is_sequential` is true for seeds as
    needed.
    """

    classes: pd.DataFrame
    confusion: pd.DataFrame
    agreement: pd.DataFrame
    examples: pd.DataFrame
    without: tuple[str, ...]
    family: int
    absent: tuple[str, ...] = ()
    is_sequential: bool = False


@dataclass(frozen=True, kw_only=True)
class _Pairs:
    """The predictions of a variant and its baseline, row i of both being of one seed, and the labels.

    `places` are the seeds' places among those of the study, `look` the one at which the variant is read.
    """

    variant: str
    baseline: str
    look: st.Look
    places: tuple[int, ...]
    mine: NDArray[np.int64]  # (seeds, images)
    theirs: NDArray[np.int64]
    labels: NDArray[np.int64]  # (images,)
    num_classes: int

    @property
    def names(self) -> dict[str, Any]:
        return {"variant": self.variant, "baseline": self.baseline, "n": len(self.mine)}


def prediction_tables(frame: pd.DataFrame, class_names: Sequence[str] = ()) -> PredictionTables:
    """Return the analyses of the predictions in a frame of one comparison; `class_names` are those of its data set.

    A variant is analysed over the seeds for which its record and its baseline's have predictions of the same images.
    Names are ignored if their number is not that of the classes.

    Raises:
        ValueError: the frame contradicts itself, as in `ablations.compare`.
    """
    measured = measure(frame)
    looks = looks_of(measured)
    pairs = [_pairs(measured, index, look) for index, look in zip(measured.compared, looks, strict=True)]
    found = [one for one in pairs if one is not None]
    classes, family = _classes(found, class_names, len(measured.seeds))
    return PredictionTables(
        classes=classes,
        confusion=_confusion(found, class_names),
        agreement=_agreement(found),
        examples=_examples(found, class_names),
        without=tuple(measured.variants[i] for i, one in zip(measured.compared, pairs, strict=True) if one is None),
        family=family,
        absent=_absent(found, class_names),
        is_sequential=measured.is_sequential,
    )


def _pairs(measured: Measurements, index: int, look: st.Look) -> _Pairs | None:
    variant, baseline = measured.variants[index], measured.variants[measured.references[index]]
    mine, theirs, labels, sizes, places = [], [], [], [], []
    for place, seed in enumerate(measured.seeds[: look.seeds]):
        own, other = (_predictions(measured.rows.get((name, seed))) for name in (variant, baseline))
        if own is not None and other is not None and own[2] == other[2] and np.array_equal(own[1], other[1]):
            mine.append(own[0])
            theirs.append(other[0])
            labels.append(own[1])
            sizes.append(own[2])
            places.append(place)
    if not mine or any(not np.array_equal(labels[0], other) for other in labels[1:]):
        return None
    return _Pairs(
        variant=variant,
        baseline=baseline,
        look=look,
        places=tuple(places),
        mine=np.stack(mine),
        theirs=np.stack(theirs),
        labels=labels[0],
        num_classes=sizes[0],
    )


def _predictions(row: dict[str, Any] | None) -> tuple[NDArray[np.int64], NDArray[np.int64], int] | None:
    """Predicted classes, labels and number of classes of a completed trial that has them."""
    if row is None or row["status"] != "complete":
        return None
    packed, correct = row.get("predictions"), row.get("correct")
    if not isinstance(packed, bytes) or not isinstance(correct, bytes):
        return None
    num_classes = int(row["num_classes"])
    predicted, labels = unpack_predictions(packed, st.unpack_correct(correct, int(row["num_test"])), num_classes)
    return predicted, labels, num_classes


def _classes(found: list[_Pairs], class_names: Sequence[str], num_seeds: int) -> tuple[pd.DataFrame, int]:
    rows: list[dict[str, Any]] = []
    differences, grids, looks = [], [], []
    for one in found:
        mine, theirs = (st.class_accuracy(of, one.labels, one.num_classes) for of in (one.mine, one.theirs))
        sizes = np.bincount(one.labels, minlength=one.num_classes)
        for number in np.flatnonzero(sizes).tolist():
            rows.append(
                {
                    **one.names,
                    "class": number,
                    "class_name": _name(number, one.num_classes, class_names),
                    "num_images": int(sizes[number]),
                    "accuracy_mean": float(mine[number].mean()),
                    "baseline_accuracy_mean": float(theirs[number].mean()),
                }
            )
            by_seed = np.full(num_seeds, np.nan)
            by_seed[list(one.places)] = mine[number] - theirs[number]
            differences.append(by_seed)
            grids.append(1 / sizes[number])
            looks.append(one.look)
    if rows:
        decisions = decide_as_read(np.array(differences), looks, grid=np.array(grids))
        for k, row in enumerate(rows):
            numbers = possible({name: float(getattr(decisions, name)[k]) for name in ("mean", "low", "high", "p")})
            row |= {"delta_mean": numbers["mean"], "delta_ci_low": numbers["low"], "delta_ci_high": numbers["high"]}
            row["p_adjusted"] = numbers["p"]
    return pd.DataFrame(rows, columns=pd.Index(CLASS_COLUMNS)), len(rows)


def _absent(found: list[_Pairs], class_names: Sequence[str]) -> tuple[str, ...]:
    """The classes that no test image has."""
    if not found:
        return ()
    first = found[0]
    numbers = np.flatnonzero(np.bincount(first.labels, minlength=first.num_classes) == 0).tolist()
    return tuple(_name(number, first.num_classes, class_names) for number in numbers)


def _confusion(found: list[_Pairs], class_names: Sequence[str]) -> pd.DataFrame:
    parts = []
    for one in found:
        mine, theirs = (st.confusion_shares(of, one.labels, one.num_classes) for of in (one.mine, one.theirs))
        true, predicted = np.nonzero((np.nan_to_num(mine) > 0) | (np.nan_to_num(theirs) > 0))
        names = np.array(
            [_name(number, one.num_classes, class_names) for number in range(one.num_classes)], dtype=object
        )
        parts.append(
            pd.DataFrame(
                {
                    **one.names,
                    "true_class": true,
                    "true_class_name": names[true],
                    "predicted_class": predicted,
                    "predicted_class_name": names[predicted],
                    "share": mine[true, predicted],
                    "baseline_share": theirs[true, predicted],
                    "difference": (mine - theirs)[true, predicted],
                }
            )
        )
    columns = pd.Index(CONFUSION_COLUMNS)
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _agreement(found: list[_Pairs]) -> pd.DataFrame:
    rows = [one.names | vars(st.agreement(one.mine, one.theirs)) for one in found]
    return pd.DataFrame(rows, columns=pd.Index(AGREEMENT_COLUMNS))


def _examples(found: list[_Pairs], class_names: Sequence[str]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for one in found:
        changed = st.changed_examples(one.mine == one.labels, one.theirs == one.labels)
        for more, less in (
            (changed.only_variant, changed.only_baseline),
            (changed.only_baseline, changed.only_variant),
        ):
            order = np.argsort(less - more, kind="stable")[:CHANGED]
            for image in order[(more > 0)[order] & (more >= 2 * less)[order]].tolist():
                true = int(one.labels[image])
                rows.append(
                    {
                        **one.names,
                        "image": image,
                        "true_class": true,
                        "true_class_name": _name(true, one.num_classes, class_names),
                        "num_only_variant": int(changed.only_variant[image]),
                        "num_only_baseline": int(changed.only_baseline[image]),
                    }
                )
    return pd.DataFrame(rows, columns=pd.Index(EXAMPLE_COLUMNS))


def _name(number: int, num_classes: int, class_names: Sequence[str]) -> str:
    return class_names[number] if len(class_names) == num_classes else str(number)
