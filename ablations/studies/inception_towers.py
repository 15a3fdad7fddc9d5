"""What should stand between the convolutions of an Inception module's towers?

In the papers a norm and an activation follow every convolution (Szegedy et al. 2016, arXiv:1512.00567; Chollet 2017,
section 1.2); Figure 10 of the latter finds separable convolutions better with nothing in between. The study asks the
same about towers.

    python run_ablation.py --study inception_towers

Four variants, each at 2.5 times the parameters and the cost of the separable network.
"""

from __future__ import annotations

from typing import Any

from ablations.design.changes import between
from ablations.design.study import Study, Variant
from ablations.studies.operators import TOWER_FIELDS, linear, published
from xception.base.changes import Soft

_NORM: dict[str, Any] = {
    "model.operator.kind": "inception",
    **between("none"),
    "model.operator.tower_norm": Soft(True),
    "model.operator.tower_activation": None,
}
_ACTIVATION: dict[str, Any] = {**published("inception"), "model.operator.tower_norm": Soft(False)}

STUDY = Study(
    name="inception_towers",
    question="Do the towers of an Inception module need a norm and an activation between their convolutions?",
    reference="Szegedy et al. 2016, arXiv:1512.00567; Chollet 2017, arXiv:1610.02357, Figure 10",
    variants=(
        Variant(name="norm and activation", changes=published("inception")),
        Variant(name="norm", changes=_NORM),
        Variant(name="activation", changes=_ACTIVATION),
        Variant(name="linear", changes=linear("inception")),
    ),
    baseline="norm and activation",
    varies=TOWER_FIELDS,
)
