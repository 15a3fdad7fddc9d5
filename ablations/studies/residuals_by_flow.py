"""Which flow needs its residual connections?

The paper removes all of them at once (Figure 9). Here they are removed from one flow at a time, and compared with the
networks with all and with none.

    python run_ablation.py --study residuals_by_flow

Five variants.
"""

from __future__ import annotations

from ablations.design.changes import RESIDUAL_FIELDS, residuals
from ablations.design.study import Study, Variant

STUDY = Study(
    name="residuals_by_flow",
    question="Which flow of the network needs its residual connections?",
    reference="Chollet 2017, arXiv:1610.02357, Figures 5 and 9",
    variants=(
        Variant(name="all flows", changes=residuals("projection")),
        Variant(name="not in entry flow", changes={**residuals("projection"), "model.entry.residual": "none"}),
        Variant(name="not in middle flow", changes={**residuals("projection"), "model.middle.residual": "none"}),
        Variant(name="not in exit flow", changes={**residuals("projection"), "model.exit.residual": "none"}),
        Variant(name="in no flow", changes=residuals("none")),
    ),
    baseline="all flows",
    varies=RESIDUAL_FIELDS,
)
