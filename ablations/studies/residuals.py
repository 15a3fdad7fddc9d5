"""Are the residual connections needed?

The paper's Figure 9 shows Xception's learning curves on ImageNet with and without its residual
connections, and finds them essential; it adds that the settings were tuned for the residual network.

    python run_ablation.py --study residuals

Two variants; at `quick` about 8 minutes on two cores.
"""

from __future__ import annotations

from ablations.design.changes import RESIDUAL_FIELDS, residuals
from ablations.design.study import Study, Variant

STUDY = Study(
    name="residuals",
    question="Does Xception need its residual connections?",
    reference="Chollet 2017, arXiv:1610.02357, Figure 9",
    variants=(
        Variant(name="with residuals", changes=residuals("projection")),
        Variant(name="without residuals", changes=residuals("none")),
    ),
    baseline="with residuals",
    varies=RESIDUAL_FIELDS,
)
