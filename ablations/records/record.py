"""A record: the outcome of one trial, self-contained and independent of any study. A plan: the trials that a study
needs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from types import UnionType
from typing import Any, Literal, Self, TypedDict, get_args, get_origin, get_type_hints

Status = Literal["complete", "diverged", "failed"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """The outcome of one trial; accuracies are fractions, what was not measured is None.

    `complete` and `diverged` are final. `failed` stands for an exception or a killed worker and is
    replaced by a later outcome. `correct` holds one bit per test image (`numpy.packbits`), `predictions` the class
    predicted of each (`xception.train.predictions`), `confidence` a histogram of how probable these are
    (`xception.train.confidence`); records of earlier versions lack one or both.
    """

    key: str
    trial: str  # the trial's canonical JSON
    status: Status
    reason: str | None = None
    val_accuracy: float | None = None
    val_loss: float | None = None
    test_accuracy: float | None = None
    test_top5_accuracy: float | None = None
    test_loss: float | None = None
    num_test: int | None = None
    num_classes: int | None = None
    correct: bytes | None = None
    params: int | None = None
    macs: int | None = None
    # One mapping per epoch: epoch, train_loss, val_loss, val_accuracy.
    curves: list[dict[str, Any]] = field(default_factory=list)
    train_seconds: float | None = None
    images_per_second: float | None = None
    device: str | None = None
    threads: int | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    created_at: str = ""
    predictions: bytes | None = None
    confidence: bytes | None = None

    @property
    def is_final(self) -> bool:
        """Whether the outcome is final, so that the trial is never trained again."""
        return self.status != "failed"

    def plain_trial(self) -> dict[str, Any]:
        """Return the trial as plain values (model, recipe, dataset and so on); `ablations.design.trial.read_trial`
        makes configs of its text.
        """
        trial: dict[str, Any] = json.loads(self.trial)
        return trial

    def values(self) -> dict[str, Any]:
        """Return the fields as a new mapping, with the record's values."""
        return dict(vars(self))


def chance_accuracy(num_classes: float) -> float:
    """Return chance accuracy, 1 / number of classes, at which a diverged trial counts."""
    return 1 / num_classes


def record_to_plain(record: Record) -> dict[str, Any]:
    """Return a record as plain values, from which `record_from_plain` restores it."""
    values = record.values()
    packed = {name: values[name] for name in PACKED if values[name] is not None}
    return values | {name: base64.b64encode(value).decode("ascii") for name, value in packed.items()}


def record_from_plain(plain: Any) -> Record:
    """Return a record from plain values, of this version or another.

    Fields unknown to this version are left out; fields unknown to the other version count as not measured.

    Raises:
        ValueError: a field that every record has is missing, a value is not of its field's type, or the key is not that
        of
            the trial.
    """
    if not isinstance(plain, dict):
        raise ValueError("record: not an object with the fields of a record")
    known = {name: plain[name] for name in _TYPES if name in plain}
    if missing := [name for name in _NEEDED if name not in known]:
        raise ValueError(f"record.{missing[0]}: missing")
    for name, value in known.items():
        types = _TYPES[name]
        if not isinstance(value, types) or isinstance(value, bool):
            raise ValueError(f"record.{name}: {str(value)[:60]!r} is not allowed; {types[0].__name__}")
    if known["status"] not in get_args(Status):
        raise ValueError(f"record.status: {known['status']!r} is not allowed; {', '.join(get_args(Status))}")
    if hashlib.sha256(known["trial"].encode()).hexdigest() != known["key"]:
        raise ValueError(f"record.key: {known['key'][:64]!r} is not the SHA-256 of its trial")
    if not all(isinstance(row, dict) for row in known.get("curves", [])):
        raise ValueError("record.curves: not allowed; a list of objects")
    for name in PACKED:
        if known.get(name) is not None:
            known[name] = base64.b64decode(known[name], validate=True)
    return Record(**known)


