"""Which convolution should an Xception module use?

The paper's Figures 1 to 4 lead from the Inception module over a simplified one to the separable convolution, its
extreme; the study puts each in the place of the separable convolution, and a regular convolution beside them. In the
papers every convolution of an Inception module is followed by a norm and an activation (Szegedy et al. 2016,
arXiv:1512.00567; Chollet 2017, section 1.2); the `linear` forms have nothing between the convolutions of a tower, as
the separable convolution has nothing between its two. Sizes differ by up to a factor of nine, so each stands there
three times: as it is, and with the network's width chosen so that parameters or multiply-accumulates are those of the
separable network.

    python run_ablation.py --study operators

Sixteen variants; `--match params` leaves the six at equal parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ablations.design.study import Design, Match, Study, Variant
from xception.network.config import XceptionConfig

MATCHES: tuple[Match, ...] = ("none", "params", "macs")


def _model(design: Design) -> XceptionConfig:
    if not isinstance(design.model, XceptionConfig):
        raise ValueError(f"model: {type(design.model).__name__} is not allowed; an XceptionConfig")
    return design.model


def _activated(design: Design) -> str | None:
    """The network's activation inside towers; None where it stands there already."""
    model = _model(design)
    return None if model.operator.intermediate_activation == model.activation else model.activation


def _normed(design: Design) -> bool | None:
    """A norm inside towers; None where it stands there already or the network has no norm."""
    norm = _model(design).norm
    return None if norm.kind == "none" or norm.placement == "each_convolution" else True


def _bare(design: Design) -> bool | None:
    """No norm inside towers; None where none stands there."""
    return False if _model(design).norm.placement == "each_convolution" else None


TOWER_FIELDS = (
    "model.operator.kind",
    "model.operator.tower_activation",
    "model.operator.tower_norm",
    "model.exit.tail_intermediate_activation",
)


def published(kind: str) -> Mapping[str, Any]:
    """The changes to Inception modules as published: norm and activation after every convolution."""
    return {
        "model.operator.kind": kind,
        "model.exit.tail_intermediate_activation": None,
        "model.operator.tower_norm": _normed,
        "model.operator.tower_activation": _activated,
    }


def linear(kind: str) -> Mapping[str, Any]:
    """The changes to Inception modules with nothing between the convolutions of a tower."""
    return {
        "model.operator.kind": kind,
        "model.exit.tail_intermediate_activation": None,
        "model.operator.tower_norm": _bare,
    }


OTHERS: dict[str, Mapping[str, Any]] = {
    "inception module": published("inception"),
    "simplified inception": published("simplified_inception"),
    "linear inception module": linear("inception"),
    "linear simplified inception": linear("simplified_inception"),
    "regular": {"model.operator.kind": "regular"},
}

STUDY = Study(
    name="operators",
    question="Do separable convolutions beat Inception modules and regular convolutions in the same network?",
    source="Chollet 2017, arXiv:1610.02357, sections 1 to 3, Figures 1 to 4",
    variants=(
        Variant(name="separable"),
        *(Variant(name=name, changes=changes, match=match) for match in MATCHES for name, changes in OTHERS.items()),
    ),
    baseline="separable",
    varies=TOWER_FIELDS,
)
