"""The paper's Table 2: Inception V3 and Xception on JFT, with and without fully connected layers.

Published FastEval14k MAP@100: Inception V3 6.36, and 6.50 with fully connected layers; Xception 6.70 and 6.78. JFT is
not public, so these cannot be reproduced. As a proxy the same four are compared on the data of the run: the scale's
network, and the same network of Inception modules as published (norm and activation after every convolution) at equal
parameters, each with and without two fully connected layers of twice the last map's channels.

    python run_ablation.py --study paper_table2

Four variants, a baseline for each of two heads.
"""

from __future__ import annotations

from typing import Any

from ablations.design.study import Study, Variant
from ablations.studies.head import hidden_layers
from ablations.studies.operators import TOWER_FIELDS, published

_HEADS: dict[str, dict[str, Any]] = {
    "no FC": {"model.head.hidden": ()},
    "FC": {"model.head.hidden": hidden_layers},
}

STUDY = Study(
    name="paper_table2",
    question="Does Xception beat Inception modules at equal size, with and without fully connected layers?",
    reference="Chollet 2017, arXiv:1610.02357, Table 2",
    variants=tuple(
        variant
        for head, changes in _HEADS.items()
        for variant in (
            Variant(
                name=f"{head}, Xception",
                changes={**changes, "model.operator.kind": "separable"},
                levels={"head": head, "network": "Xception"},
            ),
            Variant(
                name=f"{head}, Inception modules",
                changes={**changes, **published("inception")},
                levels={"head": head, "network": "Inception modules@params"},
                match="params",
            ),
        )
    ),
    baseline="no FC, Xception",
    varies=("model.head.hidden", *TOWER_FIELDS),
    within=("head",),
)
