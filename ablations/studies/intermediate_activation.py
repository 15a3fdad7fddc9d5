"""Should there be an activation between depthwise and pointwise convolution?

The paper's Figure 10 compares none, ReLU and ELU, and finds none best.

    python run_ablation.py --study intermediate_activation

Three variants.
"""

from __future__ import annotations

from ablations.design.changes import between
from ablations.design.study import Study, Variant

STUDY = Study(
    name="intermediate_activation",
    question="Does an activation between depthwise and pointwise convolution help or hurt?",
    reference="Chollet 2017, arXiv:1610.02357, Figure 10",
    variants=(
        Variant(name="none", changes=between("none")),
        Variant(name="ReLU", changes=between("relu")),
        Variant(name="ELU", changes=between("elu")),
    ),
    baseline="none",
    varies=("model.operator.intermediate_activation", "model.exit.tail_intermediate_activation"),
)
