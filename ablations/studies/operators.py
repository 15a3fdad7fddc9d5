"""Which convolution should an Xception module use?

The paper's Figures 1 to 4 lead from the Inception module through a simplified one to the separable convolution, its
extreme; the study replaces the separable convolution by each of these, and by a regular convolution. In the papers
every convolution of an Inception module is followed by a norm and an activation (Szegedy et al. 2016, arXiv:1512.00567;
Chollet 2017, section 1.2); the `linear` forms have nothing between the convolutions of a tower, as the separable
convolution has nothing between its two. Sizes differ by up to a factor of nine, so each has three variants: at its own
size, and with the network's width chosen to match the parameters or multiply-accumulates of the separable network.

    python run_ablation.py --study operators

Sixteen variants; `--match params` leaves the six at equal parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ablations.design.changes import between
from ablations.design.study import Design, Match, Study, Variant
from xception.base.changes import Soft

MATCHES: tuple[Match, ...] = ("none", "params", "macs")


def _activation(design: Design) -> Soft:
    """The network's own activation, unless it is inside the towers already."""
    return Soft(design.at("model.activation"))


TOWER_FIELDS = (
    "model.operator.kind",
    "model.operator.tower_activation",
    "model.operator.tower_norm",
    "model.operator.intermediate_activation",
    "model.exit.tail_intermediate_activation",
)


def published(kind: str) -> Mapping[str, Any]:
    """The changes to Inception modules as published: norm and activation after every convolution."""
    return {
        "model.operator.kind": kind,
        "model.exit.tail_intermediate_activation": Soft(None),
        "model.operator.tower_norm": Soft(True),
        "model.operator.tower_activation": _activation,
    }


def linear(kind: str) -> Mapping[str, Any]:
    """The changes to Inception modules with nothing between the convolutions of a tower."""
    return {
        "model.operator.kind": kind,
        **between("none"),
        "model.operator.tower_norm": Soft(False),
        "model.operator.tower_activation": None,
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
    reference="Chollet 2017, arXiv:1610.02357, sections 1 to 3, Figures 1 to 4",
    variants=(
        Variant(name="separable", changes={"model.operator.kind": "separable"}),
        *(Variant(name=name, changes=changes, match=match) for match in MATCHES for name, changes in OTHERS.items()),
    ),
    baseline="separable",
    varies=TOWER_FIELDS,
)
