"""Does training in bfloat16 cost accuracy?

Convolutions and products compute in bfloat16 with float32 sums; weights, norms' statistics and the loss stay float32
(Kalamkar et al. 2019, arXiv:1905.12322; PyTorch's autocast). A CPU with units for it is faster in it, one without them
slower.

    python run_ablation.py --study precision

Two variants. The study changes the recipe alone and leaves a network of torchvision or timm as it is.
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
