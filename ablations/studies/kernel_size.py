"""How large should the depthwise kernels be?

The paper uses 3×3 throughout (Figure 5). A depthwise kernel is cheap, so 5×5 and 7×7 add little to the cost of the
pointwise convolutions; 1×1 removes spatial convolution from the modules and shows its contribution.

    python run_ablation.py --study kernel_size

Four variants.
"""

from __future__ import annotations

from ablations.design.study import Study, one_at_a_time

STUDY = Study(
    name="kernel_size",
    question="How large should the depthwise kernels be?",
    reference="Chollet 2017, arXiv:1610.02357, Figure 5",
    variants=one_at_a_time("model.operator.kernel_size", {"1×1": 1, "3×3": 3, "5×5": 5, "7×7": 7}),
    baseline="3×3",
    varies=("model.operator.kernel_size",),
)
