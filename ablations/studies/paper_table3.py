"""The paper's Table 3: size and training speed of Inception V3 and Xception.

Published: Inception V3 23,626,728 parameters and 31 steps per second, Xception 22,855,952 and 28, on 60 K80 GPUs. The
counts are those of the full networks; no public Inception V3 has the paper's. Steps per second are those of the full
networks on this machine, measured alone and interleaved. The paper concludes that the gain is not due to capacity; the
trials of this study test that at the scale of the run: the scale's network against the same network of Inception
modules as published (norm and activation after every convolution) at equal parameters.

    python run_ablation.py --study paper_table3

Two variants; `paper.md` has the cells of the paper's table.
"""

from __future__ import annotations

from ablations.design.study import Study, Variant
from ablations.studies.operators import TOWER_FIELDS, published

STUDY = Study(
    name="paper_table3",
    question="Does Xception gain over Inception modules at equal size, and what does a training step cost?",
    reference="Chollet 2017, arXiv:1610.02357, Table 3",
    variants=(
        Variant(name="Xception", changes={"model.operator.kind": "separable"}),
        Variant(name="Inception modules", changes=published("inception"), match="params"),
    ),
    baseline="Xception",
    varies=TOWER_FIELDS,
)
