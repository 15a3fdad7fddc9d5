"""Does the effect of residual connections grow with depth?

The paper shows the effect at one depth (Figure 9). If residual connections matter because they keep deep networks
trainable (He et al. 2016, arXiv:1512.03385), it should grow with the middle flow: at each number of modules the network
without them is compared with the network with them, and the interaction is the change of the effect.

    python run_ablation.py --study residuals_by_depth

Eight variants, a baseline for each of four depths.
"""

from __future__ import annotations

from ablations.design.changes import RESIDUAL_FIELDS, residuals
from ablations.design.study import Study, factorial

STUDY = Study(
    name="residuals_by_depth",
    question="Does the effect of residual connections grow with depth?",
    reference="Chollet 2017, arXiv:1610.02357, Figure 9; He et al. 2016, arXiv:1512.03385",
    variants=factorial(
        {
            "middle modules": {str(n): {"model.middle.modules": n} for n in (2, 4, 8, 16)},
            "residuals": {"with residuals": residuals("projection"), "without residuals": residuals("none")},
        },
        names={"middle modules": "{} modules"},
    ),
    baseline="4 modules, with residuals",
    varies=("model.middle.modules", *RESIDUAL_FIELDS),
    within=("middle modules",),
)