def other_fields(plain: Any) -> list[str]:
    """Return the fields by which plain values differ from a record of this version, each with + or -."""
    given = set(plain) if isinstance(plain, dict) else set()
    return [f"+{name}" for name in sorted(given - set(_TYPES))] + [f"-{name}" for name in sorted(set(_TYPES) - given)]


def _types() -> dict[str, tuple[type, ...]]:
    """The plain types of each field, from the class's annotations."""
    plain: dict[Any, tuple[type, ...]] = {bytes: (str,), float: (float, int), Status: (str,)}
    out: dict[str, tuple[type, ...]] = {}
    for name, hint in get_type_hints(Record).items():
        members = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        out[name] = tuple(kind for m in members for kind in plain.get(m, (get_origin(m) or m,)))
    return out


PACKED = ("correct", "predictions", "confidence")  # bytes: base64 in plain values
_TYPES = _types()
_NEEDED = tuple(f.name for f in fields(Record) if f.default is MISSING and f.default_factory is MISSING)


@dataclass(frozen=True, kw_only=True)
class Member:
    """One trial of a plan: its variant, seed and key."""

    variant: str
    seed: int
    stream: int
    position: int
    is_baseline: bool
    key: str


class BaselineCurve(TypedDict):
    """A baseline, its other widths, and the variants that are compared with its accuracy over MACs."""

    baseline: str
    widths: list[str]
    variants: list[str]


@dataclass(frozen=True, kw_only=True)
class Description:
    """The facts about a run for tables, figures, reports and provenance; a new fact is a new field with a default.

    `run` is the name of the run and of its folder, `setup` what is trained, `changes` the fields that each variant
    changes (path, the baseline's value, its own), `left_out` the variants that cannot exist here, with the reason.
    `fingerprints` has every data set of the study by title, `mismatch` the remaining difference in size of matched
    variants, `references` the baseline of each variant, `levels` the levels of the factors by variant, `data` the
    summary of each data set, from `xception.data.summary`. For a study in several settings, `setting` has this one's
    value of each field in which they differ, `across` the command for all, and `run` is a folder below that of all
    settings.
    """

    question: str = ""
    reference: str = ""
    dataset: str = ""
    scale: str = ""
    margin: float | None = None
    seeds_mode: Literal["fixed", "auto"] = "fixed"
    notice: str | None = None
    command: str = ""
    fingerprint: str = ""
    fingerprints: dict[str, str] = field(default_factory=dict)
    mismatch: dict[str, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    match: str = "none"
    tune: int = 0
    levels: dict[str, dict[str, Any]] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    curves: list[BaselineCurve] = field(default_factory=list)
    factors: list[str] = field(default_factory=list)
    data: list[dict[str, Any]] = field(default_factory=list)
    data_warnings: list[str] = field(default_factory=list)
    run: str = ""
    setup: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, list[list[str]]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    setting: dict[str, Any] = field(default_factory=dict)
    across: str = ""

    def values(self) -> dict[str, Any]:
        """Return the fields as a new mapping, with the description's values."""
        return dict(vars(self))

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Return a stored description; fields of later versions are ignored."""
        known = {f.name for f in fields(cls)}
        old = {"reference": values["source"]} if "source" in values else {}  # its former name
        return cls(**old | {name: value for name, value in with_version(values).items() if name in known})


def with_version(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored description whose scale, and command, name the first version if it was stored before scales had
    versions.
    """
    if values.get("scale") != "quick":
        return dict(values)
    first: dict[str, Any] = {"scale": "quick-1"}
    for name in ("command", "across"):
        if name in values:
            first[name] = re.sub(r"--scale quick(?=\s|$)", "--scale quick-1", values[name])
    if values.get("setup"):
        first["setup"] = {**values["setup"], "scale": "quick-1"}
    return {**values, **first}


@dataclass(frozen=True, kw_only=True)
class StoredPlan:
    """A stored study plan: its trials, and its description for reports."""

    plan: str
    study: str
    description: Description
    members: tuple[Member, ...]
    planned_at: str = field(default="")

    @property
    def run(self) -> str:
        """The name of the run and of its folder; the study's where an earlier version stored the plan."""
        return self.description.run or self.study
