"""Does training in bfloat16 cost accuracy?

Convolutions and products compute in bfloat16 with float32 sums; weights, norms' statistics and the loss stay float32
(Kalamkar et al. 2019, arXiv:1905.12322; PyTorch's autocast). It is faster on a CPU with units for it, and slower on one
without.

    python run_ablation.py --study precision

Two variants. The study changes only the recipe and leaves a network of torchvision or timm unchanged.
"""

from __future__ import annotations

from ablations.design.study import Study, one_at_a_time

STUDY = Study(
    name="precision",
    question="Does training in bfloat16 cost accuracy?",
    reference="Kalamkar et al. 2019, arXiv:1905.12322",
    variants=one_at_a_time("recipe.precision", {"float32": "float32", "bfloat16": "bfloat16"}),
    baseline="float32",
    varies=("recipe.precision",),
)
