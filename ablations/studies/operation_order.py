"""Does it matter whether the depthwise or the pointwise convolution comes first?

The paper names two differences between a separable convolution and its extreme Inception module (section 1.2): the
order of the two operations, which it argues is unimportant, and the non-linearity between them. Both are crossed here,
and each order is compared with the other with the same layers in between.

    python run_ablation.py --study operation_order

Four variants.
"""

from __future__ import annotations

from ablations.design.changes import between
from ablations.design.study import Study, factorial

STUDY = Study(
    name="operation_order",
    question="Does the order of depthwise and pointwise convolution matter?",
    reference="Chollet 2017, arXiv:1610.02357, section 1.2",
    variants=factorial(
        {
            "between": {"nothing between": between("none"), "ReLU between": between("relu")},
            "order": {
                "depthwise first": {"model.operator.kind": "separable"},
                "pointwise first": {"model.operator.kind": "pointwise_depthwise"},
            },
        }
    ),
    baseline="nothing between, depthwise first",
    varies=(
        "model.operator.kind",
        "model.operator.intermediate_activation",
        "model.exit.tail_intermediate_activation",
    ),
    within=("between",),
)
