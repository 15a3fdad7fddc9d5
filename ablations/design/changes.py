"""Changes that several studies share."""

from __future__ import annotations

from typing import Any

from xception.base.changes import Soft

__all__ = ["NO_OWN_RESIDUALS", "RESIDUAL_FIELDS", "between", "residuals"]

NO_OWN_RESIDUALS: dict[str, Any] = {f"model.{flow}.residual": Soft(None) for flow in ("entry", "middle", "exit")}
RESIDUAL_FIELDS = ("model.residual.kind", *NO_OWN_RESIDUALS)


def residuals(kind: str) -> dict[str, Any]:
    """Return the changes that give the whole network shortcuts of one kind, overriding those of its flows."""
    return {"model.residual.kind": kind, **NO_OWN_RESIDUALS}


def between(activation: str) -> dict[str, Any]:
    """Return the changes that put one activation between the convolutions of every operator, the tail's included."""
    return {
        "model.operator.intermediate_activation": activation,
        "model.exit.tail_intermediate_activation": Soft(None),
    }
