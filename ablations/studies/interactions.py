"""Do residual connections, operator and norm placement act on their own?

The paper changes one thing at a time (Figures 9 and 10), which misses their joint effects. Here three of its choices
are crossed in full; main effects and interactions of two are shown with the table.

    python run_ablation.py --study interactions

Eight variants.
"""

from __future__ import annotations

from ablations.design.changes import RESIDUAL_FIELDS, residuals
from ablations.design.study import Study, factorial

STUDY = Study(
    name="interactions",
    question="Do residual connections, operator and norm placement act independently of each other?",
    reference=(
        "Chollet 2017, arXiv:1610.02357, Figures 5, 9 and 10; Box, Hunter and Hunter 2005, Statistics for Experimenters"
    ),
    variants=factorial(
        {
            "residuals": {"residuals": residuals("projection"), "no residuals": residuals("none")},
            "operator": {
                "separable": {"model.operator.kind": "separable"},
                "regular": {"model.operator.kind": "regular"},
            },
            "norm": {
                "norm after convolution": {"model.norm.placement": "after_convolution"},
                "norm before activation": {"model.norm.placement": "before_activation"},
            },
        }
    ),
    baseline="residuals, separable, norm after convolution",
    varies=(*RESIDUAL_FIELDS, "model.operator.kind", "model.norm.placement"),
)
