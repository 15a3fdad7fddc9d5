"""A record: what came of one trial, complete in itself and independent of any study; and a plan, which says what a study needs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["complete", "diverged", "failed"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """The outcome of one trial; accuracies are fractions, what was not measured is None.

    `complete` and `diverged` are final. `failed` stands for an exception or a killed worker and is
    replaced by a later outcome. `correct` holds one bit per test image (`numpy.packbits`).
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

    @property
    def is_final(self) -> bool:
        """Whether the trial must never be trained again."""
        return self.status != "failed"

    def values(self) -> dict[str, Any]:
        """Return the fields as a mapping."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Member:
    """One trial's place in a plan."""

    variant: str
    seed: int
    stream: int
    position: int
    is_baseline: bool
    key: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study as it was asked for once: its trials and what people are told of it."""

    plan: str
    study: str
    options: dict[str, Any]
    members: tuple[Member, ...]
    planned_at: str = field(default="")
