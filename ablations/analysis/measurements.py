"""From a frame of records to arrays of variants × seeds; nothing is dropped silently.

Effects are those among completed pairs. A diverged trial has no accuracy there; it counts in the success rate, and at
chance accuracy (1 / number of classes) in the second line of the effect. A failed or missing trial drops its pair. All
are counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ablations.records.record import chance_accuracy
from ablations.statistics.paired import Array
from ablations.statistics.sequential import LOOKS

__all__ = ["Measurements", "comparisons", "measure"]

NEEDED = ("variant", "is_baseline", "seed", "status", "test_accuracy")
IDENTITY = ("study", "plan", "dataset", "scale")  # one comparison each
STATUSES = ("complete", "diverged", "failed", "missing")


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """One comparison as arrays of shape (variants, seeds), each baseline before its variants.

    `accuracy` is the test accuracy of completed trials, `at_chance` the same with diverged ones at chance; NaN where
    there is none. `ended` is true for final trials. `rows` holds the frame's row of each trial in the frame.
    `margin` is δ, a fraction. `references` gives for each variant the index of its baseline; a baseline has its own.
    """

    variants: tuple[str, ...]
    references: tuple[int, ...]
    seeds: tuple[int, ...]
    accuracy: Array
    at_chance: Array
    ended: NDArray[np.bool_]
    rows: dict[tuple[str, int], dict[str, Any]]
    margin: float | None
    is_sequential: bool

    @property
    def compared(self) -> list[int]:
        """The indices of the variants that are not baselines: the K comparisons, in order."""
        return [index for index, reference in enumerate(self.references) if index != reference]

    @property
    def against(self) -> list[int]:
        """The indices of the baselines that the K comparisons are made with."""
        return [self.references[index] for index in self.compared]

    @property
    def differences(self) -> Array:
        """Per-seed differences of the K comparisons among completed pairs, (K, seeds)."""
        return self.accuracy[self.compared] - self.accuracy[self.against]

    @property
    def differences_at_chance(self) -> Array:
        """The same with diverged trials at chance accuracy, (K, seeds)."""
        return self.at_chance[self.compared] - self.at_chance[self.against]

    @property
    def grid(self) -> float | None:
        """The step between neighbouring test accuracies, 1 / number of test images; None if unknown."""
        sizes = {float(row["num_test"]) for row in self.rows.values() if _is_given(row.get("num_test"))}
        return 1 / min(sizes) if sizes and min(sizes) > 0 else None

    @property
    def ended_pairs(self) -> NDArray[np.bool_]:
        """Which pairs of the K comparisons have ended, (K, seeds)."""
        return np.asarray(self.ended[self.compared] & self.ended[self.against])

    def count(self, variant: str, status: str) -> int:
        """Return the number of trials of a variant with a status."""
        return sum(self.rows[key]["status"] == status for key in self.rows if key[0] == variant)

    def of(self, variant: str) -> list[dict[str, Any]]:
        """Return the rows of one variant in the order of seeds."""
        return [self.rows[key] for key in sorted(self.rows) if key[0] == variant]

    def constant(self, variant: str, column: str) -> Any:
        """Return what a variant's trials have in a column: the first value there is, else NaN."""
        return next((row[column] for row in self.of(variant) if _is_given(row.get(column))), math.nan)


def comparisons(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the parts of a frame that are compared within themselves: one plan of one study on one data set at one
    scale.
    """
    _need_columns(frame)
    identity = [name for name in IDENTITY if name in frame and frame[name].notna().any()]
    if not identity:
        if len(frame):
            yield frame
        return
    for _, part in frame.groupby(identity, sort=False, dropna=False):
        yield part


def measure(frame: pd.DataFrame, seeds_mode: str | None = None) -> Measurements:
    """Return the measurements of one comparison; `seeds_mode` (`fixed`, `auto`) is the frame's own unless given.

    Raises:
        ValueError: a column is missing, a variant has not exactly one baseline, a trial occurs twice, an accuracy is
            not a fraction, a diverged trial has no number of classes, or margins or modes differ within the comparison.
    """
    _need_columns(frame)
    if "position" in frame and frame["position"].notna().all():
        frame = frame.sort_values("position", kind="stable")
    is_baseline = frame["is_baseline"].astype(bool)
    baselines = list(dict.fromkeys(frame.loc[is_baseline, "variant"]))
    wanted = _references(frame, baselines)
    variants = tuple(sorted(wanted, key=lambda v: (baselines.index(wanted[v]), v != wanted[v])))
    references = tuple(variants.index(wanted[v]) for v in variants)
    mode = seeds_mode or _only(frame, "seeds_mode") or "fixed"
    if mode not in ("fixed", "auto"):
        raise ValueError(f"seeds_mode: {mode!r} is not allowed; fixed or auto")
    margin = _only(frame, "margin")
    if margin is not None and not 0 < margin < 1:
        raise ValueError(f"margin: {margin!r} is not allowed; between 0 and 1, as a fraction of test accuracy")

    found = sorted({int(seed) for seed in frame["seed"]})
    seeds = tuple(range(found[0], found[0] + LOOKS[-1].seeds)) if mode == "auto" else tuple(found)
    shape = (len(variants), len(seeds))
    accuracy, at_chance, ended = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, dtype=np.bool_)
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for record in frame.to_dict("records"):
        row = {str(name): value for name, value in record.items()}
        variant, seed = str(row["variant"]), int(row["seed"])
        if (variant, seed) in rows:
            raise ValueError(
                f"seed: two trials of {variant!r} with seed {seed} are not allowed; one each in a comparison"
            )
        if seed not in seeds:
            continue
        rows[variant, seed] = row
        at = variants.index(variant), seeds.index(seed)
        accuracy[at], at_chance[at] = _accuracies(row)
        ended[at] = row["status"] != "missing"
    return Measurements(
        variants=variants,
        references=references,
        seeds=seeds,
        accuracy=accuracy,
        at_chance=at_chance,
        ended=ended,
        rows=rows,
        margin=None if margin is None else float(margin),
        is_sequential=mode == "auto",
    )


def _references(frame: pd.DataFrame, baselines: list[str]) -> dict[str, str]:
    """The baseline of each variant: that of the column `reference`, else the only one."""
    variants = list(dict.fromkeys(frame["variant"]))
    if "reference" not in frame or frame["reference"].isna().all():
        if len(baselines) != 1:
            shown = ", ".join(baselines) or "none"
            raise ValueError(f"is_baseline: {len(baselines)} variants ({shown}) are not allowed; exactly one baseline")
        return dict.fromkeys(variants, baselines[0])
    given = frame.drop_duplicates(["variant", "reference"]).set_index("variant")["reference"]
    for variant in variants:
        own = given.loc[[variant]]
        if len(own) != 1 or own.iloc[0] not in baselines or (variant in baselines and own.iloc[0] != variant):
            shown = ", ".join(map(str, own))
            raise ValueError(
                f"reference: {shown} of {variant!r} is not allowed; one of the baselines"
                f" {', '.join(baselines) or '(none)'}"
            )
    return {variant: str(given[variant]) for variant in variants}


def _accuracies(row: dict[str, Any]) -> tuple[float, float]:
    """Test accuracy of a completed trial, and the same with a diverged trial at chance."""
    where = f"{row['variant']}, seed {row['seed']}"
    status, accuracy = row["status"], row["test_accuracy"]
    if status not in STATUSES:
        raise ValueError(f"status: {status!r} of {where} is not allowed; {', '.join(STATUSES)}")
    if status == "diverged":
        classes = row.get("num_classes")
        if classes is None or not _is_given(classes) or not classes >= 1:
            raise ValueError(
                f"num_classes: {classes!r} of {where} is not allowed; a diverged trial is counted at chance, 1 /"
                " num_classes"
            )
        return math.nan, chance_accuracy(float(classes))
    if status != "complete" or not _is_given(accuracy):
        return math.nan, math.nan
    if not 0 <= accuracy <= 1:
        raise ValueError(f"test_accuracy: {accuracy!r} of {where} is not allowed; a fraction, 0 to 1")
    return float(accuracy), float(accuracy)


def _need_columns(frame: pd.DataFrame) -> None:
    absent = [name for name in NEEDED if name not in frame]
    if absent:
        raise ValueError(
            f"frame: columns {', '.join(absent)} are missing; it has {', '.join(map(str, frame.columns)) or 'none'}"
        )


def _only(frame: pd.DataFrame, column: str) -> Any:
    """The one value of a column that must not vary within a comparison; None where it is absent or empty."""
    values = list(dict.fromkeys(frame[column].dropna())) if column in frame else []
    if len(values) > 1:
        raise ValueError(f"{column}: {', '.join(map(str, values))} in one comparison are not allowed; one value")
    return values[0] if values else None


def _is_given(value: Any) -> bool:
    return value is not None and value is not pd.NA and not (isinstance(value, float) and math.isnan(value))
